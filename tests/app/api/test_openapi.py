"""Schemathesis makes up requests from the OpenAPI document, right ones and wrong ones.

It checks that nothing is a server error, that no answer is one that the document does not describe,
and that nothing wrong is accepted. A long run of some minutes:

    python -m pytest tests/app/api/test_openapi.py --api-examples 1200
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
ASKED = ("POST /v1/chat/completions", "POST /v1/completions")
# What no schema can say is refused too: the last message must be the user's, a prompt must fit.
CONFIG = '[checks.positive_data_acceptance]\nexpected-statuses = ["2xx", "400", "404", "503"]\n'


@pytest.mark.slow
def test_made_up_requests_get_the_answers_that_the_document_describes(
    build: Any, batch: Any, listen: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    config, counts = tmp_path / "schemathesis.toml", tmp_path / "answers.json"
    config.write_text(CONFIG)
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"]
    command += ["--phases", "examples,coverage,fuzzing", "--seed", "1"]
    command += ["--max-examples", str(request.config.getoption("--api-examples"))]
    hooks = {"SCHEMATHESIS_HOOKS": "tests.app.api.openapi_hooks", "API_ANSWERS": str(counts)}
    with listen(build(batch, type(batch)(), max_new_tokens=8)) as address:
        done = subprocess.run(
            [*command, f"{address}/openapi.json"],
            cwd=tmp_path,
            env=os.environ | hooks | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = json.loads(counts.read_text(encoding="utf-8"))
    assert sum(answers.values()) > 100, answers
    for asked in ASKED:
        assert answers[f"{asked} 200"] > 20, answers
        assert answers[f"{asked} 400"] > 20, answers
    assert len(batch.prompts) > 5
    print(answers)  # with -s
