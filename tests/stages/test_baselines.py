import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medtune.runtime.errors import InputError
from medtune.scoring.predictions import SCHEMA
from medtune.scoring.system_names import RULES
from stages import baselines

PARAMS = Path("params.yaml").resolve()
NAMES = ("Gout", "Asthma", "Malaria", "Marfan syndrome", "Cowden syndrome")


def write_split(name: str, names: tuple[str, ...], kind: str = "inheritance") -> None:
    cards = [
        {
            **{column: f"{column} {n}" for column in ("id", "topic", "group")},
            "kind": kind,
            "question": f"How is {disease} inherited?",
            "answer": f"{disease} is inherited in a dominant manner.",
        }
        for n, disease in enumerate(names)
    ]
    schema = pa.schema(
        [(column, pa.string()) for column in baselines.COLUMNS if column != "history"]
    )
    pq.write_table(pa.Table.from_pylist(cards, schema), f"data/split/{name}.parquet")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_bytes(PARAMS.read_bytes())
    Path("data/split").mkdir(parents=True)
    write_split("train", NAMES)
    write_split("validation", ("Migraine",))
    write_split("test", ("Turner syndrome", "Measles"))
    return tmp_path


@pytest.mark.slow
def test_every_rule_answers_and_is_scored_in_the_order_of_the_cards(project: Path) -> None:
    baselines.main()
    table = pq.read_table(baselines.PREDICTIONS)
    assert table.schema.names == ["system", "split", *SCHEMA.names]
    rows = table.to_pylist()
    assert [(row["system"], row["split"], row["id"]) for row in rows] == [
        (system, *rest)
        for system in RULES
        for rest in (("validation", "id 0"), ("test", "id 0"), ("test", "id 1"))
    ]
    assert all(row["nll"] is None and row["stopped"] for row in rows)
    answers = {row["system"]: row["prediction"] for row in rows if row["id"] == "id 0"}
    assert answers["echo"] == "How is Turner syndrome inherited?"
    assert answers["nearest_card"] == "Marfan syndrome is inherited in a dominant manner."
    assert answers["nearest_card_renamed"] == "Turner syndrome is inherited in a dominant manner."
    assert answers["fill_in"] == "Turner syndrome is inherited in a dominant manner."
    metrics = json.loads(baselines.METRICS.read_text(encoding="utf-8"))
    assert metrics["sentence.inheritance"] == "{name} is inherited in a dominant manner."
    assert metrics["fill_in.test.rougeL"] == 1 and metrics["fill_in.test.perplexity"] is None
    assert metrics["n.test"] == metrics["names_found.test"] == 2


@pytest.mark.slow
def test_a_kind_without_training_cards_learns_from_all(project: Path) -> None:
    write_split("test", ("Measles",), kind="new")
    baselines.main()
    metrics = json.loads(baselines.METRICS.read_text(encoding="utf-8"))
    assert metrics["sentence.new"] == metrics["sentence.inheritance"]


def test_no_training_cards_are_one_clear_error(project: Path) -> None:
    write_split("train", ())
    with pytest.raises(InputError, match=r"has no cards: raise split.shares.train"):
        baselines.main()
