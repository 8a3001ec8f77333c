import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from medtune.commands import curve
from medtune.commands.comparable_runs import Runs
from medtune.commands.curve import by_cards, queue_commands, sizes
from medtune.commands.experiments import Experiment
from medtune.runtime.errors import InputError

PARAMS = {"preset": "mine", "seed": 42, "split.max_records.train": 1080}


def made(cards: int, commit: str = "abc") -> Experiment:
    """A run whose commit stands for its number of cards."""
    return Experiment(f"run{cards}", f"{commit}{cards}", PARAMS, {}, {})


def runs(full: int, *others: Experiment, queued: list[str] | None = None) -> Runs:
    here = made(full)
    return Runs(here, [here, *others], {"queued": queued or []})


@pytest.fixture(autouse=True)
def split_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    def text_of(commit: str, path: str) -> str:
        assert path == "metrics/split.json"
        return json.dumps({"train": int(commit.removeprefix("abc"))})

    monkeypatch.setattr(curve, "text_of", text_of)


def test_an_eighth_a_quarter_and_a_half_of_the_cards_are_queued() -> None:
    commands = queue_commands(runs(1080))
    assert [command[-1] for command in commands] == [
        *("split.max_records.train=135", "split.max_records.train=270"),
        "split.max_records.train=540",
    ]
    assert all(command[:4] == ["exp", "run", "--queue", "--name"] for command in commands)
    assert len({command[4] for command in commands}) == 3


def test_sizes_that_are_done_or_wait_are_not_queued_again() -> None:
    waiting = queue_commands(runs(1080))[0][4]
    left = queue_commands(runs(1080, made(270), queued=[waiting]))
    assert [command[-1] for command in left] == ["split.max_records.train=540"]


def test_runs_are_found_by_the_cards_that_they_trained_with() -> None:
    found = by_cards(runs(80, made(40), made(10), made(33)))
    assert sorted(found) == [10, 33, 40, 80]


def test_too_few_cards_are_refused() -> None:
    assert sizes(runs(16)) == [2, 4, 8, 16]
    with pytest.raises(InputError, match="an eighth of 15 training cards is fewer than 2"):
        sizes(runs(15))


@pytest.mark.slow
def test_the_picture_and_a_sentence_for_each_score_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers(found: list[Experiment]) -> list[Any]:
        hard = np.random.default_rng(0).normal(0, 0.1, 20)
        names = [f"card {n}" for n in range(20)]
        means = {f"abc{cards}": 0.1 * n for n, cards in enumerate((10, 20, 40, 80), 1)}
        tables = [pa.table({"rougeL": hard + means[run.commit]}) for run in found]
        return [table.append_column("group", pa.array(names)) for table in tables]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(curve, "finetuned_answers", answers)
    said = curve.draw({cards: made(cards) for cards in (10, 20, 40, 80)}, 0.95)
    assert said.splitlines()[0] == "Are more cards worth it?"
    assert said.splitlines()[1].startswith("ROUGE-L: yes; twice as many (160) would bring +0.100")
    assert curve.CURVE.stat().st_size > 10_000
    assert curve.CURVE.with_suffix(".csv").read_text().count("rougeL") == 5
