"""Notices as alerts of the page."""

from app.gradio_page.alerts import alert, newest_alert
from app.gradio_page.conversations import Turn
from medtune.guard.notices import Call, Notice, notice


def test_an_alert_is_announced_and_can_be_called() -> None:
    shown = alert(notice("self_harm", "US"))
    assert 'role="alert"' in shown and "<svg" in shown and 'aria-hidden="true"' in shown
    assert '<a href="tel:911">Call 911</a><a href="tel:988">' in shown
    assert 'data-kind="self_harm"' in shown


def test_texts_are_escaped() -> None:
    shown = alert(Notice("a", "<b>", "x & y", (Call("<i>", '"'),)))
    assert "<b>" not in shown and "x &amp; y" in shown and "<i>" not in shown


def test_the_newest_notice_stays() -> None:
    turns = [Turn("a", "base", {}, notice=notice(kind)) for kind in ("heart", "stroke")]
    turns.append(Turn("b", "base", {}))
    assert newest_alert(turns) == alert(notice("stroke"))
    assert newest_alert(turns[2:]) == ""
