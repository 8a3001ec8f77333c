import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import data
from benchmarks.cards import SCHEMA
from medtune.modeling.token_files import SCHEMA as TOKEN_SCHEMA
from medtune.modeling.token_files import token_writer
from medtune.runtime.errors import InputError
from tests import warm_python
from tests.stages.compare_inputs import cards, write_inputs

ROOT = Path(__file__).parents[2]
TOKENS = {"input_ids": [1, 2, 3], "prompt_length": 2, "loss_start": 2, "truncated": False}
CHILD = "import time; x = bytearray(200 << 20); time.sleep(0.7)"


def test_costs_exclude_the_start_and_alternatives_are_compared_with_them() -> None:
    seconds = {data.START_CARDS: 1.0, 1000: 2.0, 4000: 3.0}
    rows = [
        {"cards": cards, "stage": stage, "seconds": s, "peak_memory_gib": s / 2}
        for cards, s in seconds.items()
        for stage in data.PEERS
    ]
    table, cost_us = data.summary(pd.DataFrame(rows))
    assert table.loc["split"].tolist() == [
        *("2.0 s", "3.0 s", "1000 → 500", "0.50 ×", "1.50 GiB", "1,333")
    ]
    assert table.loc["all three", "4,000 cards"] == "9.0 s"
    peer = {"stage": "split", "alternative": "x", "seconds": 6.0, "cards": 4000}
    compared = data.compare(pd.DataFrame([peer | {"peak_memory_gib": 1.0}]), cost_us[4000])
    assert compared.loc["split"].tolist() == ["x", "6.0 s", "1500", "3.00 ×", "1.00 GiB"]


def test_memory_beyond_the_start_is_the_difference_of_the_peaks() -> None:
    gib = {data.START_CARDS: 0.5, 1000: 0.75, 4000: 1.0}
    rows = [
        {"cards": n, "stage": stage, "peak_memory_gib": g * k}
        for n, g in gib.items()
        for stage, k in (("clean", 1), ("train", 2))
    ]
    table = data.memory(pd.DataFrame(rows))
    assert table.columns.tolist() == ["200 cards", "4,000 cards", "difference"]
    assert table.loc["train"].tolist() == ["1.00 GiB", "2.00 GiB", "1.00 GiB"]
    assert table.index.tolist() == ["clean", "train"]


@pytest.mark.slow
def test_memory_of_children_counts_and_shared_memory_counts_once(tmp_path: Path) -> None:
    starts = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"
    forks = "import os, time; x = bytearray(200 << 20); os.fork(); time.sleep(0.7)"
    for code in (starts, forks):
        cost = data.run([sys.executable, "-c", code], tmp_path)
        assert 0.195 < cost.peak_memory_gib < 0.25
        assert 0.7 < cost.seconds < 20


class EndsWhenMeasured:
    """A process that shares 100 bytes with its child and ends once they were counted."""

    ended = False

    def memory_info(self) -> SimpleNamespace:
        return SimpleNamespace(rss=0 if self.ended else 100)

    def memory_full_info(self) -> SimpleNamespace:
        self.ended = True
        return SimpleNamespace(pss=50)

    def children(self, recursive: bool) -> list[SimpleNamespace]:
        sizes = SimpleNamespace(rss=100, pss=100)
        return [SimpleNamespace(memory_info=lambda: sizes, memory_full_info=lambda: sizes)]


def test_a_sample_in_which_a_process_ended_does_not_count() -> None:
    assert data._memory_bytes(EndsWhenMeasured()) == 0  # type: ignore[arg-type]


def test_a_command_that_fails_is_one_line(tmp_path: Path) -> None:
    code = "import sys; print('first', file=sys.stderr); sys.exit('no cards')"
    with pytest.raises(InputError, match=r"ended with code 1: no cards$"):
        data.run([sys.executable, "-c", code], tmp_path)


@pytest.fixture
def project(tmp_path: Path, base_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the benchmark reads: a small base model, cards and a run's results."""
    write_inputs(tmp_path)
    for name in ("test", "validation"):
        rows = [{**card, **TOKENS} for card in cards(12, name)]
        with token_writer(tmp_path / f"data/tokens/{name}.arrow") as writer:
            writer.write_table(pa.Table.from_pylist(rows, schema=TOKEN_SCHEMA))
    (tmp_path / "models/adapter/adapter_model.safetensors").write_bytes(b"weights")
    shutil.copy(base_folder / "tokenizer.json", tmp_path / "models/adapter")
    (tmp_path / "models/base").symlink_to(base_folder)
    linked = ("benchmarks", "custom_metrics", "dvc.yaml", "launch", "medtune", "presets", "stages")
    for name in linked:
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "data/clean").mkdir(parents=True)
    names = [f"{a}{b}{c}ia" for a in "bdfgklmn" for b in "aeiou" for c in "prstvxz"]
    rows = [
        (f"What is {name}?", f"A rare disease of the {other} and its vessels.", "definition", name)
        for name, other in zip(names, reversed(names), strict=True)
    ]
    columns = [list(column) for column in zip(*rows, strict=True)]
    pq.write_table(pa.table(columns, SCHEMA), tmp_path / data.RECORDS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_stages_and_alternatives_run_on_made_cards(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Forks of a process with all libraries take no time to start; their memory is not measured.
    monkeypatch.setattr(sys, "executable", str(warm_python.folder() / "python"))
    monkeypatch.setattr(data, "START_CARDS", 150)
    stages = data.Project.stages

    def with_made_up_start(project: data.Project, number: int) -> list[dict[str, Any]]:
        """The stages' costs; with few cards, where they would only run once more, made-up ones."""
        with pytest.MonkeyPatch.context() as patch:
            if project.size == data.START_CARDS:
                patch.setattr(data, "run", lambda *_, **__: data.Cost(0.1, 0.03, ""))
                patch.setattr(data.Project, "take_over_the_default", lambda self: None)
            return stages(project, number)

    monkeypatch.setattr(data.Project, "stages", with_made_up_start)
    options = "--sizes 400 --compared 400 --rounds 1 --output trial.csv"
    monkeypatch.setattr(sys, "argv", ["data", *options.split()])
    data.main()
    rows = pd.read_csv("trial.csv")
    assert rows["cards"].tolist() == [150] * 9 + [400] * 9
    assert (rows["seconds"] > 0).all() and (rows["peak_memory_gib"] > 0).all()
    printed = capsys.readouterr().out
    assert "| all three |" in printed and printed.count("| tokenize ") == 3
    for stage in (*data.STARTS, *data.AFTER_TRAINING):
        assert f"| {stage} " in printed
    assert "pandas `apply`" in printed and "datasketch" not in printed


@pytest.mark.slow
def test_a_run_of_the_default_must_be_there_before_anything_is_measured(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree("models/adapter")
    monkeypatch.setattr(data, "measure", lambda *_: pytest.fail("it began to measure"))
    monkeypatch.setattr(sys, "argv", ["data", "--sizes", "400", "--compared", "400"])
    with pytest.raises(SystemExit):
        data.main()
    assert "models/adapter is missing: run dvc repro compare" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--sizes 1000 --compared 5", "--compared must be one of --sizes, got 5"),
        ("--sizes 100 --compared 100", "each of --sizes above 200"),
        ("--sizes 1000 --compared 1000 --rounds 0", "--rounds must be at least 1"),
        ("--sizes 1000 --compared 1000", "models/base/tokenizer.json is missing"),
    ],
)
def test_wrong_arguments_are_one_line(
    options: str,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["data", *options.split()])
    with pytest.raises(SystemExit):
        data.main()
    line = capsys.readouterr().err
    assert says in line and line.count("\n") == 1
