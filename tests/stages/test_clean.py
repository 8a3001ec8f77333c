"""The clean stage accounts for every raw row and says why one was dropped."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from medtune.cards import records as records_module
from medtune.cards import workers
from medtune.cards.cleaning import RULES
from medtune.cards.filtering import REASONS
from medtune.cards.personal_data import KINDS
from medtune.cards.records import FIELDS, HISTORY, LEFT_OUT_TERM, Record
from medtune.config.loading import load_params
from medtune.config.schema import Columns
from medtune.runtime.errors import InputError
from stages import clean as stage

ROWS = [
    {"q": "What is <b>gout</b>?", "a": "A painful\tjoint disease.", "kind": "definition"},
    {"q": None, "a": "An answer to nothing."},
    {"q": "A list?", "a": ["not", "text"]},
    {"q": " \n", "a": "An answer to nothing."},
    {"q": "Nothing?", "a": "<p></p>"},
    {"q": "What is that?", "a": "what is THAT? "},
    {"q": "Short?", "a": "Yes."},
    {"q": "Long?", "a": "very " * 20 + "long"},
    {"q": "What is gout?", "a": "A painful joint  disease.", "kind": "other"},
    {"q": "How many bones?", "a": "Adults have 206 bones, " + "and more " * 4, "kind": "number"},
]
DROPPED = {
    1: "not_text",
    2: "not_text",
    3: "empty_question",
    4: "empty_answer",
    5: "answer_equals_question",
    6: "answer_too_short",
    7: "answer_too_long",
    8: "duplicate",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    columns = Columns(question="q", answer="a", kind="kind")
    limits = {"min_question_words": 1, "max_question_words": 20}
    limits |= {"min_answer_words": 2, "max_answer_words": 20}
    clean = load_params("clean").model_copy(
        update={"reader": "columns", "columns": columns, **limits}
    )
    monkeypatch.setattr(stage, "load_params", lambda name: {"clean": clean}[name])
    monkeypatch.chdir(tmp_path)
    write(ROWS)
    return tmp_path


def write(rows):
    Path("data/raw").mkdir(parents=True, exist_ok=True)
    Path("data/raw/cards.json").write_text(json.dumps([{"kind": None, **row} for row in rows]))


def outputs():
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def test_every_row_is_kept_or_dropped_with_its_reason(project):
    stage.main()
    records = pq.read_table(stage.RECORDS)
    assert tuple(records.column_names) == (*FIELDS, "fact_type", "facts")
    assert records.to_pylist()[0] == {
        "id": "cards.json:0",
        "question": "What is gout?",
        "answer": "A painful joint disease.",
        "kind": "definition",
        "topic": "",
        "source": "cards.json",
        "fact_type": "",
        "facts": [],
    }
    assert records["id"].to_pylist() == ["cards.json:0", "cards.json:9"]
    dropped = pq.read_table(stage.DROPPED).to_pylist()
    assert {row["position"]: row["reason"] for row in dropped} == DROPPED
    assert [row["id"] for row in dropped] == [f"cards.json:{row}" for row in DROPPED]
    assert dropped[-1]["answer"] == ROWS[8]["a"], "a dropped record stays raw"


def test_metrics_count_every_reason_rule_and_kind(project):
    stage.main()
    counts = {f"dropped.{reason}": 0 for reason in REASONS}
    counts |= {f"fixed.{rule}": 0 for rule in RULES} | {f"personal.{kind}": 0 for kind in KINDS}
    assert json.loads(stage.METRICS.read_text()) == counts | {
        "records_in": 10,
        "kept": 2,
        "same_question_other_answer": 0,
        "dropped.not_text": 2,
        "dropped.empty_question": 1,
        "dropped.empty_answer": 1,
        "dropped.answer_equals_question": 1,
        "dropped.answer_too_short": 1,
        "dropped.answer_too_long": 1,
        "dropped.duplicate": 1,
        "fixed.html": 2,
        "fixed.whitespace": 6,
    }


def test_a_text_that_says_that_a_value_is_missing_is_dropped_and_counted(project):
    write([{"q": "Why?", "a": text} for text in ("None", " nan", "#REF!", "None of them.")])
    stage.main()
    counts = json.loads(stage.METRICS.read_text())
    assert (counts["dropped.missing_value"], counts["kept"]) == (3, 1)


def chat(*texts):
    roles = ("system", "user", "assistant", "user", "assistant")[-len(texts) :]
    return {"messages": [{"role": r, "content": t} for r, t in zip(roles, texts, strict=True)]}


def test_a_history_is_cleaned_and_counted_and_tells_conversations_apart(project, monkeypatch):
    update = {"reader": "auto", "columns": None}
    clean = stage.load_params("clean").model_copy(update=update)
    monkeypatch.setattr(stage, "load_params", lambda name: clean)
    monkeypatch.setattr(records_module, "ROW_GROUP", 1)
    rows = [
        chat("What is it?", "A disease."),
        chat("Be\tbrief.", "What is <b>gout</b>?", "Ask a@b.org.", "Why?", "Uric acid."),
        chat("What is flu?", "A virus.", "Why?", "Uric acid."),
        chat("What is flu?", "A virus.", "Why?", "Uric acid."),
        chat("<p></p>", "What is flu?", "A virus.", "Why?", "Uric acid!"),
        {"messages": [{"role": "tool", "content": "x"}]},
    ]
    Path("data/raw/cards.json").write_text(json.dumps(rows))
    stage.main()
    records = pq.read_table(stage.RECORDS)
    assert records.schema.field("history") == HISTORY
    said = [[message["content"] for message in row] for row in records["history"].to_pylist()]
    flu = ["What is flu?", "A virus."]
    assert said == [[], ["Be brief.", "What is gout?", "Ask a@b.org."], flu, flu]
    assert records["history"][1].as_py()[0]["role"] == "system"
    counts = json.loads(stage.METRICS.read_text())
    assert counts["with_history"] == 3
    assert (counts["dropped.duplicate"], counts["dropped.unknown_role"]) == (1, 1)
    assert (counts["personal.email"], counts["same_question_other_answer"]) == (1, 1)


def test_one_question_with_several_answers_is_kept_and_counted(project):
    answers = ["A disease.", "Arthritis of old.", "A disease.", "Too much uric acid."]
    write([{"q": question, "a": answer} for answer in answers for question in ("Gout?", "GOUT?")])
    stage.main()
    metrics = json.loads(stage.METRICS.read_text())
    assert metrics["kept"] == 6
    assert metrics["dropped.duplicate"] == 2
    assert metrics["same_question_other_answer"] == 5, "all but the first"


def test_personal_data_counts_no_dropped_duplicate(project):
    write([{"q": "Who?", "a": "Ask a@b.org now."}] * 3 + [{"q": "c@d.org?", "a": "Yes."}])
    stage.main()
    assert json.loads(stage.METRICS.read_text())["personal.email"] == 1


def test_positions_count_the_rows_of_each_file(project):
    Path("data/raw/more.json").write_text(json.dumps([{"q": "Why?", "a": "No.", "kind": ""}] * 2))
    stage.main()
    dropped = pq.read_table(stage.DROPPED).to_pylist()
    assert [f"{row['source']}:{row['position']}" for row in dropped] == [r["id"] for r in dropped]
    assert [row["id"] for row in dropped[-2:]] == ["more.json:0", "more.json:1"]


def test_a_card_keeps_its_facts_and_is_dropped_for_the_reader_s_reason(project, monkeypatch):
    facts = (("metabolic disease", "metabolic disorder"),)
    kept = Record("a", "What kind of disease is gout?", "A metabolic disease.", "class", "", "x")
    cards = [
        replace(kept, fact_type="equal", facts=facts),
        replace(kept, id="b", question="What is that?", drop_reason=LEFT_OUT_TERM),
    ]
    monkeypatch.setattr(stage, "read_records", lambda folder, clean: iter(cards))
    stage.main()
    [record] = pq.read_table(stage.RECORDS).to_pylist()
    assert (record["fact_type"], record["facts"]) == ("equal", [list(facts[0])])
    [dropped] = pq.read_table(stage.DROPPED).to_pylist()
    assert (dropped["id"], dropped["position"], dropped["reason"]) == ("b", 1, "left_out_term")
    assert json.loads(stage.METRICS.read_text())["dropped.left_out_term"] == 1


def test_plots_count_kinds_and_answer_lengths(project):
    stage.main()
    assert stage.KINDS.read_text() == "kind,records\ndefinition,1\nnumber,1\n"
    assert stage.ANSWER_WORDS.read_text() == "kind,words,records\ndefinition,0,1\nnumber,10,1\n"


@pytest.mark.slow
def test_the_number_of_processes_does_not_change_a_byte(project, monkeypatch):
    monkeypatch.setattr(stage, "BATCH", 7)
    monkeypatch.setattr(stage, "ALONE", 2)
    write([{**row, "kind": str(n % 3)} for n in range(30) for row in ROWS[n % 4 :]])
    written = []
    for count in (1, 2, 3):
        monkeypatch.setattr(workers, "core_count", lambda count=count: count)
        stage.main()
        written.append(outputs())
    assert written[0] == written[1] == written[2]


def test_a_data_set_without_faults_has_an_empty_table_of_dropped_rows(project):
    write(ROWS[:1])
    stage.main()
    dropped = pq.read_table(stage.DROPPED)
    assert dropped.num_rows == 0
    assert dropped.column_names == [*FIELDS, "position", "reason"]


def test_nothing_kept_names_the_limit_that_most_cards_exceed(project):
    write([ROWS[7], {**ROWS[7], "q": "Longer?"}, ROWS[1]])
    with pytest.raises(InputError, match=r"answer_too_long 2\): raise clean\.max_answer_words$"):
        stage.main()


def test_nothing_kept_is_an_error_with_the_reasons(project):
    stage.main()
    before = outputs()
    write(ROWS[1:3])
    with pytest.raises(InputError, match=r"2 records and none .*\(dropped: not_text 2\): "):
        stage.main()
    del before[Path("data/raw/cards.json")]
    assert before.items() <= outputs().items()
