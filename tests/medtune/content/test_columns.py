import pyarrow as pa
import pytest

from medtune.content import columns
from medtune.content.columns import evenly_spaced_cards, with_content
from medtune.runtime.errors import InputError
from medtune.scoring.scores import SCORES, score_table, statistics

pytestmark = pytest.mark.slow  # the encoder takes a second to load

CARDS = pa.table(
    {
        "id": ["a", "b", "c"],
        "fact_type": ["equal", "list", ""],
        "facts": [[["metabolic disease"]], [["fever"], ["rash"]], []],
    }
)
TRAINING = pa.table(
    {
        "kind": ["class"] * 40,
        "question": ["What kind of disease is gout?"] * 40,
        "answer": ["It belongs to the inherited diseases."] * 40,
        "fact_type": ["equal"] * 40,
        "facts": [[["inherited disease"]]] * 40,
    }
)
ROWS = [
    {"id": "a", "kind": "class", "question": "What is gout?", "reference": "Metabolic disease"},
    {"id": "b", "kind": "signs", "question": "What are its signs?", "reference": "Fever, rash"},
    {"id": "c", "kind": "class", "question": "What is a rash?", "reference": "A rash."},
]
COLUMNS = ("content_f1", "content_rows", "facts_right", "facts_rows", "list_recall", "list_rows")


def predictions(*answers: str) -> pa.Table:
    rows = [row | {"prediction": text} for row, text in zip(ROWS, answers, strict=True)]
    return pa.Table.from_pylist(rows)


def test_rows_get_the_counts_of_the_scores_of_content() -> None:
    answers = predictions("It belongs to the metabolic diseases.", "Fever", "")
    scored = with_content(answers, CARDS, TRAINING)
    assert scored.select(answers.column_names).equals(answers)
    assert [tuple(row[name] for name in COLUMNS) for row in scored.to_pylist()] == [
        (1, 1, 1, 1, 0, 0),
        (pytest.approx(2 / 3), 1, pytest.approx(2 / 3), 1, 0.5, 1),
        (0, 0, 0, 0, 0, 0),
    ]


def test_a_fact_needs_its_words_even_if_the_frame_has_them() -> None:
    scored = with_content(
        predictions("It belongs to the inherited metabolic diseases.", "", ""), CARDS, TRAINING
    )
    assert scored["facts_right"].to_pylist() == [0, 0, 0]


def test_a_table_has_the_scores_of_content_only_with_their_columns() -> None:
    names = {"content_f1", "meaning", "facts"}
    without = predictions("Metabolic disease", "Fever", "Cough")
    assert not names & score_table(without).keys()
    scores = score_table(with_content(without, CARDS, TRAINING))
    assert names <= scores.keys()
    assert scores["content_f1"] == pytest.approx((1 + 2 / 3) / 2), "the last has no content words"
    assert scores["facts"] == pytest.approx((1 + 2 / 3) / 2)


def test_cards_without_the_columns_of_facts_have_none() -> None:
    plain = (table.drop_columns(["fact_type", "facts"]) for table in (CARDS, TRAINING))
    scored = with_content(predictions("Metabolic disease", "Fever", ""), *plain)
    assert scored["facts_rows"].to_pylist() == [0, 0, 0]


def test_the_frame_comes_from_evenly_spread_cards_of_each_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(columns, "FRAME_CARDS", 3)
    monkeypatch.setattr(columns, "BATCH", 4)
    kinds = ["a", "b", "a", "a", "a", "a", "a", "c", "a", "c"]
    answers = [f"answer {n}" for n in range(len(kinds))]
    training = pa.table({"kind": kinds, "question": ["?"] * len(kinds), "answer": answers})
    found = [(kind, int(answer.split()[1])) for kind, _, answer in evenly_spaced_cards(training)]
    assert found == [("a", 0), ("b", 1), ("a", 4), ("c", 7), ("a", 8), ("c", 9)]


def test_cards_that_the_splits_lack_are_an_error() -> None:
    with pytest.raises(InputError, match=r"1 predictions .* such as c: run dvc repro"):
        with_content(predictions("", "", ""), CARDS.slice(0, 2), TRAINING)


EXAMPLES = [  # those of Score.about: name, prediction, reference, facts, value
    ("content_f1", "a painful swelling", "painful joints", [], 0.5),
    ("meaning", "A CAT", "a cat", [], 1),
    ("facts", "fever and cough", "", [["fever"], ["rash"]], 0.5),
]


@pytest.mark.parametrize(("name", "prediction", "reference", "facts", "value"), EXAMPLES)
def test_examples_are_right(
    name: str, prediction: str, reference: str, facts: list[list[str]], value: float
) -> None:
    row = {"id": "a", "kind": "", "question": "", "reference": reference, "prediction": prediction}
    cards = pa.table({"id": ["a"], "fact_type": ["list"], "facts": [facts]})
    scored = with_content(pa.Table.from_pylist([row]), cards, TRAINING)
    (score,) = [score for score in SCORES if score.name == name]
    assert score.value(statistics(scored, score))[0] == pytest.approx(value)
    quoted = (text for text in (prediction, reference) if text)
    assert "(" in score.about and all(f'"{text}"' in score.about for text in quoted)
