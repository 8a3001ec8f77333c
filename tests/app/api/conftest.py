from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from medtune.modeling.prompts import PromptEncoder

Serve = Callable[..., TestClient]
URL = "/v1/chat/completions"
ANSWER = " Grüße, 😀 ≥ 3 µg.\n"


@pytest.fixture
def spoken(batch: Any, encoder: PromptEncoder) -> Any:
    """Says ANSWER, byte by byte."""
    batch.reply = [*encoder.answer_ids(ANSWER), encoder.end_id]
    assert len(batch.reply) > len(ANSWER) + 1
    return batch


def question(text: str = "What is gout?", **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": "finetuned", "messages": messages, "max_tokens": 64, **fields}
