"""The reader `auto` recognises what people have, and says in one line what it saw."""

import json
from pathlib import Path
from typing import Any

import pytest

from medtune.cards import auto_reader
from medtune.cards.readers import read_records
from medtune.cards.records import Record
from medtune.config.schema import Columns
from medtune.runtime.errors import InputError
from tests.medtune.cards.test_readers import choose

GOUT = {"q": "What causes Gout?", "a": "Uric acid."}
CHAT = [("user", GOUT["q"]), ("assistant", GOUT["a"])]
EARLIER = [("system", "Be brief."), ("user", "What is gout?"), ("assistant", "Arthritis.")]


def openai(messages: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in messages]


def sharegpt(messages: list[tuple[str, str]]) -> list[dict[str, str]]:
    names = {"user": "human", "assistant": "gpt", "system": "system"}
    return [{"from": names[role], "value": content} for role, content in messages]


def read(folder: Path, *rows: dict[str, Any], name: str = "cards.jsonl") -> list[Record]:
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    (folder / name).write_text("".join(lines), encoding="utf-8")
    return list(read_records(folder, choose("auto")))


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for message in caplog.messages if message.startswith("recognised")]


@pytest.mark.parametrize(
    ("row", "seen"),
    [
        ({"messages": openai(CHAT)}, "messages (messages): 1 conversations"),
        ({"conversations": sharegpt(CHAT), "id": "x"}, "ShareGPT (conversations): 1 conv"),
        ({"messages": json.dumps(openai(CHAT))}, "messages (messages): 1 conversations"),
        (
            {"conversations": {"from": ["human", "gpt"], "value": [GOUT["q"], GOUT["a"]]}},
            "ShareGPT (conversations): 1 conversations",
        ),
        (
            {"prompt": openai(CHAT[:1]), "completion": openai(CHAT[1:])},
            "prompt-completion (prompt, completion): 1 conversations",
        ),
        (
            {"prompt": openai(CHAT[:1]), "completion": GOUT["a"]},
            "prompt-completion (prompt, completion): 1 conversations",
        ),
        ({"prompt": GOUT["q"], "completion": GOUT["a"]}, "prompt-completion (prompt, completion)"),
        ({"instruction": GOUT["q"], "output": GOUT["a"]}, "Alpaca (instruction, output): 1 cards"),
        (
            {"instruction": "Answer this question truthfully.", "input": GOUT["q"]}
            | {"output": GOUT["a"]},
            "Alpaca (instruction, output, input): 1 cards, 1 without an instruction that all share",
        ),
        (
            {"id": "1", "question": GOUT["q"], "context": "", "title": ""}
            | {"answers": {"text": [GOUT["a"], "Urate."], "answer_start": [0, 1]}},
            "SQuAD (question, context, answers, title): 1 cards; not read: id",
        ),
        (
            {"question": GOUT["q"], "context": "", "answers": f"{{'text': ['{GOUT['a']}']}}"},
            "SQuAD (question, context, answers): 1 cards",
        ),
        ({"Question": GOUT["q"], "Answer": GOUT["a"]}, "question-answer table (Question, Answer)"),
        (
            {"": 0, "question": GOUT["q"], "answer": GOUT["a"]},
            "question-answer table (question, answer): 1 cards; not read: a column without a name",
        ),
        ({"Front": GOUT["q"], "Back": GOUT["a"]}, "question-answer table (Front, Back): 1 cards"),
        ({"Frage": GOUT["q"], "Antwort": GOUT["a"]}, "question-answer table (Frage, Antwort)"),
        (
            {"Question": GOUT["q"], "Complex_CoT": "Hm", "Response": GOUT["a"]},
            "question-answer table (Question, Response): 1 cards; not read: Complex_CoT",
        ),
    ],
)
def test_a_usual_layout_gives_the_card_and_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, row: dict[str, Any], seen: str
) -> None:
    caplog.set_level("INFO")
    name = "cards.jsonl"
    card = Record(f"{name}:0", GOUT["q"], GOUT["a"], "causes", "gout", name)
    assert read(tmp_path, row) == [card]
    [line] = told(caplog)
    assert line.startswith(f"recognised {seen}")


def test_an_alpaca_row_keeps_its_instruction_and_its_input(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    rows = [
        {"instruction": "Name a vitamin.", "output": "C."},  # the first has no input
        {"instruction": "Name the organ.", "input": "Hepatitis", "output": "Liver."},
    ]
    [first, second] = read(tmp_path, *rows)
    assert first.question == "Name a vitamin."
    assert second.question == "Name the organ.\n\nHepatitis"
    assert told(caplog) == [
        "recognised Alpaca (instruction, output, input): 2 cards, 1 with a context"
    ]


def test_system_and_earlier_turns_of_an_alpaca_row_become_the_history(tmp_path: Path) -> None:
    row = {"instruction": GOUT["q"], "input": "", "output": GOUT["a"], "system": "Be brief."}
    [record] = read(tmp_path, row | {"history": [["What is gout?", "Arthritis."]]})
    assert list(record.history) == EARLIER
    assert (record.question, record.answer) == (GOUT["q"], GOUT["a"])


@pytest.mark.parametrize("column", ["messages", "conversations"])
def test_the_last_question_has_all_that_was_said_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, column: str
) -> None:
    caplog.set_level("INFO")
    form = openai if column == "messages" else sharegpt
    [record, _] = read(tmp_path, {column: form([*EARLIER, *CHAT])}, {column: form(CHAT)})
    assert (record.question, record.answer) == (GOUT["q"], GOUT["a"])
    assert list(record.history) == EARLIER
    assert record.topic == "", "a later question is often about an earlier one's topic"
    assert told(caplog)[0].endswith("(" + column + "): 2 conversations, 1 with several turns")


def test_an_answer_of_squad_that_no_text_can_be_read_from_is_no_answer(tmp_path: Path) -> None:
    written_by_numpy = "{'text': array(['Joint'], dtype=object)}"
    for answers in ({"text": []}, '{"text": []}', written_by_numpy):
        row = {"question": "Where?", "context": "In the joint.", "answers": answers}
        [record] = read(tmp_path, row)
        assert not record.answer


def test_a_context_comes_before_the_question_of_squad_and_its_title_is_the_topic(
    tmp_path: Path,
) -> None:
    row = {"question": "Where?", "context": "In the joint.", "title": "Gout"}
    [record] = read(tmp_path, row | {"answers": [{"text": "Joint"}, {"text": "The joint"}]})
    assert record == Record(
        "cards.jsonl:0", "In the joint.\n\nWhere?", "Joint", "flashcard", "gout", "cards.jsonl"
    )
    [record] = read(tmp_path, row | {"answers": {"text": [], "answer_start": []}})
    assert record.answer == "", "a question without an answer in the context"


@pytest.mark.parametrize("context", [["One.", "Two."], {"contexts": ["One.", "Two."]}])
def test_passages_of_a_context_are_joined(tmp_path: Path, context: object) -> None:
    row = {"question": "Where?", "context": context, "answers": [{"text": "There"}]}
    [record] = read(tmp_path, row)
    assert record.question == "One.\n\nTwo.\n\nWhere?"


def test_squads_own_file_gives_every_question_of_every_paragraph(tmp_path: Path) -> None:
    asked = [{"question": f"{word}?", "answers": [{"text": word}]} for word in ("Who", "When")]
    paragraphs = [{"context": "Text.", "qas": asked}, {"context": "More.", "qas": asked[:1]}]
    content = {"version": "1.1", "data": [{"title": "Gout", "paragraphs": paragraphs}]}
    (tmp_path / "train.json").write_text(json.dumps(content))
    records = list(read_records(tmp_path, choose("auto")))
    assert [record.id for record in records] == [f"train.json:{place}" for place in range(3)]
    assert records[1].question == "Text.\n\nWhen?"
    assert records[2].answer == "Who"


@pytest.mark.slow
def test_medquad_and_medical_meadow_give_what_their_own_readers_give(tmp_path: Path) -> None:
    rows = [{"qtype": "exams and tests", "Question": GOUT["q"], "Answer": GOUT["a"]}]
    assert read(tmp_path, *rows) == list(read_records(tmp_path, choose("medquad")))
    instruction = "Answer this question truthfully"
    rows = [{"instruction": instruction, "input": GOUT["q"], "output": GOUT["a"]}]
    assert read(tmp_path, *rows) == list(read_records(tmp_path, choose("medical_meadow")))


def test_each_file_has_its_own_layout(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    read(tmp_path, {"messages": openai(CHAT)}, name="a.jsonl")
    records = read(tmp_path, {"prompt": "Q?", "completion": "A."}, name="b.jsonl")
    assert [record.id for record in records] == ["a.jsonl:0", "b.jsonl:0"]
    assert len(told(caplog)) == 3


@pytest.mark.parametrize(
    ("names", "reader"),
    [
        (["hp.obo", "phenotype.hpoa", "MONDO-ontology-v2026-05-05.json.zst"], "read_ontologies"),
        (["hp.obo", "phenotype.hpoa"], "read_hpo"),
    ],
)
def test_ontologies_are_read_with_the_tables_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], reader: str
) -> None:
    for name in names:
        (tmp_path / name).touch()
    card = Record("HP:1/definition", "What is x?", "An x.", "definition", "HP:1", "hp.obo")
    monkeypatch.setattr(auto_reader, reader, lambda folder: iter([card]))
    assert list(read_records(tmp_path, choose("auto"))) == [card]
    records = read(tmp_path, {"question": "Q?", "answer": "A."}, name="mine.jsonl")
    assert [record.id for record in records] == [card.id, "mine.jsonl:0"]


def test_an_unknown_layout_is_refused_with_the_columns_and_the_known_layouts(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, {"prompt": "Q?", "chosen": "A.", "rejected": "B."})
    said = str(caught.value)
    assert "has the columns 'prompt', 'chosen', 'rejected'" in said
    for word in ("messages", "ShareGPT", "Alpaca", "SQuAD", "MedQuAD", "front, back", "Anki"):
        assert word in said
    assert said.endswith("set clean.reader to columns and name them in clean.columns")


@pytest.mark.parametrize(
    "row", ["What is gout?,Arthritis", "gout,A painful disease of joints", "1,Gout"]
)
def test_a_table_without_a_header_is_refused_with_its_first_row(tmp_path: Path, row: str) -> None:
    (tmp_path / "cards.csv").write_text(f"{row}\nWhat is flu?,A virus\n")
    with pytest.raises(InputError) as caught:
        list(read_records(tmp_path, choose("auto")))
    shown = ", ".join(map(repr, row.split(",")))
    said = f"has no header, but begins with {shown}: write a row question,answer above it"
    assert said in str(caught.value)


def test_a_header_with_unknown_names_is_a_header(tmp_path: Path) -> None:
    (tmp_path / "cards.csv").write_text(",Term,Meaning\n0,Gout,Arthritis\n")  # as pandas writes it
    with pytest.raises(InputError, match="has the columns '', 'Term', 'Meaning', which is no"):
        list(read_records(tmp_path, choose("auto")))


def test_a_column_that_is_missing_for_want_of_a_header_gets_a_hint(tmp_path: Path) -> None:
    (tmp_path / "cards.csv").write_text("What is gout?,Arthritis\nWhat is flu?,A virus\n")
    columns = Columns(question="front", answer="back")
    with pytest.raises(InputError, match="if this is a card, write a row with the names"):
        list(read_records(tmp_path, choose("columns", columns)))
    (tmp_path / "cards.csv").write_text("Term,Definition\nGout,Arthritis\n")
    with pytest.raises(InputError, match=r"name the columns in clean\.columns$"):
        list(read_records(tmp_path, choose("columns", columns)))


def test_two_columns_for_one_part_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="may be the answer, 'answer', 'response': choose with"):
        read(tmp_path, {"question": "Q?", "answer": "A.", "response": "B."})
