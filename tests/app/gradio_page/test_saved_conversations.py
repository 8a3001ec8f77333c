import json

import pytest

from app.gradio_page.conversations import TURNS, Turn
from app.gradio_page.saved_conversations import UnreadableConversationError, read_saved, record_of

NAME = "0123456789abcdef"
TURN = {"question": "What is gout?", "answer": "", "model": "base"}


def test_a_conversation_comes_back_as_it_was_kept() -> None:
    turn = Turn("Grüße?", "base", {"temperature": 0.5}, answer="Ja.")
    text = record_of(NAME, [turn])
    assert json.loads(text)["turns"][0]["settings"] == {"temperature": 0.5}
    assert read_saved(text, ["base"]) == (NAME, [("Grüße?", "Ja.", "base")])
    assert record_of(NAME, []) == ""


@pytest.mark.parametrize(
    "saved",
    [
        {},
        {"id": NAME, "turns": []},
        {"id": "<b>", "turns": [TURN]},
        {"id": NAME, "turns": [TURN] * (TURNS + 1)},
        {"id": NAME, "turns": [TURN | {"model": "other"}]},
        {"id": NAME, "turns": [TURN | {"question": ""}]},
        {"id": NAME, "turns": [TURN | {"question": "\ud800"}]},
        {"id": NAME, "turns": [TURN | {"answer": 1}]},
    ],
)
def test_what_no_page_has_kept_is_refused(saved: dict[str, object]) -> None:
    with pytest.raises(UnreadableConversationError):
        read_saved(json.dumps(saved), ["base"])
