import pandas as pd
import pytest

from medtune.config.loading import load_params
from medtune.config.schema import Split
from medtune.splits.assignment import assign, over_limit

PARAMS: Split = load_params("split")


@pytest.fixture
def groups() -> pd.Series:
    return pd.Series([f"group {n // 3}" for n in range(3000)])


def cards(**counts: int) -> pd.DataFrame:
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    return pd.DataFrame({"id": [f"id{n}" for n in range(len(kinds))], "kind": kinds})


def kept(records: pd.DataFrame, limit: int, balanced: bool) -> dict[str, int]:
    weights = records["kind"].value_counts()
    left = records.drop(
        over_limit(records, limit, weights.clip(upper=1) if balanced else weights, seed=1)
    )
    return left["kind"].value_counts().to_dict()


@pytest.mark.slow
def test_new_groups_leave_the_others_where_they_were(groups: pd.Series) -> None:
    before = assign(groups, PARAMS, seed=1)
    fewer = groups[groups != "group 7"]
    assert before[fewer.index].equals(assign(fewer, PARAMS, seed=1))
    assert not before.equals(assign(groups, PARAMS, seed=2))


def test_shares_are_met_within_the_size_of_groups(groups: pd.Series) -> None:
    found = assign(groups, PARAMS, seed=3).value_counts(normalize=True)
    assert found["train"] == pytest.approx(PARAMS.shares.train, abs=0.04)
    assert found["validation"] == pytest.approx(PARAMS.shares.validation, abs=0.03)
    assert found["test"] == pytest.approx(PARAMS.shares.test, abs=0.03)


@pytest.mark.slow
def test_a_group_that_is_too_large_goes_to_train() -> None:
    names = pd.Series(["giant"] * 100 + [f"small {n}" for n in range(500)])
    for seed in range(20):
        assert set(assign(names, PARAMS, seed)[:100]) == {"train"}


@pytest.mark.slow
def test_a_few_unrelated_records_can_be_split() -> None:
    few = pd.Series([f"group {n}" for n in range(9)])
    found = [set(assign(few, PARAMS, seed)) for seed in range(60)]
    assert {"train", "validation", "test"} in found


@pytest.mark.parametrize(
    ("balanced", "expected"),
    [(False, {"a": 50, "b": 40, "c": 10}), (True, {"a": 34, "b": 33, "c": 33})],
)
def test_a_limit_takes_each_kind_equally_or_in_its_share(
    balanced: bool, expected: dict[str, int]
) -> None:
    assert kept(cards(a=500, b=400, c=100), 100, balanced) == expected


@pytest.mark.parametrize("balanced", [True, False])
def test_places_of_a_kind_that_runs_out_go_to_the_others(balanced: bool) -> None:
    assert kept(cards(a=500, b=400, c=10), 100, balanced=True) == {"a": 45, "b": 45, "c": 10}
    assert sum(kept(cards(a=3, b=1, c=1), 4, balanced).values()) == 4


def test_the_share_of_a_kind_is_that_in_all_records() -> None:
    weights = pd.Series({"a": 900, "b": 100})  # this part has more of b than the whole
    part = cards(a=50, b=50)
    left = part.drop(over_limit(part, 40, weights, seed=1))
    assert left["kind"].value_counts().to_dict() == {"a": 36, "b": 4}


def test_new_records_over_the_limit_replace_few_of_the_others() -> None:
    weights = pd.Series({"a": 1})
    before = set(over_limit(cards(a=200), 100, weights, seed=1))
    after = set(over_limit(cards(a=210), 100, weights, seed=1))
    assert before < after  # what was left out stays left out
    assert len(after) == 110


@pytest.mark.parametrize("balanced", [True, False])
def test_the_cards_of_a_lower_limit_are_a_part_of_those_of_a_higher_one(balanced: bool) -> None:
    records = cards(a=300, b=200, c=10)
    counts = records["kind"].value_counts()
    weights = counts.clip(upper=1) if balanced else counts
    taken = [set(records.index) - set(over_limit(records, n, weights, 1)) for n in (25, 50, 100)]
    assert [len(each) for each in taken] == [25, 50, 100]
    assert taken[0] < taken[1] < taken[2]


def test_few_records_are_all_kept() -> None:
    assert kept(cards(a=5), 5, balanced=True) == {"a": 5}
