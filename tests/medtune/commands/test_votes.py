"""The command over made-up votes."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from medtune.commands import votes as command
from medtune.judging.vote_file import VOTES, Vote
from medtune.report.costs import run_mark
from medtune.runtime.atomic_files import write_json
from medtune.runtime.errors import InputError
from tests.medtune.judging.test_vote_file import vote


@pytest.fixture
def project(new_project: Path) -> Path:
    VOTES.parent.mkdir(parents=True)
    return new_project


def cast(*votes: Any) -> None:
    lines = [json.dumps(asdict(each)) + "\n" for each in votes]
    VOTES.write_text("".join(lines), encoding="utf-8")


@pytest.mark.slow
def test_the_win_rate_is_told_with_interval_agreement_and_kinds(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wins = [vote("a", question=f"{n}?", kind="<definition>") for n in range(6)]
    losses = [vote("b", question=f"{n}!", kind="sign") for n in range(2)]
    seconds = [vote("a", question=f"{n}?", kind="<definition>", voter="bob") for n in range(2)]
    cast(*wins, *losses, *seconds, vote("a", question="old?", adapter="other"))
    command.votes()
    said = capsys.readouterr().out
    assert "win rate of the fine-tuned model: 0.80 (" in said and "95% interval" in said
    assert "10 votes of 2 voters on 8 pairs" in said
    assert "agreement between voters: 1.00 of 2 pairs" in said
    assert "left out: 1 votes" in said
    found = json.loads(command.RESULTS.read_text())
    assert 0 < found["ci_low"] < 0.8 < found["ci_high"] <= 1
    assert found["kinds"]["sign"] == {"n": 2, "win_rate": 0.0, "ci_low": None, "ci_high": None}
    command.votes(every=True)
    assert "11 votes" in capsys.readouterr().out


@pytest.mark.slow
def test_the_report_gets_the_votes_on_its_own_answers_alone(project: Path) -> None:
    cast(vote(kind="</script>"), vote("a", question="old?", adapter="other"))
    script = command.RESULTS.with_suffix(".js")
    command.votes()
    assert not script.exists()  # no report to show them
    scores = {"rougeL.finetuned": 0.3}
    write_json(command.SCORES, scores)
    command.votes()
    written = script.read_text(encoding="utf-8")
    shown = json.loads(written.removeprefix("window.votes = ").rstrip(";\n"))
    assert shown["run"] == run_mark(scores) and shown["columns"] == ["kind", "votes", "win rate"]
    assert shown["rows"] == [["</script>", "1", "1.00 (no interval)"]]
    assert shown["lines"][1].startswith("1 votes of 1 voters on 1 pairs")
    command.votes(every=True)
    assert script.read_text(encoding="utf-8") == written


def test_a_tie_is_half_a_win_and_votes_on_one_question_are_no_more_questions() -> None:
    ties = [vote("both_good", question=f"{n}?") for n in range(2)]
    assert command.win_rate([*ties, vote("a", question="x?")], 0.95)["win_rate"] == pytest.approx(
        2 / 3
    )
    pair = [vote("a", question="1?"), vote("b", question="2?")]
    again = [*pair, *(vote(each.choice, question=each.question, voter="bob") for each in pair)]
    assert command.win_rate(again, 0.95) == command.win_rate(pair, 0.95)
    assert math.isnan(command.win_rate([vote()], 0.95)["ci_low"])


def test_counts_tell_models_sides_and_ties_apart() -> None:
    votes = [
        vote("a", "finetuned", question="1?", seconds=2.0),
        vote("a", "base", question="2?", seconds=4.0),
        vote("b", "base", question="3?", seconds=9.0),
        vote("a", "finetuned", question="4?", voter="bob"),
        vote("both_good", question="5?"),
        vote("both_bad", question="5?", voter="bob"),
    ]
    counts = command.counts_of(votes)
    assert {name: counts[name] for name in ("n", "voters", "questions", "wins", "losses")} == {
        "n": 6,
        "voters": 2,
        "questions": 5,
        "wins": 3,
        "losses": 1,
    }
    assert (counts["both_good"], counts["both_bad"], counts["first_share"]) == (1, 1, 0.75)
    assert counts["median_seconds"] == 8.0


def test_voters_agree_where_they_say_the_same_of_the_same_answers() -> None:
    def of(voter: str, *choices: str) -> list[Vote]:
        return [vote(choice, voter=voter, question=f"{n}?") for n, choice in enumerate(choices)]

    alike = command.agreement_of(of("ada", "a", "b", "a", "b") + of("bob", "a", "b", "a", "b"))
    assert alike == {"pairs": 4, "agreement": 1.0, "kappa": 1.0}
    three = command.agreement_of(
        of("ada", "a", "b") + of("bob", "b", "a") + of("eve", "a", "b", "a")
    )
    assert (three["pairs"], three["agreement"]) == (6, pytest.approx(1 / 3))
    assert three["kappa"] == pytest.approx(-1 / 3)
    alone = command.agreement_of(of("ada", "a", "b"))
    assert alone["pairs"] == 0 and math.isnan(alone["agreement"]) and math.isnan(alone["kappa"])


def test_without_votes_one_line_says_how_to_cast_some(project: Path) -> None:
    with pytest.raises(InputError, match="has no votes: vote on the page of `make chat`"):
        command.votes()
    cast(vote(adapter="other"))
    with pytest.raises(InputError, match="but 1 on others"):
        command.votes()
