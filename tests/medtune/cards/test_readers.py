"""Each reader turns its raw layout into the same kind of record."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medtune.cards import readers
from medtune.cards.readers import read_records
from medtune.cards.records import Record
from medtune.config.loading import load_params
from medtune.config.schema import Columns
from medtune.runtime.errors import InputError


def choose(reader, columns=None):
    return load_params("clean").model_copy(update={"reader": reader, "columns": columns})


def test_medical_meadow_asks_its_input_or_else_its_instruction(tmp_path):
    rows = [
        {"instruction": "Answer this.", "input": "What causes Gout?", "output": "Urate."},
        {"instruction": "Name a vitamin.", "input": " ", "output": "Vitamin C."},
        {"instruction": "Answer this.", "input": "Is it?", "output": None},
    ]
    (tmp_path / "cards.json").write_text(json.dumps(rows))
    assert list(read_records(tmp_path, choose("medical_meadow"))) == [
        Record("cards.json:0", "What causes Gout?", "Urate.", "causes", "gout", "cards.json"),
        Record("cards.json:1", "Name a vitamin.", "Vitamin C.", "flashcard", "", "cards.json"),
        Record("cards.json:2", "Is it?", None, "flashcard", "", "cards.json"),
    ]


def test_medquad_keeps_its_question_type_and_strips_the_wording(tmp_path):
    (tmp_path / "medDataset.csv").write_text(
        "qtype,Question,Answer\n"
        "exams and tests,How to diagnose Gout ?,By its crystals.\n"
        ",What is (are) Gout ?,A joint disease.\n"
    )
    name = "medDataset.csv"
    assert list(read_records(tmp_path, choose("medquad"))) == [
        Record(
            f"{name}:0",
            "How to diagnose Gout ?",
            "By its crystals.",
            "exams and tests",
            "gout",
            name,
        ),
        Record(
            f"{name}:1", "What is (are) Gout ?", "A joint disease.", "information", "gout", name
        ),
    ]


def test_columns_maps_any_table(tmp_path):
    (tmp_path / "mine.tsv").write_text(
        "id\tfront\tback\tdeck\tabout\n1\tGout?\tUrate.\tjoints\tGout \n2\tA?\tB.\t\t\n"
    )
    columns = Columns(question="front", answer="back", kind="deck", topic="about")
    assert list(read_records(tmp_path, choose("columns", columns))) == [
        Record("mine.tsv:0", "Gout?", "Urate.", "joints", "gout", "mine.tsv"),
        Record("mine.tsv:1", "A?", "B.", "flashcard", "", "mine.tsv"),
    ]
    [first, _] = read_records(tmp_path, choose("columns", Columns(question="front", answer="id")))
    assert first == Record("mine.tsv:0", "Gout?", "1", "flashcard", "", "mine.tsv")


def test_a_missing_column_is_an_error(tmp_path):
    (tmp_path / "mine.csv").write_text("front,back\na,b\n")
    columns = Columns(question="front", answer="back", topic="Topic")
    with pytest.raises(InputError, match=r"mine\.csv has no column 'Topic', only 'front', 'back'"):
        list(read_records(tmp_path, choose("columns", columns)))


def test_keys_of_an_earlier_mapping_are_named_with_the_way_to_write_it(tmp_path):
    (tmp_path / "mine.csv").write_text("front,back\na,b\n")
    columns = Columns(question="front", answer="back", kind="kind", topic="topic")
    with pytest.raises(InputError) as caught:
        list(read_records(tmp_path, choose("columns", columns)))
    assert str(caught.value).endswith(
        "; `dvc exp run -S` keeps the earlier value of a key that it does not name, such as kind "
        "and topic: write clean.columns={question: front, answer: back, kind: null, topic: null}"
    )
    columns = Columns(question="front", answer="backs", kind="kind")
    with pytest.raises(
        InputError, match=r"such as kind: .*{question: front, answer: …, kind: null}$"
    ):
        list(read_records(tmp_path, choose("columns", columns)))
    columns = Columns(question="question", answer="answer", kind="kind")
    with pytest.raises(InputError, match=r"or name the columns in clean\.columns$"):
        list(read_records(tmp_path, choose("columns", columns)))


@pytest.mark.parametrize("reader", ["medical_meadow", "medquad"])
def test_a_table_of_another_layout_is_refused(tmp_path, reader):
    (tmp_path / "mine.csv").write_text("front,back\na,b\n")
    with pytest.raises(InputError, match=r"only 'front', 'back': choose the clean\.reader that"):
        list(read_records(tmp_path, choose(reader)))


@pytest.mark.parametrize("reader", ["hpo", "ontologies"])
def test_ontologies_have_their_own_readers(tmp_path, monkeypatch, reader):
    card = Record("HP:1/definition", "What is x?", "An x.", "definition", "HP:1", "hp.obo")
    monkeypatch.setattr(readers, f"read_{reader}", lambda folder: iter([card]))
    assert list(read_records(tmp_path, choose(reader))) == [card]


def test_columns_reach_into_nested_cells(tmp_path):
    rows = [
        {"question": "Who?", "answers": {"text": ["Ada", "Ada L."], "answer_start": [3, 3]}},
        {"question": "When?", "answers": {"text": [], "answer_start": []}},
    ]
    columns = Columns(question="question", answer="answers.text")
    (tmp_path / "cards.json").write_text(json.dumps(rows))
    assert [card.answer for card in read_records(tmp_path, choose("columns", columns))] == [
        "Ada",
        None,
    ]
    (tmp_path / "cards.json").unlink()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "cards.parquet")
    [first, _] = read_records(tmp_path, choose("columns", columns))
    assert first.answer == "Ada"
