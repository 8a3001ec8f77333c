import re
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import pyarrow as pa
import pytest
from matplotlib import font_manager
from PIL import Image

from medtune.report import figures
from medtune.report.facts import Facts
from medtune.report.figure_style import (
    FORMATS,
    MOST_LETTERS,
    drawn_in_style,
    new_figure,
    save,
    shortened,
)
from medtune.report.figures import (
    FIGURES,
    MOST_PARTS,
    PICTURES,
    answer_words,
    data,
    kinds,
    loss_curves,
    questions,
    scores,
    write_figures,
)
from medtune.report.page import SECTIONS
from medtune.scoring.scores import SCORES
from tests.medtune.conftest import texts

KIND = 'co$t of a < b & "c" -- a kind with quite a long name'
FIELDS = {"base": 0.2, "finetuned": 0.3, "difference": 0.1, "ci_low": 0.05, "ci_high": 0.15}
SPLITS = {"train": {KIND: 7, "onset": 900}, "validation": {"onset": 2}, "test": {KIND: 1}}


def compared(name: str, **changes: float | None) -> dict[str, Any]:
    fields = FIELDS | {"p_value": 0.0004} | changes
    return {f"{name}.{field}": value for field, value in fields.items()}


def answer(difference: float, words: int = 3) -> dict[str, Any]:
    texts = {"base": "one two", "finetuned": "word " * words, "reference": "one"}
    return {"id": "x", **texts, "difference": difference}


@pytest.fixture
def facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Facts:
    monkeypatch.chdir(tmp_path)
    compare = {"n": 9, "groups": 8}
    for score in SCORES:
        compare |= compared(score.name)
    return Facts(
        preset="default",
        seed=42,
        params={"compare": {"confidence": 0.95}, "evaluate": {"few_shot": 3}},
        metrics={
            "compare_scores": compare,
            "compare_systems": compared("fill_in.rougeL") | {"n": 9},
            "compare_kinds": {f"{KIND}.n": 9, **compared(f"{KIND}.rougeL")},
        },
        curves={"train": [(1, 2.0), (10, 1.0)], "validation": [(10, 1.5)]},
        answers=[answer(-0.5), answer(0.0), answer(0.25), answer(0.5)],
        prompt={},
        adapter={},
        splits=SPLITS,
    )


def choices() -> dict[str, pa.Table]:
    rows = [
        {"set": name, "chosen": i % 2, "correct": 0, "probability": 0.3 + i / 20}
        for name in ("medical", "general")
        for i in range(10)
    ]
    return {model: pa.Table.from_pylist(rows) for model in ("base", "finetuned")}


def written() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in FIGURES.iterdir()}


def draw_only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(figures, "PICTURES", {name: PICTURES[name] for name in names})


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_eight_pictures_are_written_with_the_same_bytes_whatever_the_user_has_set(
    facts: Facts,
) -> None:
    facts = replace(facts, choices=choices())
    write_figures(facts)
    names = (
        "answer_words",
        "data",
        "kinds",
        "loss",
        "questions",
        "reliability",
        "scores",
        "systems",
    )
    assert sorted(written()) == [f"{n}.{suffix}" for n in names for suffix in ("png", "svg")]
    for path in FIGURES.glob("*.png"):
        with Image.open(path) as image:
            assert image.width == 1280 and round(image.info["dpi"][0]) == 200, path
    for path in FIGURES.glob("*.svg"):
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
    first = written()
    with matplotlib.rc_context({"font.size": 20, "svg.hashsalt": "other", "lines.linewidth": 9}):
        write_figures(facts)
    assert written() == first
    for name, content in first.items():
        assert not re.search(rb"<dc:date|Matplotlib v|Software|tIME|\d{4}-\d\d-\d\dT", content), (
            name
        )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Glyph:UserWarning")
def test_fonts_that_a_machine_has_change_no_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even a letter that matplotlib's own font lacks and another one has."""
    letter, fonts = "\N{ARC}", font_manager.fontManager
    [other] = [font for font in fonts.ttflist if font.fname.endswith("/STIXGeneral.ttf")]
    installed = [replace(other, name=name) for name in ("Verdana", "DejaVu Sans")]
    pictures = []
    for listed in (fonts.ttflist, [*fonts.ttflist, *installed]):
        monkeypatch.setattr(fonts, "ttflist", listed)
        fonts._findfont_cached.cache_clear()
        with drawn_in_style():
            figure, _ = new_figure(height=1)
            figure.suptitle(letter)
            save(figure, tmp_path, "letter")
        pictures.append([(tmp_path / f"letter.{suffix}").read_bytes() for suffix in FORMATS])
    monkeypatch.undo()
    fonts._findfont_cached.cache_clear()  # what it found in the longer list
    assert pictures[0] == pictures[1]


@pytest.mark.slow
def test_a_picture_without_data_is_left_out_and_an_old_one_goes(
    facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "save", lambda _, folder, name: (folder / f"{name}.svg").touch())
    FIGURES.mkdir(parents=True)
    for name in ("loss", "reliability"):
        (FIGURES / f"{name}.svg").touch()
    unasked = {model: table.slice(0, 0) for model, table in choices().items()}
    curves = {"train": [(1, float("nan"))], "validation": []}
    write_figures(replace(facts, curves=curves, choices=unasked))
    names = {name.partition(".")[0] for name in written()}
    assert names == {"answer_words", "data", "kinds", "questions", "scores", "systems"}


@pytest.mark.slow
def test_undefined_scores_and_intervals_leave_a_gap(
    facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_only(monkeypatch, "systems", "scores")
    undefined = dict.fromkeys(("base", "difference", "ci_low", "ci_high"))
    facts.metrics["compare_scores"] |= compared("perplexity", **undefined)
    facts.metrics["compare_scores"] |= compared("rougeL", ci_low=None, ci_high=None)
    write_figures(facts)
    figure = scores(facts.metrics, 0.95)
    unclear = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert len(unclear) == 1, "no interval, no verdict"


@pytest.mark.slow
def test_scores_of_one_unit_share_an_axis(facts: Facts) -> None:
    metrics = facts.metrics["compare_scores"] | compared("choices.medical.accuracy")
    metrics |= compared("length ratio", finetuned=1.5) | {"choices.a.ece.difference": 0.1}
    figure = scores({"compare_scores": metrics, "compare_systems": {}}, 0.9)
    by_unit = {
        axes.get_xlabel(): [label.get_text() for label in axes.get_yticklabels()]
        for axes in figure.axes
    }
    assert by_unit["difference (points)"] == ["BLEU", "chrF"]
    assert "multiple choice medical accuracy" in by_unit["difference (share, 0 to 1)"]
    assert by_unit["difference (length ratio)"] == ["length ratio"]
    assert sum(map(len, by_unit.values())) == len(SCORES) + 2
    assert "90% interval, n = 9" in texts(figure)


@pytest.mark.slow
def test_every_axis_says_what_it_shows(facts: Facts) -> None:
    metrics = facts.metrics
    pictures: dict[str, Callable[[], Any]] = {
        "loss per answer token (nats)": lambda: loss_curves(facts.curves),
        "optimiser step": lambda: loss_curves(facts.curves),
        "ROUGE-L (0 to 1)": lambda: kinds(metrics["compare_kinds"], 0.95),
        "test questions, worst regression first": lambda: questions(facts.answers),
        "words per answer": lambda: answer_words(facts.answers),
        "cards": lambda: data(SPLITS),
    }
    for text, draw in pictures.items():
        assert text in texts(draw()), text


@pytest.mark.slow
def test_questions_say_how_many_got_better_and_worse(facts: Facts) -> None:
    text = texts(questions(facts.answers))
    assert "1 worse" in text and "2 better" in text and "1 unchanged" in text


@pytest.mark.slow
def test_only_the_largest_kinds_are_shown_and_the_others_are_counted() -> None:
    counts = {f"kind {n:02}": n + 1 for n in range(MOST_PARTS + 3)}
    metrics: dict[str, Any] = {}
    for kind, n in counts.items():
        metrics |= {f"{kind}.n": n, **compared(f"{kind}.rougeL")}
    text = texts(kinds(metrics, 0.95))
    assert "3 smaller kinds not shown" in text
    assert "kind 27 (n = 28)" in text and "kind 02" not in text
    text = texts(data({"train": counts}))
    assert "3 smaller kinds not shown" in text and "kind 02" not in text


def test_long_labels_lose_their_middle() -> None:
    label = shortened("a kind with\na long name that ends in 12")
    assert label == "a kind with a l… that ends in 12" and len(label) == MOST_LETTERS
    assert shortened("x" * MOST_LETTERS) == "x" * MOST_LETTERS


@pytest.mark.slow
def test_lengths_of_any_size_fit_into_thirty_bins() -> None:
    for words in (0, 1, 29, 30, 4000):
        figure = answer_words([answer(0.0, words)])
        bars = figure.axes[1].patches
        assert 1 <= len(bars) <= 31 and sum(bar.get_height() for bar in bars) == 1, words


@pytest.mark.slow
def test_text_of_the_data_is_no_formula_and_breaks_nothing(
    facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_only(monkeypatch, "data", "kinds")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_figures(replace(facts, splits={"train": {r"$\nonsense$": 3}}))


def test_every_picture_has_a_section_of_the_report() -> None:
    assert {picture.section for picture in PICTURES.values()} <= set(SECTIONS)
