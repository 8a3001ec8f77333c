"""Shows notices of emergencies as alerts, apart from the answers of the model."""

from collections.abc import Sequence
from html import escape

from app.gradio_page.conversations import Turn
from medtune.guard.notices import Notice

SIGN = (
    '<svg viewBox="0 0 24 24" width="28" height="28" aria-hidden="true"><path fill="currentColor" '
    'd="M12 2 1 21h22L12 2Zm-1 7h2v6h-2V9Zm0 8h2v2h-2v-2Z"/></svg>'
)


def newest_alert(turns: Sequence[Turn], earlier: Notice | None = None) -> str:
    """Returns the alert of the newest notice, so that help stays visible; `earlier` comes first."""
    notices = [found for found in (earlier, *(turn.notice for turn in turns)) if found]
    return alert(notices[-1]) if notices else ""


def alert(notice: Notice) -> str:
    """Returns a notice as HTML that screen readers announce when it appears."""
    calls = "".join(
        f'<a href="tel:{escape(call.number)}">{escape(call.label)}</a>' for call in notice.calls
    )
    return (
        f'<div class="alert" role="alert" data-kind="{escape(notice.kind)}">{SIGN}<div>'
        f"<strong>{escape(notice.title)}</strong><p>{escape(notice.text)}</p>"
        f'<p class="calls">{calls}</p></div></div>'
    )
