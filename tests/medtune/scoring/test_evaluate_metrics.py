from pathlib import Path
from typing import Any

import pytest

from medtune.config.schema import Metric
from medtune.runtime.errors import InputError
from medtune.scoring.evaluate_metrics import all_scores, metric_columns
from medtune.scoring.predictions import SCHEMA, prediction_table
from medtune.scoring.scores import SCORES, TextScorer, score_table

MODULE = """
import datasets
import evaluate


class Own(evaluate.Metric):
    def _info(self):
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description="", citation="", inputs_description="",
            features=datasets.Features({"predictions": text, "references": text}),
        )

    def _compute(self, predictions, references):
        pairs = [(set(p.split()), set(r.split())) for p, r in zip(predictions, references)]
        shares = [len(p & r) / len(p) for p, r in pairs]
        return {"overlap": sum(shares) / len(shares), "words": [len(pairs[0][0])], "note": "x"}
"""
CARDS = [
    {**dict.fromkeys(("id", "kind", "topic", "group", "question"), str(n)), "answer": answer}
    for n, answer in enumerate(("a cat", "a dog"))
]
ANSWERS = [{"prediction": text} for text in ("a cat sat now", "dog")]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = Path("custom_metrics/overlap")
    folder.mkdir(parents=True)
    (folder / "overlap.py").write_text(MODULE, encoding="utf-8")
    return folder


def metric(name: str = "custom_metrics/overlap", **more: Any) -> Metric:
    return Metric(name=name, **more)


def test_a_metric_of_ones_own_scores_each_answer_without_a_network(own: Path) -> None:
    metrics = [metric(value="overlap", higher_is_better=True), metric(value="words")]
    table = prediction_table(CARDS, ANSWERS, TextScorer(use_stemmer=True), metrics)
    assert table["metrics.overlap.overlap"].to_pylist() == [0.5, 1.0]
    assert table["metrics.overlap.words"].to_pylist() == [4, 1]
    assert score_table(table, all_scores(metrics))["metrics.overlap.overlap"] == 0.75
    own_scores = all_scores(metrics)[len(SCORES) :]
    assert [(score.title, score.better) for score in own_scores] == [
        ("overlap.overlap", 1),
        ("overlap.words", 0),
    ]


def test_without_metrics_a_table_of_predictions_is_as_before() -> None:
    table = prediction_table(CARDS, ANSWERS, TextScorer(use_stemmer=True), [])
    assert table.schema == SCHEMA
    assert all_scores([]) == SCORES


@pytest.mark.parametrize(
    ("named", "texts", "problem"),
    [
        (metric(), ["a"], None),
        (metric(value="f1"), ["a"], "has no value f1 for one answer, but overlap, words"),
        (metric(), [""], "cannot score the answer '' (ZeroDivisionError"),
        (metric("custom_metrics/none"), ["a"], "custom_metrics/none/none.py is missing"),
    ],
)
def test_what_a_metric_cannot_do_is_one_clear_line(
    own: Path, named: Metric, texts: list[str], problem: str | None
) -> None:
    if problem is None:  # of several values, the one with the metric's name
        assert metric_columns([named], texts, texts) == {"metrics.overlap": [1.0]}
        return
    with pytest.raises(InputError) as error:
        metric_columns([named], texts, texts)
    assert problem in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (
            FileNotFoundError("Couldn't find\na module"),
            "could not load exact_match (Couldn't find a",
        ),
        (ConnectionError("no network"), "check the name and the network"),
        (ImportError("pip install 'jiwer'"), "needs a package that is not installed"),
    ],
)
def test_a_missing_network_or_package_is_one_clear_line(
    error: Exception, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import evaluate

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(evaluate, "load", fail)
    with pytest.raises(InputError) as caught:
        metric_columns([metric("exact_match")], ["a"], ["a"])
    assert problem in str(caught.value) and "\n" not in str(caught.value)
