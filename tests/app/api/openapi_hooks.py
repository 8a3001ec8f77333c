"""Hooks that Schemathesis loads into its own process, as test_openapi.py tells it to.

Most bodies that fit the schema break rules that no schema can say: the last message is the user's,
the prompt fits. They are mended, so that the model is reached; answers are counted.
"""

import atexit
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis import GenerationMode

ANSWERS: Counter[str] = Counter()
LAST = {"role": "user", "content": "What is gout?"}


@schemathesis.hook
def before_call(_: Any, case: Any, __: Any) -> None:
    body = case.body
    if case.method != "POST" or not isinstance(body, dict):
        return
    if not case.meta or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    if "prompt" in body:
        case.body = body | {"prompt": "Gout is", "max_tokens": None}
        return
    said = [turn for turn in body["messages"] if turn.get("content") is not None]
    turns = [turn for turn in said if turn["role"] in ("user", "assistant")]
    case.body = body | {"messages": [*turns[:3], LAST], "max_tokens": None}


@schemathesis.hook
def after_call(_: Any, case: Any, response: Any) -> None:
    ANSWERS[f"{case.method} {case.operation.path} {response.status_code}"] += 1


@atexit.register
def save() -> None:
    if "API_ANSWERS" in os.environ:  # pytest imports this file too, for its doctests
        text = json.dumps(ANSWERS, sort_keys=True)
        Path(os.environ["API_ANSWERS"]).write_text(text, encoding="utf-8")
