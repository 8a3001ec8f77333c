import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from medtune.disclaimer import DISCLAIMER
from medtune.report.answer_rows import looping
from medtune.report.costs import run_mark
from medtune.report.facts import Facts
from medtune.report.figures import DrawnPicture
from medtune.report.page import (
    SCRIPTS,
    SECTIONS,
    IntervalAxis,
    content_hash,
    numbers,
    render_report,
)
from medtune.report.rendering import TEMPLATES
from tests.chromium import CHROMIUM, OPTIONS

pytestmark = pytest.mark.slow

VOID = {"meta", "input", "br", "line", "img"}
Attributes = dict[str, str | None]
# Cells beyond the right edge that no box with a hint scrolls to.
UNMARKED = """() => [...document.querySelectorAll("td, th")]
  .filter((cell) => cell.getBoundingClientRect().right > innerWidth && !cell.closest(".more"))
  .map((cell) => cell.textContent)"""
FORGOTTEN = {
    f"choices.general.{name}": value
    for name, value in {
        "n": 200,
        "ece.base": 0.125,
        "ece.finetuned": 0.25,
        "accuracy.base": 0.5,
        "accuracy.finetuned": 0.4,
        "accuracy.difference": -0.1,
        "accuracy.ci_low": -0.2,
        "accuracy.ci_high": -0.05,
        "accuracy.p_value": 0.01,
    }.items()
}


class Page(HTMLParser):
    """A parsed page; parsing fails on a tag that closes another than the one that is open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, Attributes]] = []
        self.text = ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> Iterator[Attributes]:
        return (attributes for name, attributes in self.tags if name == tag)


def render_with(facts: Facts, **metrics: dict[str, Any]) -> str:
    """The report with other metrics of these names."""
    return render_report(replace(facts, metrics=facts.metrics | metrics))


def test_page_is_balanced_with_unique_ids_that_its_links_find(facts: Facts) -> None:
    page = Page(render_report(replace(facts, answers=facts.answers * 4)))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids)) > 10
    links = {str(attributes["href"]).removeprefix("#") for attributes in page.all("a")}
    assert "gains" in links and links <= set(ids)
    headings = [tag for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == "h1" and set(headings[1:]) == {"h2"}


def test_every_table_names_its_columns_and_itself(facts: Facts) -> None:
    page = Page(render_report(facts))
    assert all(attributes.get("scope") in ("row", "col") for attributes in page.all("th"))
    assert len(list(page.all("caption"))) == len(list(page.all("table"))) > 10
    labels = [tag for tag, _ in page.tags if tag == "label"]
    assert len(labels) == len([tag for tag, _ in page.tags if tag in ("select", "input")])


def test_nothing_from_the_data_is_markup(facts: Facts) -> None:
    html = render_report(facts)
    page = Page(html)
    assert not list(page.all("img")) and "<b>a|b</b>" not in html
    assert page.text.count("alert(1)") > 5
    assert html.count("<script") == 4
    assert re.findall(r'<script src="(.*?)"></script>', html) == [
        "costs.js",
        "judge.js",
        "votes.js",
    ]
    assert not [a for _, attributes in page.tags for a in attributes if a.startswith("on")]


def test_only_the_script_of_the_page_and_its_side_files_are_loaded(facts: Facts) -> None:
    html = render_report(facts)
    (script,) = re.findall("<script>(.*?)</script>", html, re.DOTALL)
    (policy,) = [a["content"] or "" for a in Page(html).all("meta") if "http-equiv" in a]
    assert policy.startswith("default-src 'none'; ") and content_hash(script) in policy
    assert not re.search(
        r"(src|href)=\"(?!#|costs.js|judge.js|votes.js)|@import|url\(|https?://(?!hpo)", html
    )
    scripts = [part for part in policy.split("; ") if part.startswith("script-src")]
    assert scripts == [f"script-src 'self' file: '{content_hash(script)}'"]


def test_a_picture_is_in_its_section_and_says_what_it_shows(facts: Facts) -> None:
    picture = DrawnPicture("training", 'Loss & "more"', "data:image/svg+xml;base64,AAAA")
    html = render_report(facts, [picture])
    (image,) = Page(html).all("img")
    assert image == {"src": picture.source, "alt": picture.about}
    assert html.index('<section id="training"') < html.index("<img") < html.index('id="breakdowns"')


def test_costs_are_those_of_the_run_that_the_page_shows(facts: Facts) -> None:
    (place,) = (a for a in Page(render_report(facts)).all("div") if a.get("id") == "costs")
    scores = facts.metrics["compare_scores"]
    assert place["data-run"] == run_mark(scores) != run_mark(scores | {"n": 10})


def test_page_says_what_was_found_and_run(facts: Facts) -> None:
    html = render_report(facts)
    for text in (DISCLAIMER, "+0.050 to +0.150", "&lt; 0.001", "preset default, seed 42"):
        assert text in html, text
    for section in facts.params.values():
        assert all(f">{key}</th>" in html for key in section)
    for text in ("train.lr</th><td>0.001</td><td>0.0002", "0a" * 32, "1,350", "dropped: duplicate"):
        assert text in html, text
    assert '<i class="control" title="2">&lt;|end|&gt;</i>' in html
    assert '<mark><i title="7">Paris</i></mark>' in html


def test_sections_are_in_order_and_only_shown_with_data(facts: Facts) -> None:
    def sections(of: Facts) -> list[str | None]:
        return [attributes["id"] for attributes in Page(render_report(of)).all("section")]

    scores = facts.metrics["compare_scores"] | FORGOTTEN
    full = replace(facts, metrics=facts.metrics | {"compare_scores": scores})
    assert sections(full) == list(SECTIONS)
    assert "<td>200</td><td>0.125</td><td>0.250</td><td>+0.125</td>" in render_report(full)
    assert "forgetting" not in sections(facts)
    no_run = sections(replace(facts, run=None, curves={"train": [], "validation": []}))
    assert set(SECTIONS) - set(no_run) == {"tokens", "training", "general", "forgetting"}
    kinds_only = {
        k: v for k, v in facts.metrics.items() if k not in ("compare_topics", "compare_lengths")
    }
    captions = re.findall(
        r"<caption>(Scores by .*?)</caption>", render_report(replace(facts, metrics=kinds_only))
    )
    assert captions == ["Scores by kind of card"]


def test_parts_are_ordered_for_the_reader(facts: Facts) -> None:
    html = render_report(facts)
    rows = [html.index(f'<th scope="row">{name}') for name in ("1-5", "6-10", "11-20")]
    assert rows == sorted(rows)
    with_regression = facts.metrics["compare_topics"] | {"heart.rougeL.difference": -0.1}
    html = render_with(facts, compare_topics=with_regression)
    assert html.index('<th scope="row">heart') < html.index('<th scope="row">bones')
    assert numbers("11-20 words") > numbers("6-10 words")


def test_answers_carry_what_they_are_filtered_and_sorted_by(facts: Facts) -> None:
    rows = [a for a in Page(render_report(facts)).all("tr") if "data-id" in a]
    assert [row["data-outcome"] for row in rows] == ["worse", "same", "better"]
    assert [row["data-difference"] for row in rows] == ["-0.250000", "0.000000", "0.125000"]
    assert [row["data-words"] for row in rows][1:] == ["3", "3"]
    assert rows[0]["data-id"] == rows[0]["data-kind"] == facts.answers[0]["question"]


@pytest.mark.skipif(not shutil.which("node"), reason="needs node; the attributes are tested above")
def test_script_filters_and_sorts() -> None:
    script = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS)
    functions = script.split("\nsetUpTheme(")[0]
    script = """
    const rows = [
      {id: "b", kind: "onset", outcome: "worse", difference: -0.5, text: "what is b?"},
      {id: "a", kind: "onset", outcome: "better", difference: 0.25, text: "what is a?"},
      {id: "c", kind: "lay", outcome: "better", difference: 0.25, text: "what is c?"},
    ];
    const all = {text: "", kind: "", outcome: "", key: "difference", descending: false};
    const ids = (state) => select(rows, {...all, ...state}).map((row) => row.id).join("");
    console.log(JSON.stringify([
      ids({}), ids({descending: true}), ids({key: "id"}), ids({kind: "onset"}),
      ids({outcome: "better"}), ids({text: " IS C"}), ids({text: "nothing"}),
      [NaN, 2, 1].sort(order), ["b", "a"].sort(order),
    ]));
    """
    done = subprocess.run(["node", "-e", functions + script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = ["bac", "acb", "abc", "ba", "ac", "c", "", [1, 2, None], ["a", "b"]]
    assert json.loads(done.stdout) == expected


def test_the_first_screen_is_verdict_and_table_with_the_rival_named(facts: Facts) -> None:
    html = render_report(facts)
    start = html[: html.index('<section id="scores"')]
    order = [
        'class="lead">The fine-tuning made no change',
        "<li>ROUGE-L: 0.300, +0.050 against the fill-in rule, the best without training",
        '<section id="systems"',
        '<th scope="row">ROUGE-L</th><td data-label="base">0.200</td>',
        "0.250 (fill-in rule)</td>",
        "<summary>Other scores</summary>",
    ]
    assert [start.index(text) for text in order] == sorted(start.index(text) for text in order)
    assert "with Holm&#39;s correction" in start or "with Holm's correction" in start


def test_systems_that_are_off_and_crosses_without_them_are_not_shown(facts: Facts) -> None:
    assert "tuning and retrieval" not in render_report(facts)
    assert "base model with 3 cards" in render_report(facts)
    systems = facts.metrics["compare_systems"]
    on = systems | {"finetuned_few_shot.rougeL": 0.35, "finetuned_few_shot.rougeL.validation": 0.3}
    html = render_with(facts, compare_systems=on)
    assert "ROUGE-L: tuning and retrieval" in html and "<td>0.300</td><td>0.350</td>" in html
    off = {key: value for key, value in systems.items() if not key.startswith("few_shot")}
    html = render_with(facts, compare_systems=off)
    assert "base model with 3 cards" not in html


def test_too_few_groups_are_said(facts: Facts) -> None:
    assert "are too few" not in render_report(facts)
    few = facts.metrics["compare_systems"] | {"groups": 6}
    html = render_with(facts, compare_systems=few)
    assert "6 groups are too few for a verdict: with fewer than 7, no corrected p-value" in html
    few = facts.metrics["compare_systems"] | {"base.content_f1.counted_groups": 5}
    html = render_with(facts, compare_systems=few)
    assert "5 groups are too few" in html, "of a primary score"


def test_groups_that_a_few_topics_fill_are_said(facts: Facts) -> None:
    assert "even groups" not in render_report(facts)
    uneven = facts.metrics["compare_systems"] | {"groups.effective": 8.3}
    html = render_with(facts, compare_systems=uneven)
    assert "worth 8 even groups: the intervals may be too narrow." in html


def test_an_answer_that_loops_is_folded_at_its_first_repetition(facts: Facts) -> None:
    loop = "Signs include " + "fever and cough and " * 30
    assert looping(loop) == ("Signs include fever and cough and fever and cough and", 122)
    facts.answers[1]["finetuned"] = loop
    html = render_report(facts)
    folded = "fever and cough and fever and cough and … <small>repeats, 122 words</small></summary>"
    assert html.count('<details class="looping">') == 1 and folded in html


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
def test_a_narrow_screen_shows_all_columns_or_says_that_there_are_more(
    facts: Facts, tmp_path: Path
) -> None:
    from playwright.sync_api import sync_playwright

    path = tmp_path / "report.html"
    path.write_text(render_report(facts), encoding="utf-8")
    run = run_mark(facts.metrics["compare_scores"])
    judge = {"run": run, "model": "<b>J</b>", "n": 9, "opponent": "base"}
    judge |= {"wins": 4, "ties": 3, "losses": 2}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        page = browser.new_page(viewport={"width": 400, "height": 800})
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == 400
        assert page.evaluate(UNMARKED) == []
        assert page.inner_text("#judge").startswith("A judge's opinion\n\nNo language model")
        (tmp_path / "judge.js").write_text(f"window.judge = {json.dumps(judge)};")
        page.reload()
        assert (
            "<b>J</b> read 9 answers of the fine-tuned model beside those of base"
            in page.inner_text("#judge")
        )
        (tmp_path / "judge.js").write_text(f"window.judge = {json.dumps(judge | {'run': 'x'})};")
        page.reload()
        assert "No language model" in page.inner_text("#judge")
        assert "Nobody has voted on these answers." in page.inner_text("#votes")
        columns, rows = ["kind", "votes", "win rate"], [["<i>sign</i>", "9", "0.80"]]
        votes = {"run": run, "lines": ["win rate: 0.80"], "columns": columns, "rows": rows}
        (tmp_path / "votes.js").write_text(f"window.votes = {json.dumps(votes)};")
        page.reload()
        assert "Win rate: 0.80." in page.inner_text("#votes")
        assert page.locator("#votes td").all_inner_texts() == ["9", "0.80"]
        assert page.inner_text("#votes tbody th") == "<i>sign</i>"
        assert page.evaluate("document.documentElement.scrollWidth") == 400
        (tmp_path / "votes.js").write_text(f"window.votes = {json.dumps(votes | {'run': 'x'})};")
        page.reload()
        assert "Nobody has voted" in page.inner_text("#votes")
        browser.close()


def test_axis_holds_zero_and_all_values() -> None:
    axis = IntervalAxis([0.25, 0.5])
    assert [axis.at(value) for value in (0, 0.25, 0.5)] == [0, 50, 100]
    assert IntervalAxis([-0.5, -0.25]).at(0) == 100
    assert IntervalAxis([0.0]).at(0) == 0
