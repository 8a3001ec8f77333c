import base64
import csv
import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from dvc_render.vega import VegaRenderer

from medtune.report.facts import Facts
from medtune.report.figures import write_figures
from medtune.runtime.atomic_files import write_json
from medtune.runtime.errors import InputError
from medtune.scoring.scores import SCORES
from stages import compare
from tests.stages.compare_inputs import (
    KINDS,
    PARAMS,
    write_inputs,
    write_run_files,
)

pytestmark = pytest.mark.slow

OUTS = (
    "metrics/compare.json",
    "metrics/compare_kinds.json",
    "metrics/compare_lengths.json",
    "metrics/compare_scores.json",
    "metrics/compare_systems.json",
    "metrics/compare_topics.json",
    "plots/compare/answer_words.csv",
    "plots/compare/kinds.csv",
    "plots/compare/questions.csv",
    "plots/compare/reliability.csv",
    "plots/compare/scores.csv",
    "plots/compare/systems.csv",
    "reports/figures/scores.png",
    "reports/figures/scores.svg",
    "reports/report.html",
    "models/adapter/README.md",
)


def prepare(folder: Path, patch: pytest.MonkeyPatch) -> None:
    write_inputs(folder)
    write_run_files(folder)
    patch.chdir(folder)
    patch.setattr(compare, "write_figures", lambda _: {})  # seconds each time
    patch.setattr("medtune.content.columns.similarities", lambda _, texts: [0.5] * len(texts))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    prepare(tmp_path, monkeypatch)
    return tmp_path


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    with pytest.MonkeyPatch.context() as patch:
        prepare(folder, patch)
        compare.main()
    return folder


@pytest.fixture
def compared(finished_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests only read in this folder."""
    monkeypatch.chdir(finished_run)


def rows_of(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_metrics_hold_every_score_with_its_interval(compared: None) -> None:
    metrics = json.loads(Path("metrics/compare_scores.json").read_text(encoding="utf-8"))
    assert (metrics["n"], metrics["groups"]) == (12, 6)
    shown = [score for score in SCORES if f"{score.name}.base" in metrics]
    left = {score.name for score in SCORES} - {score.name for score in shown}
    assert left == {"facts", "thought_rate"}, "no card knows facts, and this model never thinks"
    for score in shown:
        difference = metrics[f"{score.name}.finetuned"] - metrics[f"{score.name}.base"]
        assert metrics[f"{score.name}.difference"] == pytest.approx(difference, abs=2e-6)
        low, high = metrics[f"{score.name}.ci_low"], metrics[f"{score.name}.ci_high"]
        assert low <= metrics[f"{score.name}.difference"] <= high
    assert metrics["rougeL.ci_low"] > 0 and metrics["perplexity.ci_high"] < 0
    assert [metrics[f"stopped_rate.{name}"] for name in ("wins", "ties", "losses")] == [3, 9, 0]
    assert "bleu.wins" not in metrics


def test_the_main_scores_are_few_and_those_of_all_scores(compared: None) -> None:
    main, scores = (
        json.loads(Path(f"metrics/compare{name}.json").read_text(encoding="utf-8"))
        for name in ("", "_scores")
    )
    assert "general" not in main, "no general question was asked"
    assert "facts" not in main, "no card has facts"
    assert len(main) == 20
    assert main["loss"] == 1.7
    assert main["medical"] == scores["choices.medical.accuracy.finetuned"] == 1
    for name in ("rougeL", "content_f1", "perplexity"):
        assert main[name] == scores[f"{name}.finetuned"]
        assert main[f"{name}.base"] == scores[f"{name}.base"]
    assert main["rougeL.base"] < main["rougeL.best"] < main["rougeL"]


def test_all_systems_are_compared_and_the_best_is_named(project: Path) -> None:
    write_inputs(project, rows=16)  # eight groups; six cannot decide two scores
    compare.main()
    systems = json.loads(Path("metrics/compare_systems.json").read_text(encoding="utf-8"))
    assert systems["verdict"] == "beats prompting and retrieval"
    assert systems["verdict.sentence"].endswith("retrieval in ROUGE-L and content words.")
    assert systems["best.rougeL"] == "fill_in" and systems["best.perplexity"] == "few_shot"
    assert systems["fill_in.rougeL.ci_low"] > 0
    assert not [key for key in systems if key.startswith("finetuned_few_shot")], "switched off"
    points = rows_of("plots/compare/systems.csv")
    assert next(row for row in points if row["best"] == "best")["system"] == "fill-in rule"
    assert {row["system"] for row in points} == {
        *("base model", "base model with 3 cards", "question echoed", "fill-in rule")
    }


def test_metrics_hold_the_accuracy_on_the_sets_that_were_asked(compared: None) -> None:
    metrics = json.loads(Path("metrics/compare_scores.json").read_text(encoding="utf-8"))
    assert metrics["choices.medical.n"] == 4
    assert metrics["choices.medical.accuracy.difference"] == 1
    assert not [key for key in metrics if key.startswith("choices.general")]
    assert "choices_general" not in Path("reports/report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["kinds", "topics", "lengths"])
def test_parts_add_up_to_all_test_cards(compared: None, name: str) -> None:
    parts = json.loads(Path(f"metrics/compare_{name}.json").read_text(encoding="utf-8"))
    assert sum(parts[key] for key in parts if key.endswith(".n")) == 12


def test_the_kinds_weigh_into_the_whole(compared: None) -> None:
    kinds = json.loads(Path("metrics/compare_kinds.json").read_text(encoding="utf-8"))
    metrics = json.loads(Path("metrics/compare_scores.json").read_text(encoding="utf-8"))
    assert {kind: kinds[f"{kind}.n"] for kind in KINDS} == dict.fromkeys(KINDS, 4)
    mean = sum(kinds[f"{kind}.rougeL.difference"] for kind in KINDS) / 3
    assert mean == pytest.approx(metrics["rougeL.difference"], abs=2e-6)


def test_plots_list_questions_worst_first_and_count_every_answer(compared: None) -> None:
    differences = [float(row["difference"]) for row in rows_of("plots/compare/questions.csv")]
    assert len(differences) == 12 and differences == sorted(differences)
    words = rows_of("plots/compare/answer_words.csv")
    for model in ("base", "finetuned", "reference"):
        assert sum(int(row["answers"]) for row in words if row["model"] == model) == 12
    assert all(0 <= float(row["value"]) <= 1 for row in rows_of("plots/compare/scores.csv"))
    plots = {path.name: path.read_text(encoding="utf-8") for path in Path("plots").rglob("*.csv")}
    assert "‹/script>" in plots["questions.csv"]  # of HOSTILE, as DVC writes plots into a page
    assert not [name for name, text in plots.items() if "<" in text]


def test_plot_templates_leave_no_blank_when_dvc_fills_them(compared: None) -> None:
    data = {
        "forest": ("plots/compare/systems.csv", "difference", "system"),
        "grouped_bars": ("plots/compare/scores.csv", "value", "score"),
        "differences": ("plots/compare/questions.csv", "rank", "difference"),
        "reliability": ("plots/compare/reliability.csv", "probability", "accuracy"),
        "histogram": ("plots/compare/answer_words.csv", "words", "answers"),
        "stacked_bars": ("plots/compare/answer_words.csv", "words", "answers"),
        "bars": ("plots/compare/kinds.csv", "rougeL", "kind"),
    }
    templates = PARAMS.parent / ".dvc/plots"
    assert {path.stem for path in templates.glob("*.json")} == set(data)
    for template, (path, x, y) in data.items():
        points = [row | {"rev": "workspace", "filename": path, "field": y} for row in rows_of(path)]
        renderer = VegaRenderer(
            points, "plot", template=template, template_dir=templates, x=x, y=y, title="Title"
        )
        assert "<DVC_METRIC" not in renderer.partial_html(), template


def test_two_runs_write_the_same_bytes_with_every_picture_and_no_path_of_the_machine(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures: dict[str, Any] = {}

    def draw(facts: Facts) -> dict[str, Any]:
        pictures.update(write_figures(facts))
        return pictures

    monkeypatch.setattr(compare, "write_figures", draw)
    compare.main()
    report = Path("reports/report.html").read_text(encoding="utf-8")
    drawn = sorted(Path("reports/figures").glob("*.svg"))
    assert len(drawn) == 8
    for picture in drawn:
        assert base64.b64encode(picture.read_bytes()).decode() in report, picture
    first = {name: Path(name).read_bytes() for name in OUTS}
    for name, content in first.items():
        assert str(project).encode() not in content and b"/home/" not in content, name
    monkeypatch.setattr(compare, "write_figures", lambda _: pictures)  # test_figures draws twice
    compare.main()
    again = {name: Path(name).read_bytes() for name in OUTS if "figures" not in name}
    assert again == {name: first[name] for name in again}


@pytest.mark.parametrize(
    ("missing", "stage"),
    [
        ("data/predictions/base.parquet", "evaluate@base"),
        ("data/predictions/finetuned_choices.parquet", "evaluate@finetuned"),
        ("data/predictions/few_shot_validation.parquet", "evaluate@few_shot"),
        ("data/predictions/baselines.parquet", "baselines"),
        ("data/split/test.parquet", "split"),
        ("metrics/split.json", "split"),
        ("plots/train/validation.csv", "train"),
        ("data/tokens/prompt.json", "tokenize"),
        ("data/tokens/train.arrow", "tokenize"),
        ("models/adapter/adapter_model.safetensors", "train"),
    ],
)
def test_missing_input_names_the_stage_that_makes_it(
    project: Path, missing: str, stage: str
) -> None:
    write_json(Path("metrics/compare.json"), {"earlier": 1})
    Path(missing).unlink()
    with pytest.raises(InputError, match=f"{missing} is missing: run dvc repro {stage}$"):
        compare.main()
    assert "earlier" in Path("metrics/compare.json").read_text(encoding="utf-8")


def test_the_gate_lets_a_better_adapter_pass(project: Path) -> None:
    write_inputs(project, gate={"rougeL": 0.0, "perplexity": 0.0, "best.rougeL": 0.0})
    compare.main()


def test_the_gate_stops_a_worse_adapter_after_everything_is_written(project: Path) -> None:
    write_inputs(project, gate={"rougeL": 0.0})
    names = ("base", "finetuned")
    base, finetuned = (project / f"data/predictions/{name}.parquet" for name in names)
    base.rename(project / "other")
    finetuned.rename(base)
    (project / "other").rename(finetuned)
    with pytest.raises(
        InputError, match=r"rougeL: base model 0\.\d+, fine-tuned .*reports/report\.html"
    ):
        compare.main()
    assert all(Path(name).stat().st_size for name in OUTS if "figures" not in name)


def test_report_says_what_differs_from_the_default_and_what_the_loss_sees(compared: None) -> None:
    report = Path("reports/report.html").read_text(encoding="utf-8")
    assert "compare.resamples</th><td>10000</td><td>200</td>" in report
    assert "file://…/cards.csv" in report and '<mark><i title="1"> Answer</i></mark>' in report
    assert hashlib.sha256(b"weights").hexdigest() in report


def test_last_log_line_counts_in_and_out(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="medtune"):
        compare.main()
    assert caplog.messages[0].endswith("no change that 12 test cards in 6 groups could show.")
    assert caplog.messages[1].startswith("ROUGE-L: 0.")
    assert caplog.messages[-1].startswith("12 test cards × 5 systems in, 0 dropped → reports/")
