import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from benchmarks import train
from benchmarks.trainers import Clock, Job
from medtune.modeling.token_files import SCHEMA, token_writer
from medtune.runtime.errors import InputError
from tests import warm_python

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    for split, size in (("train", 40), ("validation", 8)):
        ids = [[1, *range(10, 14 + n % 5), 2] for n in range(size)]
        columns: dict[str, Any] = {field.name: [None] * size for field in SCHEMA}
        columns |= {"input_ids": ids, "loss_start": [3] * size}
        with token_writer(tmp_path / f"{split}.arrow") as writer:
            writer.write_table(pa.table(columns, SCHEMA))
    return tmp_path


@pytest.mark.slow
def test_arms_train_on_the_same_tokens_to_the_same_loss(
    base_folder: Path,
    tokens: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "executable", str(warm_python.folder() / "python"))
    options = f"--arms hf_dynamic --cards 32 --rounds 1 --threads 1 --model {base_folder}"
    arguments = [*options.split(), "--tokens", str(tokens), "--output", str(tokens / "rows.csv")]
    monkeypatch.setattr(sys, "argv", ["train", *arguments])
    train.main()
    rows = pd.read_csv(tokens / "rows.csv", index_col="arm")
    assert rows.index.tolist() == ["HF Trainer, dynamic padding", "medtune"]
    first, own = rows["validation_loss"]
    assert own == pytest.approx(first, rel=0.03)  # they shuffle in different ways
    assert (rows["tokens_per_s"] > 0).all() and (rows["peak_memory_gib"] > 0).all()
    assert "| medtune " in capsys.readouterr().out


@pytest.mark.slow
def test_an_arm_that_fails_stops_the_comparison(
    base_folder: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    python = str(warm_python.folder() / "python")
    job = Job("ours", str(base_folder), str(tokens / "missing"), cards=16, threads=1)
    with pytest.raises(InputError, match="the arm ours stopped: see its error above"):
        train.run(python, job)


def test_a_missing_package_is_reported_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    message = "the arm trl_packing needs trl, .*: pip install -r benchmarks/requirements.txt"
    with pytest.raises(InputError, match=message):
        train.check_arms(["ours", "trl_packing"], None)
    with pytest.raises(InputError, match="names 'unsloth', which is unknown: choose from hf_pad"):
        train.check_arms(["unsloth"], None)
    with pytest.raises(InputError, match="the arm litgpt needs --litgpt-python"):
        train.check_arms(["litgpt"], None)


def test_the_first_step_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    clock = Clock(50 + 10 * 4)
    for tokens in (50, 10, 10, 10, 10):
        now[0] += 2
        clock.count(tokens)
        clock.end_step()
    assert clock.finished()["tokens_per_s"] == 40 / 8


def test_an_arm_that_saw_other_tokens_is_no_comparison() -> None:
    clock = Clock(31)
    clock.count(30)
    with pytest.raises(AssertionError, match="30 useful tokens were trained on, not 31"):
        clock.finished()
    clock.count(1)
    clock.end_step()
    with pytest.raises(InputError, match="a single step: raise --cards"):
        clock.finished()
