from app.gradio_page.conversations import Turn
from app.gradio_page.formatting import messages


def test_messages_of_a_growing_turn_have_no_nearest_cards_yet() -> None:
    shown = messages([Turn("a", "base", {})])
    assert [message["content"]["text"] for message in shown] == ["a", "…"]
