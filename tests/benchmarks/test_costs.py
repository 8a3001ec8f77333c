from pathlib import Path

import pandas as pd
import pytest

from benchmarks import costs
from benchmarks.shapes import random_weights


@pytest.mark.slow
def test_training_and_answering_are_measured(tmp_path: Path) -> None:
    found = costs.measure(["tiny"], [64], tmp_path)
    assert found["tokens"].tolist() == [64]
    assert (found.drop(columns=["model", "tokens"]) > 0).all(axis=None)
    assert found["train_calculated_gib"].tolist() == pytest.approx(
        found["train_gib"].tolist(), rel=0.4
    )
    assert costs.measured_table(found).columns[0] == "tokens a card"


@pytest.mark.slow
def test_a_run_is_calculated_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random_weights("tiny", tmp_path, "cpu")
    monkeypatch.setattr(costs, "train_flops", lambda *_: 6.5e13)
    found = pd.DataFrame(
        {
            "model": ["tiny", "tiny"],
            "tokens": [64, 128],
            "train_tflops": [9.0, 0.5],
            "answers_tokens_per_s": [1.0, 256.0],
        }
    )
    minutes = costs.run_table(found, tmp_path).loc["tiny"]
    # 65 TFLOP at 0.5 a second, and 2 · 200 answers of 64 tokens at 256 a second
    assert minutes["here"] == f"{(130 + 100) / 60:.1f}"
    # 9 % of 65 TFLOP/s, and an H100's answers at 0.3 of its 3.35 TB/s
    assert minutes["T4"] == f"{(65 / (0.09 * 65) + 25_600 / (10_195 * 0.3 / 3.35)) / 60:.1f}"
