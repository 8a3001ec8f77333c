import csv
from pathlib import Path

import numpy as np
import pytest

from medtune.comparison.score_by_cards import LearningCurve, learning_curve
from medtune.report.score_by_cards_figure import sentence, write_curves
from medtune.scoring.scores import SCORES


def curves() -> list[LearningCurve]:
    generator = np.random.default_rng(0)
    hard = generator.normal(0, 0.1, 30)
    made = []
    for score in (score for score in SCORES if score.name in ("rougeL", "stopped_rate", "rouge1")):
        rows = [np.stack([hard + mean, np.ones(30)], axis=1) for mean in (0.2, 0.3, 0.4, 0.45)]
        made.append(learning_curve(score, (10, 20, 40, 80), rows, np.arange(30), 0.95))
    return made


@pytest.mark.slow
def test_picture_and_table_have_the_same_bytes_each_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_curves(curves(), 0.95, tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").stat().st_size > 10_000
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 3 * 5
    ahead = table[4]
    assert (ahead["score"], ahead["cards"], ahead["is_extrapolated"]) == ("rouge1", "160", "True")
    assert abs(float(ahead["value"]) - float(table[3]["value"]) - 0.075) < 1e-4


def test_the_answer_is_one_sentence_with_gain_interval_and_miss() -> None:
    said = sentence(curves()[0], 0.95)
    assert said == (
        "ROUGE-1: yes; twice as many (160) would bring +0.075 (95% interval +0.075 to "
        "+0.075), and the same extrapolation from fewer cards missed the score of 80 by +0.050."
    )
