import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import openai
import pytest
from fastapi.testclient import TestClient

from app.guard_remarks import GAP, Remarker, Remarks, own_words
from medtune.guard.classifier import Assessment
from medtune.guard.notices import caution, notice, off_topic, support

URL = "/v1/chat/completions"
SAID, ASK, HELP = "abc", caution(), support()
OUT_OF_SCOPE, WARNING = off_topic("block"), off_topic("warn")
HEART, CRISIS = notice("heart"), notice("self_harm")
CALL = HEART.plain
TOPICS = ("gout", "chest", "dose")


def check(question: str, earlier: Sequence[str] = ()) -> Assessment:
    """Judges by single words, as a guard with its rules does."""
    distress = any("sad" in asked for asked in (question, *earlier))
    kinds = {"chest": "heart", "rope": "self_harm"}
    kind = next((kind for word, kind in kinds.items() if word in question), None)
    return Assessment(
        medical=distress or kind is not None or any(topic in question for topic in TOPICS),
        emergency=kind,
        caution="dose" in question,
        distress=distress,
        support="suicide" in question,
    )


def turns(*questions: str) -> list[dict[str, str]]:
    said = [[("user", text), ("assistant", "It is.")] for text in questions]
    flat = [pair for turn in said for pair in turn][:-1]
    return [{"role": "system", "content": "gout"}] + [{"role": r, "content": t} for r, t in flat]


@pytest.mark.parametrize(
    ("scope", "questions", "expected"),
    [
        ("block", ["What is gout?"], Remarks()),
        ("block", ["Which dose?"], Remarks(after=ASK)),
        ("block", ["My chest hurts, which dose?"], Remarks(HEART, after=ASK)),
        ("block", ["What is Rome?"], Remarks(instead=OUT_OF_SCOPE)),
        ("warn", ["What is Rome?"], Remarks(after=WARNING)),
        ("off", ["What is Rome?"], Remarks()),
        ("off", ["My chest hurts"], Remarks(HEART)),
        ("block", ["What is gout?", "and in children?"], Remarks()),
        ("block", ["What is gout?", "Rome?", "and in children?", "and in adults?"], Remarks()),
        ("block", ["What is gout?", "Is it seen more often in old people?"], Remarks()),
        (
            "block",
            ["What is gout?", "Who won the cup in Rome in 1990?"],
            Remarks(instead=OUT_OF_SCOPE),
        ),
        ("block", ["What is gout?", *["Rome?"] * 5], Remarks(instead=OUT_OF_SCOPE)),
        ("block", ["What is Rome?", "and Paris?"], Remarks(instead=OUT_OF_SCOPE)),
        ("block", ["My chest hurts", "What is gout?"], Remarks()),
        (
            "block",
            ["I am so sad", "What is Rome?", "And Paris?"],
            Remarks(after=HELP, distress=True),
        ),
        ("block", ["Does gout cause suicide?"], Remarks(after=HELP)),
        ("block", ["Does gout cause suicide?", "What is gout?"], Remarks()),
        ("warn", ["I am so sad", "What is Rome?"], Remarks(after=HELP, distress=True)),
        ("block", ["I am so sad", "I have a rope"], Remarks(CRISIS, instead=HELP, distress=True)),
        (
            "block",
            ["I am so sad", "Which dose?"],
            Remarks(after=f"{ASK}{GAP}{HELP}", distress=True),
        ),
    ],
)
def test_the_last_question_is_judged_with_what_it_follows(
    scope: Any, questions: list[str], expected: Remarks
) -> None:
    assert Remarker(check, scope).remarks(turns(*questions)) == expected


def test_a_region_and_a_language_choose_the_numbers_and_the_words() -> None:
    def found(question: str, earlier: Sequence[str]) -> Assessment:
        return Assessment(True, "self_harm", language="de")

    remarks = Remarker(found, "block", "DE").remarks(turns("Ich will nicht mehr"))
    assert remarks.notice == notice("self_harm", "DE", "de")


CASES = [
    ("I have a rope", "warn", f"{CRISIS.plain}{GAP}{HELP}", 0),
    ("My chest hurts", "warn", f"{CALL}{GAP}{SAID}", 4),
    ("Which dose?", "warn", f"{SAID}{GAP}{ASK}", 4),
    ("What is gout?", "block", SAID, 4),
    ("What is Rome?", "off", SAID, 4),
    ("What is Rome?", "warn", f"{SAID}{GAP}{WARNING}", 4),
    ("What is Rome?", "block", OUT_OF_SCOPE, 0),
]


@pytest.fixture
def spoken(batch: Any) -> Callable[[], Any]:
    """Makes batches that say SAID."""

    def made() -> Any:
        return type(batch)([*SAID.encode()])

    return made


@pytest.fixture
def guarded(build: Any, encoder: Any, spoken: Any) -> Callable[..., Any]:
    def built(scope: Any, *batches: Any, **settings: Any) -> Any:
        for each in batches:
            each.reply = [*encoder.answer_ids(SAID), encoder.end_id]
        return build(*batches, remarks=Remarker(check, scope).remarks, **settings)

    return built


@pytest.mark.slow
@pytest.mark.parametrize(("question", "scope", "expected", "tokens"), CASES)
def test_the_openai_client_gets_the_fixed_texts(
    guarded: Any, spoken: Any, listen: Any, question: str, scope: str, expected: str, tokens: int
) -> None:
    finetuned, base = spoken(), spoken()
    asked: dict[str, Any] = {"model": "base", "messages": [{"role": "user", "content": question}]}
    with listen(guarded(scope, finetuned, base)) as address:
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
        whole = client.chat.completions.create(**asked)
        options = {"stream": True, "stream_options": {"include_usage": True}}
        *chunks, last = client.chat.completions.create(**asked, **options)
    assert whole.choices[0].message.content == expected
    notices = [getattr(whole, "notice", None), getattr(chunks[0], "notice", None)]
    due = next((asdict(each) for each in (HEART, CRISIS) if expected.startswith(each.plain)), None)
    assert notices == [json.loads(json.dumps(due))] * 2
    assert whole.choices[0].finish_reason == "stop"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == expected
    assert chunks[-1].choices[0].finish_reason == "stop"
    for usage in (whole.usage, last.usage):
        assert usage.completion_tokens == tokens and usage.prompt_tokens > 0
    assert len(base.prompts) == (2 if tokens else 0)


def sent(question: str, stream: bool) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}]
    return {"model": "finetuned", "messages": messages, "stream": stream}


@pytest.mark.slow
def test_an_emergency_is_answered_before_the_first_token(
    guarded: Any, spoken: Any, listen: Any
) -> None:
    batch = spoken()
    batch.step_s = 0.5
    with (
        listen(guarded("block", batch)) as address,
        openai.OpenAI(base_url=f"{address}/v1", api_key="none") as client,
    ):
        start = time.monotonic()
        chunks = iter(client.chat.completions.create(**sent("My chest hurts", True)))
        assert next(chunks).choices[0].delta.content == CALL
        assert time.monotonic() - start < 0.5
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == GAP + SAID


@pytest.mark.parametrize("stream", [True, False])
def test_an_emergency_is_answered_though_all_places_are_taken(
    guarded: Any, spoken: Any, stream: bool
) -> None:
    app = guarded("block", spoken())
    with TestClient(app) as client:
        client.portal.call(app.state.assistant.engine.stop)  # type: ignore[union-attr]
        assert client.post(URL, json=sent("What is gout?", stream)).status_code == 503
        response = client.post(URL, json=sent("My chest hurts", stream))
    assert response.status_code == 200
    first = response.text.splitlines()[0].removeprefix("data: ")
    choice = json.loads(first)["choices"][0]
    assert choice["delta" if stream else "message"]["content"] == CALL


@pytest.mark.slow
def test_an_emergency_is_answered_though_the_model_fails(guarded: Any, spoken: Any) -> None:
    batch = spoken()
    batch.error = MemoryError("no room")
    with TestClient(guarded("block", batch)) as client:
        choice = client.post(URL, json=sent("My chest hurts", False)).json()["choices"][0]
        assert (choice["message"]["content"], choice["finish_reason"]) == (CALL, "length")
        assert client.post(URL, json=sent("What is gout?", False)).status_code == 500


@pytest.mark.slow
def test_an_answer_that_is_left_before_it_is_generated_costs_nothing(
    guarded: Any, spoken: Any, listen: Any
) -> None:
    batch = spoken()
    with listen(guarded("block", batch)) as address:
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="none")
        with client.chat.completions.create(**sent("What is Rome?", True)) as chunks:
            next(iter(chunks))
        assert client.chat.completions.create(**sent("What is gout?", False)).usage
    assert len(batch.prompts) == 1


def test_the_model_does_not_see_the_fixed_texts_of_earlier_answers(
    guarded: Any, spoken: Any
) -> None:
    batch = spoken()
    remarked = [notice("stroke", "US", "fr").plain, "It is gout.", ASK, support("GB"), WARNING]
    with TestClient(guarded("off", batch)) as client:
        for answer in ("It is gout.", GAP.join(remarked), GAP.join(remarked[1:4])):
            messages = turns("My chest hurts", "Why?")
            messages[2]["content"] = answer
            body = {"model": "finetuned", "messages": messages}
            assert client.post(URL, json=body).status_code == 200
    assert batch.prompts[0] == batch.prompts[1] == batch.prompts[2]


@pytest.mark.slow
@pytest.mark.parametrize("before", [[], ["What is gout?"]])
def test_an_emergency_that_is_too_long_is_answered_by_the_fixed_text_alone(
    guarded: Any, spoken: Any, before: list[str]
) -> None:
    with TestClient(guarded("block", spoken(), max_prompt_tokens=200)) as client:

        def ask(*questions: str) -> Any:
            body = {"model": "finetuned", "messages": turns(*questions)}
            return client.post(URL, json=body).json()

        answer = ask(*before, "My chest hurts! " * 200)
        assert answer["choices"][0]["message"]["content"] == CALL
        assert answer["usage"]["completion_tokens"] == 0
        assert "error" in ask(*before, "What is gout? " * 200)
        shorter = ask("What is gout? " * 20, "My chest hurts")  # fits without its first turn
        assert shorter["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize("text", [OUT_OF_SCOPE, WARNING, CALL, ASK, HELP])
def test_a_fixed_text_alone_holds_no_words_of_the_model(text: str) -> None:
    assert own_words(text) == "" and own_words(f"It is.{GAP}{text}") == "It is."
