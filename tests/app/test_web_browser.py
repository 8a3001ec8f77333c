"""The React page as its users meet it, in Chromium, over a server that says what it is told to."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest
from fastapi import FastAPI
from playwright.sync_api import Page, expect, sync_playwright

from app.api.static import BUILT
from app.guard_remarks import Remarks
from medtune.disclaimer import DISCLAIMER
from medtune.guard.notices import notice
from medtune.modeling.prompts import ChatMessage, PromptEncoder
from tests.chromium import CHROMIUM, OPTIONS, TIMEOUT_MS, violations
from tests.waiting import until

ANSWER = "Grüße, 😀 <img src=x onerror=alert(1)> ![x](http://x.example/x.png)"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed"),
    pytest.mark.skipif(not BUILT.exists(), reason="make web was not run"),
]


def on_a_rope(messages: Sequence[ChatMessage]) -> Remarks:
    return Remarks(notice("self_harm", "US") if "rope" in messages[-1]["content"] else None)


@pytest.fixture
def page(
    build: Callable[..., FastAPI],
    batch: Any,
    listen: Callable[[FastAPI], AbstractContextManager[str]],
) -> Iterator[Page]:
    """The page, which must ask no other host for anything and have no error that is not tested."""
    with listen(build(batch, remarks=on_a_rope)) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(TIMEOUT_MS)
        asked: list[str] = []
        errors: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text))
        page.goto(f"{address}/web")
        yield page
        browser.close()
    assert asked and all(url.startswith(f"{address}/") for url in asked)
    failed = "Failed to load resource"  # what Chromium notes where the server refuses
    assert [error for error in errors if not error.startswith(failed)] == []


@pytest.fixture
def speak(batch: Any, encoder: PromptEncoder) -> Callable[[str], None]:
    """Lets the model say a text, and end."""

    def spoken(text: str) -> None:
        batch.reply = [*encoder.answer_ids(text), encoder.end_id]

    return spoken


def ask(page: Page, question: str) -> None:
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")


def button(page: Page, name: str) -> Any:
    return page.get_by_role("button", name=name, exact=True)


def test_an_answer_is_streamed_and_shown_as_text(
    page: Page, batch: Any, speak: Callable[[str], None]
) -> None:
    speak(ANSWER)
    page.get_by_label("Maximum tokens").fill("200")
    batch.gate.clear()
    ask(page, "What is gout?")
    log = page.get_by_role("log")
    expect(log).to_contain_text("What is gout?")
    expect(log).to_contain_text("G")
    expect(button(page, "Stop")).to_be_visible()
    expect(page.locator(".answer")).not_to_have_text(ANSWER)
    batch.gate.set()
    expect(page.locator(".answer")).to_have_text(ANSWER)
    expect(button(page, "Send")).to_be_visible()
    expect(page.get_by_text(DISCLAIMER)).to_be_in_viewport()
    assert page.locator("article img, article a").count() == 0


def test_stop_ends_the_computation(page: Page, batch: Any, speak: Callable[[str], None]) -> None:
    speak("word " * 100)
    batch.step_s = 0.02
    page.get_by_label("Maximum tokens").fill("512")
    ask(page, "What is gout?")
    expect(page.locator(".answer")).to_contain_text("word word")
    button(page, "Stop").click()
    expect(page.get_by_text("Stopped.")).to_be_visible()
    until(lambda: not batch.said)
    assert batch.steps < 400


def test_an_error_is_shown_and_can_be_corrected(page: Page, speak: Callable[[str], None]) -> None:
    speak("Yes.")
    page.get_by_label("Maximum tokens").fill("900")
    ask(page, "What is gout?")
    expect(page.get_by_text("an answer has at most 512 tokens, not 900")).to_be_visible()
    page.get_by_label("Maximum tokens").fill("many")
    expect(page.get_by_role("alert")).to_have_text("Maximum tokens must be a whole number above 0.")
    page.get_by_label("Maximum tokens").fill("")
    button(page, "Retry").click()
    expect(page.locator(".answer")).to_have_text("Yes.")
    expect(page.locator(".problem")).to_have_count(0)


def test_the_page_reconnects_when_the_server_is_back(
    page: Page, speak: Callable[[str], None]
) -> None:
    speak("Yes.")
    expect(page.get_by_role("option", name="finetuned")).to_be_attached()
    page.context.set_offline(True)
    ask(page, "What is gout?")
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    page.context.set_offline(False)
    expect(page.get_by_role("alert")).to_have_count(0)
    button(page, "Retry").click()
    expect(page.locator(".answer")).to_have_text("Yes.")


def test_the_page_fits_a_phone_and_a_dark_room(page: Page, speak: Callable[[str], None]) -> None:
    speak("Pneumonoultramicroscopic" * 3)
    for preferred, chosen, is_dark in (
        ("light", "system", False),
        ("dark", "system", True),
        ("dark", "light", False),
        ("light", "dark", True),
    ):
        page.emulate_media(color_scheme=preferred)
        page.get_by_label("Appearance").select_option(chosen)
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background != "rgb(255, 255, 255)") == is_dark
    page.set_viewport_size({"width": 400, "height": 800})
    page.get_by_label("Your question").focus()
    page.keyboard.type("A" * 100)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Cut at the maximum length.")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    expect(page.get_by_text(DISCLAIMER)).to_be_in_viewport()
    expect(page.get_by_label("Temperature")).to_have_count(0)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    expect(button(page, "Settings")).to_be_focused()
    page.keyboard.press("Enter")
    expect(button(page, "Close")).to_be_focused()
    expect(page.get_by_label("Temperature")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    page.keyboard.press("Escape")
    expect(page.get_by_label("Temperature")).to_have_count(0)
    expect(button(page, "Settings")).to_be_focused()


@pytest.mark.parametrize(("width", "scheme"), [(400, "dark"), (1400, "light")])
def test_axe_finds_nothing_and_an_alert_shows_its_numbers(
    page: Page, speak: Callable[[str], None], width: int, scheme: Any
) -> None:
    speak("Talk to somebody.")
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    expect(page.get_by_label("Your question")).to_be_focused()
    assert violations(page) == []
    ask(page, "I've got the rope ready")
    for name in ("Call 911", "Call the 988 Lifeline"):
        expect(page.get_by_role("link", name=name)).to_be_in_viewport(ratio=1)
    expect(button(page, "Send")).to_be_visible()
    assert violations(page) == []
    if width == 400:
        button(page, "Settings").click()
        expect(button(page, "Close")).to_be_focused()
        assert violations(page) == []
