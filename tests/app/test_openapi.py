"""Requests made up from the OpenAPI document; benchmarks/api_cases.py sends thousands."""

from typing import Any

import pytest

from benchmarks.api_cases import send_cases

ASKED = "POST /v1/chat/completions"


@pytest.mark.slow
def test_made_up_requests_get_the_answers_that_the_document_describes(
    build: Any, batch: Any, listen: Any
) -> None:
    with listen(build(batch, type(batch)(), max_new_tokens=8)) as address:
        answers = send_cases(address, examples=20, seed=1)
    assert answers.total() > 100, answers
    assert answers[f"{ASKED} 200"] > 20, answers
    assert answers[f"{ASKED} 400"] > 20
    assert len(batch.prompts) > 5
