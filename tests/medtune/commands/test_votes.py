"""The command over made-up votes."""

import json
import math
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from medtune.commands import votes as command
from medtune.judging.votes import VOTES
from medtune.runtime.errors import InputError
from tests.medtune.judging.test_votes import vote

ROOT = Path(command.__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    VOTES.parent.mkdir(parents=True)
    return tmp_path


def cast(*votes: Any) -> None:
    lines = [json.dumps(asdict(each)) + "\n" for each in votes]
    VOTES.write_text("".join(lines), encoding="utf-8")


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
    page = command.PAGE.read_text(encoding="utf-8")
    assert "Win rate of the fine-tuned model: 0.80" in page
    assert "&lt;definition&gt;" in page and "<definition>" not in page and "<script" not in page
    first = page
    command.votes()
    assert command.PAGE.read_text(encoding="utf-8") == first
    command.votes(every=True)
    assert "11 votes" in capsys.readouterr().out


def test_a_tie_is_half_a_win_and_votes_on_one_question_are_no_more_questions() -> None:
    ties = [vote("both_good", question=f"{n}?") for n in range(2)]
    assert command.win_rate([*ties, vote("a", question="x?")], 0.95)["win_rate"] == pytest.approx(
        2 / 3
    )
    pair = [vote("a", question="1?"), vote("b", question="2?")]
    again = [*pair, *(vote(each.choice, question=each.question, voter="bob") for each in pair)]
    assert command.win_rate(again, 0.95) == command.win_rate(pair, 0.95)
    assert math.isnan(command.win_rate([vote()], 0.95)["ci_low"])


def test_without_votes_one_line_says_how_to_cast_some(project: Path) -> None:
    with pytest.raises(InputError, match="has no votes: vote on the page of `make chat`"):
        command.votes()
    cast(vote(adapter="other"))
    with pytest.raises(InputError, match="but 1 on others"):
        command.votes()
