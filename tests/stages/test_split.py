import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medtune.errors import InputError
from medtune.params import Split, load_params
from medtune.records import FIELDS
from stages import split as stage

PARAMS: Split = load_params("split")


@pytest.fixture
def cards() -> pd.DataFrame:
    rows = [
        (f"id{n}", f"What is finding {n}?", f"Answer {n} about it", kind, f"topic {n // 3}", "test")
        for n in range(600)
        for kind in (("definition",) if n % 4 else ("features",))
    ]
    return pd.DataFrame(rows, columns=list(FIELDS))


def run(
    cards: pd.DataFrame, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, pd.DataFrame]:
    params = Path("params.yaml").read_text()
    monkeypatch.chdir(folder)
    (folder / "params.yaml").write_text(params)
    (folder / "data/clean").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pandas(cards, preserve_index=False), stage.RECORDS)
    stage.main()
    return {name: pd.read_parquet(stage.SPLIT / f"{name}.parquet") for name in stage.SPLITS}


def test_no_topic_straddles_splits_and_the_metrics_say_so(
    cards: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = run(cards, tmp_path, monkeypatch)
    topics = [set(part["topic"]) for part in parts.values()]
    assert not topics[0] & topics[1] and not topics[0] & topics[2] and not topics[1] & topics[2]
    metrics = json.loads((tmp_path / "metrics/split.json").read_text())
    assert [metrics[name] for name in parts] == [len(part) for part in parts.values()]
    assert metrics["groups"] == 200
    assert metrics["leak.question"] == metrics["leak.answer"] == metrics["leak.ngram13"] == 0


def test_new_cards_leave_the_others_where_they_were(cards: pd.DataFrame) -> None:
    cards["group"] = stage.group_names(cards, cards["topic"].factorize()[0])
    before = stage.assign(cards["group"], PARAMS, seed=1)
    fewer = cards[cards["topic"] != "topic 7"]
    assert before[fewer.index].equals(stage.assign(fewer["group"], PARAMS, seed=1))
    assert not before.equals(stage.assign(cards["group"], PARAMS, seed=2))


def test_shares_are_met_within_the_size_of_groups(cards: pd.DataFrame) -> None:
    names = stage.group_names(cards, cards["id"].factorize()[0])
    found = stage.assign(names, PARAMS, seed=3).value_counts(normalize=True)
    assert found["train"] == pytest.approx(0.8, abs=0.06)
    assert found["test"] == pytest.approx(0.1, abs=0.05)


def test_a_group_that_is_too_large_goes_to_train(cards: pd.DataFrame) -> None:
    names = pd.Series(["giant"] * 100 + [f"small {n}" for n in range(500)])
    for seed in range(20):
        assert set(stage.assign(names, PARAMS, seed)[:100]) == {"train"}


def test_a_few_unrelated_records_can_be_split(cards: pd.DataFrame) -> None:
    few = cards[:9].assign(topic="")
    few["group"] = stage.group_names(few, few.index.to_numpy())
    found = [set(stage.assign(few["group"], PARAMS, seed)) for seed in range(60)]
    assert {"train", "validation", "test"} in found


@pytest.mark.parametrize(
    ("balanced", "expected"),
    [(False, {"a": 50, "b": 40, "c": 10}), (True, {"a": 45, "b": 45, "c": 10})],
)
def test_a_cap_takes_each_kind_equally_or_in_its_share(
    balanced: bool, expected: dict[str, int]
) -> None:
    counts = pd.Series({"a": 500, "b": 400, "c": 100 if not balanced else 10})
    assert stage.quotas(counts, 100, balanced).to_dict() == expected


def test_quotas_never_exceed_what_there_is() -> None:
    counts = pd.Series({"a": 3, "b": 1, "c": 1})
    assert stage.quotas(counts, 4, balanced=True).sum() == 4
    assert (stage.quotas(counts, 4, balanced=True) <= counts).all()
    assert stage.quotas(counts, 4, balanced=False).sum() == 4


def test_one_record_makes_no_three_splits(
    cards: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"1 records in 1 groups leave the split .* empty"):
        run(cards[:1], tmp_path, monkeypatch)
    assert not stage.SPLIT.exists()
