from pathlib import Path

from app.gradio_page.conversations import Turn
from app.gradio_page.formatting import messages, verdict_html
from app.gradio_page.nearest_cards import NearestCard


def texts(turn: Turn) -> list[str]:
    return [message["content"]["text"] for message in messages([turn])]


def test_messages_of_a_growing_turn_have_no_nearest_cards_yet() -> None:
    assert texts(Turn("a", "base", {})) == ["a", "<p>…</p>\n"]


def test_cards_are_folded_under_the_answer_with_what_they_share_with_the_question() -> None:
    card = NearestCard("What is <gout>?", "A disease.", 0.834)
    _, answer = texts(Turn("<a>", "base", {}, answer="*Yes*", nearest_cards=[card]))
    assert answer == (
        '<p><em>Yes</em></p>\n<details class="source"><summary>Base · 1 similar training card'
        "</summary><p><strong>What is &lt;gout&gt;?</strong><br>A disease.<br><small>83% of the "
        "question’s words, rare words counting more</small></p></details>"
    )


def test_without_a_near_card_only_the_model_is_named() -> None:
    question, answer = texts(Turn("<a>", "finetuned", {}, answer="Yes", nearest_cards=[]))
    assert (question, answer) == ("&lt;a&gt;", '<p>Yes</p>\n<p class="source">Fine-tuned</p>')


def test_the_page_says_what_the_tests_found_of_the_model(tmp_path: Path) -> None:
    path = tmp_path / "compare_systems.json"
    assert verdict_html(path) == ""
    path.write_text('{"n": 240, "verdict.sentence": "It is better in <b>."}', encoding="utf-8")
    assert (
        verdict_html(path).strip()
        == "<p>It is better in &lt;b&gt;. Measured on 240 test cards.</p>"
    )
