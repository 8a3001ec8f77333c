import shutil
from pathlib import Path
from typing import Any

import pytest

from medtune.config.schema import Metric
from medtune.runtime.errors import InputError
from medtune.scoring.answer_counts import TextCounter
from medtune.scoring.hf_evaluate_metrics import LoadedMetric, all_scores
from medtune.scoring.predictions import prediction_table
from medtune.scoring.scores import SCORES, score_table

EXAMPLE = Path(__file__).parents[3] / "custom_metrics/overlap/overlap.py"
RETURNED = '{"overlap": sum(shares) / len(shares)}'  # by the example
OTHERS = {  # by metrics that are like the example
    "several": '{"share": shares, "words": [len(pairs[0][0])], "note": "x", "pair": [1, 2]}',
    "failing": '{"overlap": 1 / 0}',
    "wordy": '{"overlap": "much"}',
}
CARDS = [
    {**dict.fromkeys(("id", "kind", "topic", "group", "question"), str(n)), "answer": answer}
    for n, answer in enumerate(("a cat", "a dog"))
]
ANSWERS = [{"prediction": text} for text in ("a cat sat now", "dog")]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the example and with metrics that return something else."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(EXAMPLE.parent, "custom_metrics/overlap")
    code = EXAMPLE.read_text(encoding="utf-8")
    assert RETURNED in code
    for name, returned in OTHERS.items():
        file = Path(f"custom_metrics/{name}/{name}.py")
        file.parent.mkdir()
        file.write_text(code.replace(RETURNED, returned), encoding="utf-8")
    return tmp_path


def metric(name: str, **more: Any) -> Metric:
    return Metric(name=name, **more)


@pytest.mark.slow
def test_a_metric_of_ones_own_scores_each_answer_without_a_network() -> None:
    metrics = [
        metric("custom_metrics/overlap", higher_is_better=True),
        metric("custom_metrics/several", value="words"),
    ]
    counter = TextCounter(use_stemmer=True, metrics=metrics)
    table = prediction_table(CARDS, ANSWERS, counter)
    assert table["metrics.overlap"].to_pylist() == [0.5, 0.5]
    assert table["metrics.several.words"].to_pylist() == [4, 1]
    scores = score_table(table, counter.scores)
    assert (scores["metrics.overlap"], scores["metrics.several.words"]) == (0.5, 2.5)


def test_a_metric_is_better_on_the_side_that_its_user_names() -> None:
    named = ["exact_match", {"name": "rouge", "value": "rougeLsum", "higher_is_better": True}]
    added = all_scores([*named, {"name": "wer", "higher_is_better": False}])[len(SCORES) :]
    assert [(score.name, score.title, score.better) for score in added] == [
        ("metrics.exact_match", "exact_match", 0),
        ("metrics.rouge.rougeLsum", "rouge.rougeLsum", 1),
        ("metrics.wer", "wer", -1),
    ]
    assert all_scores([]) == SCORES


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("several", None, "no value several for one answer, but share, words: set `value`"),
        ("overlap", "f1", "has no value f1 for one answer, but overlap: set `value`"),
        ("wordy", None, "but no number at all"),
        ("failing", None, "cannot score the answer 'a' (ZeroDivisionError: division by zero)"),
    ],
)
def test_an_answer_without_a_value_is_one_clear_line(
    name: str, value: str | None, problem: str
) -> None:
    loaded = LoadedMetric(metric(f"custom_metrics/{name}", value=value))
    with pytest.raises(InputError) as error:
        loaded("a", "a")
    assert problem in str(error.value) and "\n" not in str(error.value)


def test_a_folder_that_holds_no_metric_or_is_elsewhere_is_refused(project: Path) -> None:
    with pytest.raises(InputError, match=r"custom_metrics/none/none\.py is missing"):
        TextCounter(use_stemmer=True, metrics=[metric("custom_metrics/none")])
    broken = project / "custom_metrics/wordy/wordy.py"
    broken.write_text(broken.read_text(encoding="utf-8") + "\nx =\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"could not be loaded \(SyntaxError: invalid syntax"):
        LoadedMetric(metric("custom_metrics/wordy"))
    (project / "custom_metrics/overlap").rename(project / "overlap")
    with pytest.raises(InputError, match=r"move it to custom_metrics/.* custom_metrics/overlap$"):
        LoadedMetric(metric("overlap"))


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (FileNotFoundError("Couldn't find\na module"), "check the name and the network"),
        (ConnectionError("no\nroute"), "could not be loaded (ConnectionError: no route)"),
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
        LoadedMetric(metric("exact_match"))
    assert problem in str(caught.value) and "\n" not in str(caught.value)
    assert "did you mean" not in str(caught.value), "the name is right"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("rogue", "rouge"),
        ("bert_score", "bertscore"),
        ("sacreblue", "sacrebleu"),
        ("custom_metrics/overlaps", "custom_metrics/overlap"),
    ],
)
def test_a_misspelt_metric_gets_a_hint(
    name: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import evaluate

    def fail(*_: Any, **__: Any) -> None:
        raise FileNotFoundError("Couldn't find a module")

    monkeypatch.setattr(evaluate, "load", fail)
    with pytest.raises(InputError, match=rf"did you mean {meant}\? Otherwise "):
        LoadedMetric(metric(name))
