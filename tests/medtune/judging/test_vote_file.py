import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from medtune.judging.vote_file import Vote, adapter_digest, pair_id, read_votes
from medtune.runtime.errors import InputError


def vote(choice: str = "a", a: str = "finetuned", **fields: Any) -> Vote:
    known: dict[str, Any] = {
        "voter": "ada",
        "id": "card 1",
        "kind": "definition",
        "question": "What is gout?",
        "base": "A plant.",
        "finetuned": "A disease.",
        "a": a,
        "choice": choice,
        "seconds": 8.0,
        "adapter": "",
    }
    known |= fields
    texts = (known["question"], known["base"], known["finetuned"])
    return Vote(**{"pair": pair_id(*texts), **known})


def write(path: Path, *votes: Vote) -> Path:
    path.write_text("".join(json.dumps(asdict(each)) + "\n" for each in votes), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("choice", "a", "outcome"),
    [
        ("a", "finetuned", 1),
        ("b", "finetuned", -1),
        ("a", "base", -1),
        ("b", "base", 1),
        ("both_good", "base", 0),
        ("both_bad", "finetuned", 0),
    ],
)
def test_a_vote_is_for_the_model_whose_answer_stood_there(
    choice: str, a: str, outcome: int
) -> None:
    assert vote(choice, a).outcome == outcome


def test_of_one_voters_votes_on_the_same_answers_the_last_counts(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    assert read_votes(path) == []
    last = vote("b", seconds=3.0)
    other = vote("both_bad", base="An animal.")
    write(path, vote("a"), vote("a", voter="bob"), other, last)
    assert read_votes(path) == [last, vote("a", voter="bob"), other]


def test_a_vote_from_before_pairs_had_ids_counts_with_the_later_ones(tmp_path: Path) -> None:
    old = asdict(vote("a"))
    del old["pair"]
    path = write(tmp_path / "votes.jsonl", vote("b"))
    path.write_text(path.read_text() + json.dumps(old) + "\n", encoding="utf-8")
    assert read_votes(path) == [vote("a")]


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "{}", json.dumps(asdict(vote("c"))), json.dumps(asdict(vote(pair=3)))],
)
def test_a_line_that_is_no_vote_is_named(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "votes.jsonl", vote())
    path.write_text(path.read_text() + "\n" + line + "\n")
    with pytest.raises(InputError, match=r"votes\.jsonl, line 3 is not a vote"):
        read_votes(path)


def test_the_digest_is_that_of_the_weights(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    assert adapter_digest(path) == ""
    path.write_bytes(b"abc")
    assert adapter_digest(path) == "ba7816bf8f01cfea"
