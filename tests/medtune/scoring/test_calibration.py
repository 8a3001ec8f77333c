import pyarrow as pa
import pytest

from medtune.scoring.calibration import calibration_error, choice_metrics, reliability
from medtune.scoring.choice_answers import SCHEMA


def answers(*rows: tuple[str, float, bool]) -> pa.Table:
    """Answers with set, probability and whether they are right."""
    return pa.Table.from_pylist(
        [
            {
                "set": name,
                "id": f"{i}",
                "question": "?",
                "options": ["a", "b"],
                "correct": 0,
                "chosen": 0 if right else 1,
                "probability": probability,
                "correct_probability": 0.5,
            }
            for i, (name, probability, right) in enumerate(rows)
        ],
        schema=SCHEMA,
    )


def test_calibration_error_equals_the_one_by_hand() -> None:
    table = answers(
        *(("medical", 0.25, True), ("medical", 0.3, False), ("medical", 0.95, True)),
        *(("general", 1.0, False), ("general", 0.85, True)),
    )
    parts = reliability(table)
    assert parts == [
        (2, pytest.approx(0.275), 0.5),  # 0.3 is the upper limit of (0.2, 0.3]
        (1, pytest.approx(0.85), 1.0),
        (2, pytest.approx(0.975), 0.5),
    ]
    assert calibration_error(table) == pytest.approx((2 * 0.225 + 0.15 + 2 * 0.475) / 5)
    metrics = choice_metrics(table)
    assert metrics["choices.medical.n"] == 3 and metrics["choices.general.n"] == 2
    assert metrics["choices.medical.accuracy"] == pytest.approx(2 / 3)
    assert metrics["choices.medical.ece"] == pytest.approx((2 * 0.225 + 0.05) / 3)
    assert metrics["choices.general.accuracy"] == 0.5


def test_of_no_answers_there_are_no_metrics() -> None:
    assert choice_metrics(SCHEMA.empty_table()) == {}
