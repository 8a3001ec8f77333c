import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.continuous_batching.batch import ContinuousBatch
from app.guard_remarks import Remarks
from medtune.guard.notices import notice
from medtune.modeling.loading import load_base
from medtune.modeling.prompts import PromptEncoder
from medtune.scoring.choice_answers import answer_choices
from medtune.scoring.choice_questions import Question

Serve = Callable[..., TestClient]
URL = "/v1/completions"
ANSWER = " joint\n pain, 😀."


def body(prompt: Any = "Gout is", **fields: Any) -> dict[str, Any]:
    return {"model": "finetuned", "prompt": prompt, "max_tokens": 64, **fields}


@pytest.fixture
def spoken(batch: Any, encoder: PromptEncoder) -> Any:
    batch.reply = [*ids_of(encoder, ANSWER), encoder.end_id]
    return batch


def ids_of(encoder: PromptEncoder, text: str) -> list[int]:
    return list(encoder.tokenizer.encode(text))


def test_a_prompt_is_continued_as_it_is(serve: Serve, spoken: Any, encoder: PromptEncoder) -> None:
    client = serve(spoken)
    for prompt in ("Gout is", ids_of(encoder, "Gout is")):
        answered = client.post(URL, json=body(prompt)).json()
        assert answered["object"] == "text_completion" and answered["choices"] == [
            {"index": 0, "text": ANSWER, "finish_reason": "stop", "logprobs": None}
        ]
    prompt = ids_of(encoder, "Gout is")
    assert spoken.prompts == [prompt, prompt] and not spoken.scored
    counted = {"prompt_tokens": len(prompt), "completion_tokens": len(spoken.reply)}
    assert answered["usage"] == counted | {"total_tokens": sum(counted.values())}
    echoed = client.post(URL, json=body(echo=True, stop=" pain")).json()["choices"][0]
    assert (echoed["text"], echoed["finish_reason"]) == ("Gout is joint\n", "stop")


def test_control_tokens_of_a_prompt_are_control_tokens(
    serve: Serve, spoken: Any, encoder: PromptEncoder
) -> None:
    text = encoder.tokenizer.decode([encoder.end_id])
    serve(spoken).post(URL, json=body(text))
    assert spoken.prompts[0][-1] == encoder.end_id


def test_several_prompts_get_their_answers_in_order(serve: Serve, spoken: Any) -> None:
    client = serve(spoken, max_rows=2)
    answered = client.post(URL, json=body(["Gout is", "Flu is"], echo=True)).json()
    assert [each["text"] for each in answered["choices"]] == ["Gout is" + ANSWER, "Flu is" + ANSWER]
    assert [each["index"] for each in answered["choices"]] == [0, 1]
    refused = client.post(URL, json=body(["a"] * 3))
    assert refused.status_code == 400 and "at most 2" in refused.json()["error"]["message"]


@pytest.mark.slow
def test_log_probabilities_are_those_of_each_token(
    serve: Serve, spoken: Any, encoder: PromptEncoder
) -> None:
    asked = body(echo=True, logprobs=2, max_tokens=3)
    choice = serve(spoken).post(URL, json=asked).json()["choices"][0]
    found, prompt = choice["logprobs"], ids_of(encoder, "Gout is")
    assert spoken.scored == [[[*prompt, *spoken.reply[:3]]]]
    assert (
        "".join(found["tokens"])
        == choice["text"]
        == "Gout is joint\n pain, 😀."[: len(choice["text"])]
    )
    count = len(prompt) + 3
    assert found["token_logprobs"] == [None, *(-float(n) for n in range(1, count))]
    starts = [len("".join(found["tokens"][:n])) for n in range(count)]
    assert found["text_offset"] == starts
    assert found["top_logprobs"][0] is None
    for own, top in zip(found["token_logprobs"][1:], found["top_logprobs"][1:], strict=True):
        assert {-1.0, -2.0, own} >= set(top.values()) and max(top.values()) == -1.0
    without = asked | {"echo": False}
    rest = serve(spoken).post(URL, json=without).json()["choices"][0]["logprobs"]
    assert rest["token_logprobs"] == found["token_logprobs"][-3:]
    assert rest["tokens"] == found["tokens"][-3:] and rest["text_offset"][0] == 0


def test_a_character_of_several_tokens_belongs_to_the_last(serve: Serve, spoken: Any) -> None:
    found = serve(spoken).post(URL, json=body("😀 is", echo=True, logprobs=0, max_tokens=0)).json()
    (choice,) = found["choices"]
    tokens = choice["logprobs"]["tokens"]
    assert "".join(tokens) == choice["text"] == "😀 is" and tokens[:4] == ["", "", "", "😀"]
    assert choice["finish_reason"] == "length" and found["usage"]["completion_tokens"] == 0


def test_one_greedy_token_is_read_off_the_scores_of_the_prompt(
    serve: Serve, spoken: Any, encoder: PromptEncoder
) -> None:
    asked = body(echo=True, logprobs=1, max_tokens=1, temperature=0)
    client = serve(spoken)
    choice = client.post(URL, json=asked).json()["choices"][0]
    assert not spoken.prompts and len(spoken.scored) == 1
    assert choice["logprobs"]["token_logprobs"][-1] == -1.0
    assert choice["text"] == "Gout is" + encoder.tokenizer.decode(spoken.reply[:1])
    client.post(URL, json=asked | {"temperature": 1.0})
    assert len(spoken.prompts) == 1


@pytest.mark.parametrize(
    ("change", "status", "param", "says"),
    [
        ({"prompt": ""}, 400, "prompt", "must be a text"),
        ({"prompt": [10**6]}, 400, "prompt", "has no token 1000000"),
        ({"prompt": "gout " * 99}, 400, "prompt", "the prompt has"),
        ({"model": "gpt-4"}, 404, "model", "choose from"),
        ({"max_tokens": 101}, 400, "max_tokens", "at most 100"),
        ({"stream": True}, 400, "stream", "only chat completions are streamed"),
        ({"n": 2}, 400, "n", "one answer"),
        ({"top_k": 2}, 400, "top_k", "not supported"),
    ],
)
def test_what_cannot_be_completed_is_refused_in_one_line(
    serve: Serve, spoken: Any, change: Any, status: int, param: str, says: str
) -> None:
    client = serve(spoken, max_new_tokens=100, max_prompt_tokens=200)
    response = client.post(URL, json=body() | change)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (status, param)
    assert says in error["message"] and not spoken.prompts


def test_the_guard_reads_what_is_continued_but_not_what_is_scored(
    serve: Serve, spoken: Any
) -> None:
    asked: list[str] = []
    heart = notice("heart", "US")

    def remarks(messages: Any) -> Remarks:
        asked.append(messages[-1]["content"])
        return Remarks(notice=heart) if "chest" in asked[-1] else Remarks(instead="Out of scope.")

    client = serve(spoken, remarks=remarks)
    assert client.post(URL, json=body("My chest")).json()["choices"][0]["notice"]["kind"] == "heart"
    blocked = client.post(URL, json=body("Write a poem")).json()["choices"][0]
    assert (blocked["text"], blocked["finish_reason"]) == ("Out of scope.", "stop")
    assert asked == ["My chest", "Write a poem"] and len(spoken.prompts) == 1
    client.post(URL, json=body("Write a poem", echo=True, logprobs=1, max_tokens=1))
    assert len(asked) == 2 and len(spoken.scored) == 1


def test_an_error_while_reading_is_said_without_details(serve: Serve, spoken: Any) -> None:
    client = serve(spoken)
    spoken.error = ValueError("secret path")
    response = client.post(URL, json=body(echo=True, logprobs=1, max_tokens=1))
    assert response.status_code == 500 and "secret" not in response.text
    spoken.error = None
    assert client.post(URL, json=body(logprobs=1, max_tokens=1)).status_code == 200


QUESTIONS = [
    Question("medical", f"{n}", f"What is {name}?", options, n % 4)
    for n, (name, options) in enumerate(
        (
            ("gout", ["a disease of joints", "a plant", "a colour", "an old town of Spain"]),
            ("the heart", ["an organ", "a bone in the foot", "pain", "two fevers"]),
            ("µg", ["a unit", "µ", "a gas; it is 3 × heavier than air", "x"]),
            ("a fever", ["heat", "cold feet", "a long illness of the lungs", "nothing"]),
        )
    )
]


def log_likelihood(client: TestClient, prompt: list[int], option: list[int]) -> float:
    """Asks as lm-evaluation-harness's `local-completions` does, and reads what it reads."""
    asked = {
        "model": "finetuned",
        "prompt": [prompt + option],
        "temperature": 0,
        "max_tokens": 1,
        "logprobs": 1,
        "seed": 1234,
        "echo": True,
    }
    response = client.post(URL, json=asked)
    assert response.status_code == 200, response.text
    found = response.json()["choices"][0]["logprobs"]
    own, top = (found[key][len(prompt) : -1] for key in ("token_logprobs", "top_logprobs"))
    assert len(own) == len(option)
    assert all(max(each.values()) >= value for value, each in zip(own, top, strict=True))
    return math.fsum(own)


@pytest.mark.slow
def test_multiple_choice_through_the_server_agrees_with_the_evaluate_stage(
    build: Callable[..., Any], base_folder: Path, encoder: PromptEncoder
) -> None:
    rows = answer_choices(load_base(folder=base_folder), encoder, QUESTIONS).to_pylist()
    with TestClient(build(ContinuousBatch(load_base(folder=base_folder)))) as client:
        for question, row in zip(QUESTIONS, rows, strict=True):
            prompt = encoder.question_ids(question.question)
            scores = [
                log_likelihood(client, prompt, encoder.answer_ids(text)) / len(text)
                for text in question.options
            ]
            weights = [math.exp(score - max(scores)) for score in scores]
            assert scores.index(max(scores)) == row["chosen"]
            assert max(weights) / sum(weights) == pytest.approx(row["probability"], abs=1e-5)
    assert len({row["chosen"] for row in rows}) > 1, json.dumps(rows)
