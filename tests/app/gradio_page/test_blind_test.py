"""The handlers of the blind test over a stand-in engine, called as Gradio calls them."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.gradio_page import blind_test
from app.gradio_page.blind_pairs import Pair
from app.gradio_page.blind_test import BlindTest, BlindTestParts
from app.gradio_page.conversations import Conversations
from app.gradio_page.nearest_cards import NearestCards
from app.guard_remarks import Remarks
from medtune.guard.notices import notice
from medtune.judging.vote_file import OWN_QUESTION, Vote, read_votes
from medtune.modeling.prompts import PromptEncoder
from tests.app.gradio_page.conftest import ME

PAIRS = [Pair(f"{n}", "sign", f"Why <{n}>?", f"by base {n}", f"by tuned {n}") for n in range(3)]
PARTS = BlindTestParts(*BlindTestParts._fields)  # a name stands for a component


@pytest.fixture(autouse=True)
def votes_may_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blind_test, "SOONEST_S", 0.0)


@pytest.fixture
def make(build: Callable[..., Any], tmp_path: Path) -> Callable[..., BlindTest]:
    """Makes the handlers over batches."""

    def made(*batches: Any, pairs: list[Pair] = PAIRS, **settings: Any) -> BlindTest:
        assistant = build(*batches, run=True, **settings).state.assistant
        conversations = Conversations(assistant, NearestCards([]))
        return BlindTest(conversations, pairs, "digest", PARTS, tmp_path / "votes.jsonl")

    return made


def test_a_vote_that_comes_with_the_pair_was_meant_for_the_one_before(
    make: Any, batch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blind_test, "SOONEST_S", 60.0)
    test = make(batch, type(batch)())

    async def run() -> str:
        await test.next("ada", ME)
        return (await test.vote("a", "ada", ME))["note"]

    assert asyncio.run(run()) == "That was quick: please read both answers first."
    assert read_votes(test.path) == []


def test_a_vote_is_kept_with_what_was_shown_and_the_next_pair_follows(
    make: Any, batch: Any
) -> None:
    test = make(batch, type(batch)())

    async def run() -> list[dict[str, Any]]:
        seen = [await test.next("ada", ME)]
        for choice in ("a", "b", "both_bad"):
            seen.append(await test.vote(choice, " ada ", ME))
        seen.append(await test.vote("a", "ada", ME))
        return seen

    seen = asyncio.run(run())
    votes = read_votes(test.path)
    assert [(vote.id, vote.choice, vote.voter) for vote in votes] == [
        ("0", "a", "ada"),
        ("1", "b", "ada"),
        ("2", "both_bad", "ada"),
    ]
    for vote, shown in zip(votes, seen, strict=False):
        first, second = (getattr(vote, name) for name in sides(vote))
        assert shown["shown"].index(first) < shown["shown"].index(second)
        assert f"Why &lt;{vote.id}&gt;?" in shown["shown"] and vote.adapter == "digest"
    assert "voted on all test questions" in seen[3]["note"] and seen[3]["shown"] == ""
    assert seen[1]["note"] == "1 vote saved." and seen[4]["note"] == "Open a question first."


def sides(vote: Vote) -> tuple[str, str]:
    return ("base", "finetuned") if vote.a == "base" else ("finetuned", "base")


@pytest.mark.slow
def test_nothing_that_the_page_gets_tells_the_models_apart(make: Any, batch: Any) -> None:
    pair = Pair("0", "sign", "Why?", "one text", "other text")
    test = make(batch, type(batch)(), pairs=[pair])

    async def shown() -> str:
        return json.dumps({str(k): v for k, v in (await test.next("", ME)).items()})

    found = {asyncio.run(shown()) for _ in range(64)}
    assert len(found) == 2
    for text in found:
        assert not [word for word in ("base", "tuned", "Base", "digest", "sign") if word in text]
    plain = {text.replace("one", "_").replace("other", "_") for text in found}
    assert len(plain) == 1


def test_a_voter_who_comes_back_goes_on_and_another_starts_anew(make: Any, batch: Any) -> None:
    test = make(batch, type(batch)())

    async def run() -> list[str]:
        await test.next("ada", ME)
        await test.vote("a", "ada", ME)
        again: Any = SimpleNamespace(session_hash="again")
        return [(await test.next(name, again))["shown"] for name in ("ada", "bob", "", None)]

    assert ["&lt;1" in text for text in asyncio.run(run())] == [True, False, False, False]


def test_an_own_question_is_shown_when_both_models_have_answered(
    make: Any, batch: Any, encoder: PromptEncoder
) -> None:
    base = type(batch)([*encoder.answer_ids("By base."), encoder.end_id])
    batch.reply = [*encoder.answer_ids("By tuned."), encoder.end_id]
    test = make(batch, base)

    async def run() -> list[dict[str, Any]]:
        updates = [each async for each in test.ask("What is gout?", ME)]
        return [*updates, await test.vote("both_good", None, ME)]

    updates = asyncio.run(run())
    texts = [each["shown"] for each in updates if each.get("shown")]
    assert (
        all("By base." in text and "By tuned." in text for text in texts[:-1]) and len(texts) == 2
    )
    (vote,) = read_votes(test.path)
    assert (vote.kind, vote.id, vote.question) == (OWN_QUESTION, "", "What is gout?")
    assert (vote.base, vote.finetuned) == ("By base.", "By tuned.")
    assert vote.voter.startswith("anonymous-")


def test_equal_answers_and_empty_questions_are_not_voted_on(make: Any, batch: Any) -> None:
    test = make(batch, type(batch)())

    async def run(question: str) -> str:
        return [each async for each in test.ask(question, ME)][-1]["note"]

    assert "the same" in asyncio.run(run("What is gout?"))
    assert "Type a question" in asyncio.run(run(" "))
    assert test.conversations.of("me").shown is None


def test_an_emergency_shows_its_notice_before_the_answers(
    make: Any, batch: Any, encoder: PromptEncoder
) -> None:
    heart = notice("heart", "US")
    batch.reply = [*encoder.answer_ids("Rest."), encoder.end_id]
    test = make(batch, type(batch)(), remarks=lambda _: Remarks(notice=heart))

    async def run() -> list[dict[str, Any]]:
        return [each async for each in test.ask("My chest hurts", ME)]

    updates = asyncio.run(run())
    alerts = [n for n, each in enumerate(updates) if 'role="alert"' in each.get("alert", "")]
    shown = [n for n, each in enumerate(updates) if each.get("shown")]
    assert alerts and shown and alerts[0] < shown[0]
    assert heart.title not in updates[shown[0]]["shown"]


def test_a_vote_that_cannot_be_saved_can_be_cast_again(make: Any, batch: Any) -> None:
    test = make(batch, type(batch)())
    test.path.mkdir()

    async def run() -> str:
        test.conversations.of("me").shown = None
        await test.next("ada", ME)
        return (await test.vote("a", "ada", ME))["note"]

    assert "could not be saved" in asyncio.run(run())
    test.path.rmdir()
    assert "1 vote saved." in asyncio.run(test.vote("a", "ada", ME))["note"]
