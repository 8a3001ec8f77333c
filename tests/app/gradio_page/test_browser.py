"""The page in Chromium, over a stand-in engine."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.gradio_page.blind_test import SOONEST_S
from app.gradio_page.mounting import mount_page
from app.guard_remarks import Remarker
from medtune.config.loading import load_params
from medtune.config.schema import Evaluate
from medtune.disclaimer import DISCLAIMER
from medtune.guard.classifier import Assessment
from medtune.modeling.prompts import PromptEncoder
from tests.chromium import CHROMIUM, OPTIONS, TIMEOUT_MS, violations
from tests.waiting import until

HOSTILE = (
    "<img src=x onerror=alert(1)> ![x](http://example.com/x.png) [a](javascript:alert(2)) "
    "<script>alert(3)</script> $$x^2$$ \\(y\\) **bold** `code` ${alert(4)} {{5}} "
    "3 < 4 & 5 &lt;\n  end"
)
BOX, SECOND_BOX = "#chat-question textarea", "#compare-question textarea"
READING_MS = 1000 * SOONEST_S + 100  # an earlier vote is refused
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine"),
]


@pytest.fixture
def params() -> Evaluate:
    return load_params("evaluate").model_copy(update={"max_new_tokens": 400})


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def show(
    browser: Any, build: Any, listen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Any]]:
    """Opens the page of a server over batches; `asked` are the addresses that it asks for."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/split").mkdir(parents=True)
    cards = {"question": ["What is gout?"], "answer": ["A <i>disease</i>."], "kind": ["definition"]}
    for name in ("train", "test"):
        pq.write_table(pa.table(cards), tmp_path / f"data/split/{name}.parquet")
    (tmp_path / "data/predictions").mkdir()
    best = {"question": ["What is gout?"], "kind": ["definition"], "rougeL_unicode": [1.0]}
    pq.write_table(pa.table(best), tmp_path / "data/predictions/finetuned_validation.parquet")
    for name in ("base", "finetuned"):
        answered = {"id": ["1", "2"], "kind": ["sign"] * 2, "question": ["First?", "Second?"]}
        answered["prediction"] = [f"<i>{name}</i> {n}" for n in range(2)]
        pq.write_table(pa.table(answered), tmp_path / f"data/predictions/{name}.parquet")
    ends = []

    def shown(*batches: Any, width: int = 1400, key: str | None = None, **settings: Any) -> Any:
        app = build(*batches, **settings)
        mount_page(app, app.state.assistant, key)
        server = listen(app)
        address = server.__enter__()
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme="light"
        )
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        ends.append((context, server))
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: asked.append("dialog " + dialog.message))
        page.goto(address)
        page.wait_for_selector("input[type=password]" if key else BOX)
        return SimpleNamespace(page=page, address=address, asked=asked)

    yield shown
    for context, server in ends:
        context.close()
        server.__exit__(None, None, None)


def says(batch: Any, encoder: PromptEncoder, text: str, step_s: float = 0.0) -> Any:
    spoken = type(batch)([*encoder.answer_ids(text), encoder.end_id])
    spoken.step_s = step_s
    return spoken


def answer(page: Any, number: int = -1) -> str:
    return page.locator("#chat .bot .message-content").all_inner_texts()[number]


def stands_still(batch: Any) -> bool:
    steps = batch.steps
    time.sleep(0.1)
    return batch.steps == steps


def test_asked_streamed_stopped_rated(
    show: Any, batch: Any, encoder: PromptEncoder, tmp_path: Path
) -> None:
    spoken = says(batch, encoder, "word " * 90, step_s=0.02)
    page = show(spoken, spoken).page
    page.wait_for_function(f"document.activeElement === document.querySelector('{BOX}')")
    page.keyboard.type("What is")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("gout?")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Stop").wait_for()
    until(lambda: answer(page).count("word") > 2)
    early = answer(page)
    until(lambda: len(answer(page)) > len(early))
    page.keyboard.press("Escape")
    page.get_by_text("Stopped.").wait_for()
    assert stands_still(spoken) and 0 < len(answer(page, 0)) < 5 * 90 - 1
    assert page.locator("#chat .user .message-content").inner_text() == "What is\ngout?"

    page.get_by_text("Fine-tuned · 1 similar training card").click()
    page.get_by_text("A <i>disease</i>.").wait_for()
    page.get_by_role("button", name="Like", exact=True).click()
    page.wait_for_function("document.activeElement.closest('#rating')")
    page.keyboard.type("Short.")
    page.keyboard.press("Enter")
    until((tmp_path / "data/feedback/liked.jsonl").exists)
    page.locator("#rating").wait_for(state="hidden")
    saved = json.loads((tmp_path / "data/feedback/liked.jsonl").read_text())
    assert (saved["question"], saved["comment"]) == ("What is\ngout?", "Short.")
    assert answer(page, 0).startswith(saved["answer"])
    assert saved["settings"]["max_new_tokens"] == 400


def test_an_example_is_asked_and_a_new_conversation_is_empty(
    show: Any, batch: Any, encoder: PromptEncoder
) -> None:
    page = show(says(batch, encoder, "A disease."), batch).page
    page.get_by_text("What is gout?").click()
    until(lambda: page.locator("#chat .bot").count() and "A disease." in answer(page, 0))
    page.get_by_role("button", name="New conversation").click()
    until(lambda: page.locator("#chat .bot").count() == 0)
    page.get_by_text("What is gout?").wait_for()


def test_answers_are_shown_side_by_side(show: Any, batch: Any, encoder: PromptEncoder) -> None:
    tuned, base = says(batch, encoder, "Tuned.", 0.1), says(batch, encoder, "Base one.", 0.1)
    page = show(tuned, base).page
    page.get_by_role("tab", name="Compare").click()
    page.fill(SECOND_BOX, "What is gout?")
    page.keyboard.press("Enter")
    panes = [page.locator(f"#answer-{name} .bot") for name in ("base", "finetuned")]
    seen = set()
    until(
        lambda: (
            all(pane.count() for pane in panes)
            and (
                seen.add(now := tuple(pane.inner_text() for pane in panes)) or "Base one." in now[0]
            )
            and "Tuned." in now[1]
        )
    )
    assert len(seen) > 3
    boxes = [pane.bounding_box() for pane in panes]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]


def test_votes_are_cast_by_key_and_button_and_reveal_nothing(
    show: Any, batch: Any, tmp_path: Path
) -> None:
    page = show(batch, type(batch)(), width=400).page
    page.get_by_role("tab", name="Blind test").click()
    page.get_by_label("Your name or initials").fill("ada 1")
    page.get_by_role("button", name="Next test question").click()
    shown = page.locator("#blind-pair")
    page.get_by_role("heading", name="?").wait_for()
    first = shown.get_by_role("heading").first.inner_text()
    assert page.locator("#blind-pair i").count() == 0 and "<i>" in shown.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(READING_MS)
    page.keyboard.press("2")
    page.get_by_text("1 vote saved.").wait_for()
    other = {"First?": "Second?", "Second?": "First?"}[first]
    assert shown.get_by_role("heading").first.inner_text() == other
    page.wait_for_timeout(READING_MS)
    page.get_by_role("button", name="Both bad").click()
    page.get_by_text("You have voted on all test questions").wait_for()
    lines = (tmp_path / "data/votes/votes.jsonl").read_text().splitlines()
    votes = [json.loads(line) for line in lines]
    assert [vote["choice"] for vote in votes] == ["b", "both_bad"]
    assert {vote["voter"] for vote in votes} == {"ada 1"}


def test_what_a_model_says_is_text(show: Any, batch: Any, encoder: PromptEncoder) -> None:
    shown = show(says(batch, encoder, HOSTILE), batch)
    page = shown.page
    page.fill(BOX, HOSTILE)
    page.keyboard.press("Enter")
    page.locator("#chat .source").wait_for()
    asked, answered = (page.locator(f"#chat .{who} .message-content") for who in ("user", "bot"))
    assert asked.inner_text() == HOSTILE
    assert asked.locator("strong, code").count() == 0 and answered.locator("strong").count() == 1
    plain = re.sub(r"\*\*|`|\\", "", HOSTILE).replace("&lt;", "<").split()
    assert answered.inner_text().split()[: len(plain)] == plain
    for message in (asked, answered):
        assert message.locator("img, a, script, .katex").count() == 0
    assert {url.split("/")[2] for url in shown.asked} == {shown.address.split("/")[2]}


def test_dark_narrow_and_by_keyboard(show: Any, batch: Any, encoder: PromptEncoder) -> None:
    page = show(says(batch, encoder, "Long" * 60), batch, width=400).page
    page.fill(BOX, "Longword" * 30)
    page.keyboard.press("Enter")
    page.locator("#chat .source").wait_for()
    for tab in ("Chat", "Compare"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate("document.querySelector('.gradio-container').scrollWidth") <= 400
    page.get_by_role("tab", name="Chat").click()
    page.locator("#settings button").first.click()
    page.mouse.wheel(0, 5_000)
    time.sleep(0.3)
    assert page.evaluate("scrollY") > 100
    place = page.get_by_text(DISCLAIMER).bounding_box()
    assert place["y"] >= 0 and place["y"] + place["height"] <= 800

    page.get_by_role("button", name="Dark / light").click()
    page.wait_for_function("document.body.classList.contains('dark')")
    page.reload()
    page.wait_for_selector(BOX)
    page.wait_for_function("document.body.classList.contains('dark')")
    page.focus(BOX)
    names = []
    for key in ("Tab", "Shift+Tab", "Shift+Tab", "Shift+Tab"):
        page.keyboard.press(key)
        names.append(
            page.evaluate("document.activeElement.ariaLabel || document.activeElement.innerText")
        )
    assert names[0].strip() == "Send" and names[2] == "Select example 1: What is gout?"
    assert names[3].strip() == "New conversation"


def test_a_conversation_is_kept_opened_saved_and_deleted(
    show: Any, batch: Any, encoder: PromptEncoder
) -> None:
    shown = show(says(batch, encoder, "**A** disease."), batch)
    page = shown.page
    page.fill(BOX, "What is gout?")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Copy answer").wait_for()
    page.reload()
    page.wait_for_selector(BOX)
    page.get_by_role("button", name="Conversations").click()
    page.get_by_label("Earlier conversations").click()
    page.get_by_role("option").filter(has_text="What is gout?").click()
    page.get_by_role("button", name="Open", exact=True).click()
    until(lambda: page.locator("#chat .bot").count() and "A disease." in answer(page, 0))
    for name, text in (
        ("Markdown", "**Fine-tuned:** **A** disease."),
        ("JSON", '"**A** disease."'),
    ):
        with page.expect_download() as saved:
            page.get_by_role("button", name=f"Save as {name}").click()
        assert text in saved.value.path().read_text(encoding="utf-8")
    page.get_by_role("button", name="Delete all").click()
    until(lambda: page.evaluate("localStorage['medtune-conversations']") == "[]")


def test_opening_a_long_conversation_loses_none_of_its_turns(show: Any, batch: Any) -> None:
    page = show(lambda batch: None, batch).page
    long = [
        {"question": f"Question {n % 7}", "answer": "A" * 900, "model": "base"} for n in range(50)
    ]
    last = {"question": "One more", "answer": "B", "model": "base"}
    kept = page.evaluate(
        """([turns, last]) => {
            const kept = () => JSON.parse(localStorage["medtune-conversations"])[0];
            const write = (turns) => medtune.keep(JSON.stringify({ id: "x", turns }));
            write(turns);
            const opened = JSON.parse(medtune.saved("x")).turns;
            write(opened);
            const same = kept().turns;
            write([...opened, last]);
            const longer = kept().turns;
            write(opened.slice(0, -1));
            return { opened, same, longer, shorter: kept().turns };
        }""",
        [long, last],
    )
    assert 1 < len(kept["opened"]) < 30
    assert kept["same"] == long
    assert kept["longer"] == [*long, last]
    assert kept["shorter"] == long[:-1]


def test_an_answer_is_copied_asked_again_and_its_question_edited(
    show: Any, batch: Any, encoder: PromptEncoder
) -> None:
    spoken = says(batch, encoder, "**A** disease.")
    page = show(spoken, batch).page
    page.fill(BOX, "What is gout?")
    page.keyboard.press("Enter")
    page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    page.get_by_role("button", name="Copy answer").click()
    page.get_by_text("Copied.").wait_for()
    assert page.evaluate("window.copied") == "**A** disease."
    spoken.reply = [*encoder.answer_ids("Another."), encoder.end_id]
    page.get_by_role("button", name="Ask again").click()
    until(lambda: "Another." in answer(page))
    assert page.locator("#chat .bot").count() == 1
    page.get_by_role("button", name="Edit question").click()
    until(lambda: page.input_value(BOX) == "What is gout?")
    assert page.locator("#chat .bot").count() == 0


def test_the_header_leaves_a_phone_its_screen(show: Any, batch: Any) -> None:
    page = show(batch, batch, width=400).page
    tabs = page.get_by_role("tab", name="Chat").bounding_box()
    assert 0 < tabs["y"] <= 800 / 8
    box = page.locator(BOX).bounding_box()
    assert box["y"] + box["height"] <= 800


def test_the_key_alone_signs_in(show: Any, batch: Any) -> None:
    page = show(batch, batch, width=400, key="sesame").page
    assert violations(page) == []
    page.get_by_label("API key").fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_text("This key is wrong.").wait_for()
    page.get_by_label("API key").fill("sesame")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector(BOX)


@pytest.mark.parametrize(("width", "is_dark"), [(400, False), (1400, True)])
def test_axe_finds_nothing_on_any_tab(
    show: Any, batch: Any, encoder: PromptEncoder, width: int, is_dark: bool
) -> None:
    remarks = Remarker(lambda *_: Assessment(True, "heart"), "warn").remarks
    spoken = says(batch, encoder, "# Gout\n\n- a `b`\n- **c**")
    page = show(spoken, says(batch, encoder, "No."), width=width, remarks=remarks).page
    if is_dark:
        page.get_by_role("button", name="Dark / light").click()
        page.wait_for_timeout(500)  # colours change gradually
    assert violations(page) == []
    page.fill(BOX, "What is gout?")
    page.keyboard.press("Enter")
    page.get_by_text("1 similar training card").click()
    for name in ("Conversations", "Settings"):
        page.get_by_role("button", name=name).click()
    page.get_by_role("button", name="Like", exact=True).click()
    page.locator("#rating").wait_for()
    assert violations(page) == []
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("tab", name="Compare").click()
    page.fill(SECOND_BOX, "What is gout?")
    page.keyboard.press("Enter")
    page.locator("#answer-base details").wait_for()
    assert violations(page) == []
    page.get_by_role("tab", name="Blind test").click()
    page.get_by_role("button", name="Next test question").click()
    page.locator("#blind-votes button").first.wait_for()
    assert violations(page) == []
    page.get_by_role("tab", name="Quiz").click()
    page.get_by_role("button", name="Start the quiz").click()
    page.get_by_role("button", name="Show the answer").click()
    page.locator("#quiz-ratings button").first.wait_for()
    assert violations(page) == []


def test_a_closed_page_stops_its_answer(show: Any, batch: Any, encoder: PromptEncoder) -> None:
    spoken = says(batch, encoder, "x", 0.02)
    spoken.reply = [65] * 10_000
    shown = show(spoken, batch)
    shown.page.fill(BOX, "Hi")
    shown.page.keyboard.press("Enter")
    until(lambda: spoken.steps > 3)
    assert spoken.said
    shown.page.close()
    until(lambda: stands_still(spoken))
    assert spoken.steps < 300
