from typing import Any

import pytest

from medtune.scoring import predictions
from medtune.scoring.answer_counts import TextCounter
from medtune.scoring.predictions import CARD_COLUMNS, SCHEMA, prediction_table, texts_sha256

ANSWER = {"prediction": "Take 5 mg.", "stopped": True, "new_tokens": 3, "disclaimer": False}


def test_a_number_that_was_said_earlier_in_a_conversation_is_supported() -> None:
    card: dict[str, Any] = dict.fromkeys(CARD_COLUMNS, "x") | {"answer": "One tablet."}
    said = [{"role": "user", "content": "My tablets have 5 mg."}]
    cards = [card, card | {"history": []}, card | {"history": said}]
    table = prediction_table(cards, [ANSWER] * 3, TextCounter(use_stemmer=True))
    assert table["unsupported"].to_pylist() == [True, True, False]
    assert table["question"].to_pylist() == ["x"] * 3
    assert table["history"].to_pylist() == [[], [], said]


def test_batches_of_rows_make_one_table(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = [dict.fromkeys(CARD_COLUMNS, f"{n}") | {"answer": "One tablet."} for n in range(5)]
    answers = [ANSWER | {"prediction": f"{n} mg.", "thought": n == 4} for n in range(5)]
    expected = prediction_table(cards, answers, TextCounter(use_stemmer=True))
    monkeypatch.setattr(predictions, "BATCH", 2)
    table = prediction_table(iter(cards), iter(answers), TextCounter(use_stemmer=True))
    assert table.equals(expected) and table["id"].num_chunks == 3
    assert table["thought"].to_pylist() == [False] * 4 + [True]


def test_cards_without_conversations_have_no_column_for_them() -> None:
    card: dict[str, Any] = dict.fromkeys(CARD_COLUMNS, "x") | {"answer": "One tablet."}
    assert prediction_table([card], [ANSWER], TextCounter(use_stemmer=True)).schema == SCHEMA


def test_the_hash_of_answers_sees_texts_and_no_scores() -> None:
    card: dict[str, Any] = dict.fromkeys(CARD_COLUMNS, "x") | {"answer": "One tablet."}
    table = prediction_table([card], [ANSWER], TextCounter(use_stemmer=True))
    scored = table.set_column(
        table.schema.get_field_index("unsupported_numbers"), "unsupported_numbers", [["6 mg"]]
    ).append_column("metrics.wer", [[0.5]])
    assert texts_sha256(scored) == texts_sha256(table)
    for name in ("prediction", "reference", "group"):
        other = table.set_column(table.schema.get_field_index(name), name, [["other"]])
        assert texts_sha256(other) != texts_sha256(table)


def test_the_hash_of_answers_sees_what_was_said_before_the_question() -> None:
    card: dict[str, Any] = dict.fromkeys(CARD_COLUMNS, "x") | {"answer": "One tablet."}
    histories = [[], *([{"role": "user", "content": text}] for text in ("My knee.", "My elbow."))]
    hashes = {
        texts_sha256(
            prediction_table([card | {"history": said}], [ANSWER], TextCounter(use_stemmer=True))
        )
        for said in histories
    }
    assert len(hashes) == len(histories)


def test_the_hash_of_answers_without_history_stays() -> None:
    card: dict[str, Any] = dict.fromkeys(CARD_COLUMNS, "x") | {"answer": "One tablet."}
    table = prediction_table([card], [ANSWER], TextCounter(use_stemmer=True))
    assert texts_sha256(table) == "c3cce24827d2f374cc6040ded76c638ffe98568a8681663ee263155c98a603aa"
