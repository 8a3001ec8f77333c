import json
import random
from collections import Counter
from collections.abc import Callable
from itertools import combinations, pairwise, product
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medtune.cards.records import FIELDS
from medtune.config.allowed_values import SPLITS
from medtune.config.loading import load_params, read_yaml
from medtune.runtime.errors import InputError
from medtune.runtime.params_file import PARAMS_FILE
from medtune.splits.near_duplicates import normalised
from stages import split as stage

WORDS = [f"word{number}" for number in range(3000)]
SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}
ALL = {"train": None, "validation": None, "test": None}
Parts = dict[str, pd.DataFrame]


def text(seed: object, words: int = 20) -> str:
    return " ".join(random.Random(str(seed)).choices(WORDS, k=words))


def card(name: str, answer: str, topic: str, kind: str = "definition") -> tuple[str, ...]:
    return (name, f"What about {name}?", answer, kind, topic, "test")


def findings(count: int, first: int = 0) -> list[tuple[str, ...]]:
    return [card(f"finding {n}", text(n), f"topic {n // 3}") for n in range(first, first + count)]


def diseases(count: int, first: int = 0) -> list[tuple[str, ...]]:
    """Two cards for each disease; most share the answer of the second word for word."""
    rows = []
    for n in range(first, first + count):
        mode = "recessive" if n % 4 else "dominant"
        answer = f"It follows an autosomal {mode} pattern." if n % 10 else text(f"inheritance {n}")
        rows.append(card(f"disease {n}", text(n), f"disease {n}"))
        rows.append(card(f"inheritance {n}", answer, f"disease {n}", "inheritance"))
    return rows


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Parts]:
    """Runs the stage on rows of cards, all of them unless `max_records` says otherwise."""
    params = read_yaml(PARAMS_FILE)
    monkeypatch.chdir(tmp_path)
    stage.RECORDS.parent.mkdir(parents=True)

    def run_stage(rows: list[tuple[str, ...]], **changes: Any) -> Parts:
        params["split"] |= {"shares": SHARES, "max_records": ALL} | changes
        PARAMS_FILE.write_text(json.dumps(params))
        cards = pd.DataFrame(rows, columns=list(FIELDS))
        pq.write_table(pa.Table.from_pandas(cards, preserve_index=False), stage.RECORDS)
        stage.main()
        names = (*SPLITS, "left_out")
        return {name: pd.read_parquet(stage.SPLIT / f"{name}.parquet") for name in names}

    return run_stage


def metrics() -> dict[str, Any]:
    return json.loads(stage.METRICS.read_text())


def places(parts: Parts) -> dict[str, str]:
    """The split of each record that is in one."""
    return {name: split for split in SPLITS for name in parts[split]["id"]}


def shingles(answer: str) -> set[tuple[str, str]]:
    return set(pairwise(["^", *normalised(answer).split(), "$"]))


def assert_nothing_is_shared(parts: Parts) -> None:
    """By brute force: no equal question or answer and no near-duplicate in two splits."""
    similarity = load_params("split.near_duplicate_similarity")
    sets = {name: [shingles(answer) for answer in parts[name]["answer"]] for name in SPLITS}
    for one, other in combinations(SPLITS, 2):
        for column in ("question", "answer"):
            texts = [{*map(normalised, parts[name][column])} for name in (one, other)]
            assert not texts[0] & texts[1]
        pairs = product(sets[one], sets[other])
        assert not any(len(a & b) >= similarity * len(a | b) for a, b in pairs)


@pytest.mark.slow
def test_no_topic_straddles_splits_and_the_metrics_say_so(run: Callable[..., Parts]) -> None:
    parts = run(findings(600))
    topics = [set(parts[name]["topic"]) for name in SPLITS]
    assert not any(a & b for a, b in combinations(topics, 2))
    found = metrics()
    assert [found[name] for name in SPLITS] == [len(parts[name]) for name in SPLITS]
    assert found["groups"] == sum(parts[name]["group"].nunique() for name in SPLITS) == 200
    assert found["records_in"] == 600 and parts["left_out"].empty
    assert found["largest_component_share"] == found["largest_group_share"] == 0.005
    assert found["leak.question"] == found["leak.answer"] == found["leak.ngram13"] == 0
    assert 0 <= found["kind_deviation"] < 0.1


@pytest.mark.slow
def test_a_random_split_of_copies_leaks(run: Callable[..., Parts]) -> None:
    copies = [card(f"copy {n}", text(n), f"topic {n // 3}") for n in range(300)]
    run(findings(300) + copies)
    assert metrics()["leak_random_split.answer"] == pytest.approx(0.8, abs=0.15)
    assert metrics()["leak_random_split.ngram13"] == metrics()["leak_random_split.answer"]
    assert metrics()["leak.answer"] == metrics()["leak_random_split.question"] == 0


@pytest.mark.slow
def test_boilerplate_empties_no_split_and_leaks_nothing(run: Callable[..., Parts]) -> None:
    parts = run(diseases(300))
    found = metrics()
    assert found["largest_component_share"] == 0.7  # those of the recessive diseases
    assert found["largest_group_share"] == round(2 / 600, 6)
    assert_nothing_is_shared(parts)
    test = parts["test"]
    assert 0.05 < (test["kind"] == "definition").sum() / 300 < 0.15
    shared = parts["left_out"].set_index("id")
    assert set(shared["reason"]) == {"answer"}
    assert found["left_out.answer"] == (shared["reason"] == "answer").sum()
    rows = {name: split for name, split in places(parts).items() if split == "train"}
    assert set(shared["shares_with"]) <= set(rows) and set(shared["split"]) == {
        "validation",
        "test",
    }


@pytest.mark.slow
def test_records_added_to_a_cut_component_move_no_others(run: Callable[..., Parts]) -> None:
    before, after = places(run(diseases(300))), places(run(diseases(330)))
    assert all(after[name] == split for name, split in before.items() if name in after)
    assert {before[name] for name in set(before) - set(after)} <= {"validation", "test"}
    assert len(set(before) - set(after)) <= 3


@pytest.mark.slow
def test_templates_that_are_near_duplicates_stay_in_train(run: Callable[..., Parts]) -> None:
    template = "An abnormality of the {} of the hand, foot or spine that is seen at birth."
    templates = [card(f"bone {n}", template.format(WORDS[n]), f"bone {n}") for n in range(200)]
    parts = run(templates + findings(400))
    assert metrics()["largest_component_share"] == round(1 / 3, 6)
    assert metrics()["largest_group_share"] == 3 / 600
    assert_nothing_is_shared(parts)
    assert set(parts["left_out"]["reason"]) == {"near_duplicate"}
    assert {place for name, place in places(parts).items() if "bone" in name} == {"train"}


@pytest.mark.slow
def test_a_chain_of_shared_sentences_is_cut(run: Callable[..., Parts]) -> None:
    links = [f"{text(n, 24)} {text(n + 1, 24)}" for n in range(300)]
    parts = run([card(f"link {n}", answer, f"topic {n}") for n, answer in enumerate(links)])
    found = metrics()
    assert found["largest_component_share"] == 1
    assert found["leak.ngram13"] == 0 < found["leak_random_split.ngram13"]
    assert found["left_out.ngram13"] > 0 and found["left_out.near_duplicate"] == 0
    assert len(parts["test"]) > 5 and len(parts["train"]) > 200


@pytest.mark.slow
def test_a_topic_of_half_of_the_data_goes_to_train(run: Callable[..., Parts]) -> None:
    giant = [card(f"giant {n}", text(f"giant {n}"), "giant") for n in range(300)]
    parts = run(giant + findings(300))
    assert {row[0] for row in giant} <= set(parts["train"]["id"])
    assert metrics()["largest_group_share"] == 0.5
    assert Counter(places(parts).values())["test"] > 10


@pytest.mark.slow
def test_cards_with_one_answer_cannot_fill_three_splits(run: Callable[..., Parts]) -> None:
    rows = [card(f"disease {n}", "It is inherited.", f"disease {n}") for n in range(100)]
    message = r"100 records in 100 groups leave the split validation and test empty \(\d+ left out"
    with pytest.raises(InputError, match=message):
        run(rows)
    assert not stage.SPLIT.exists()


@pytest.mark.slow
def test_one_record_cannot_fill_three_splits(run: Callable[..., Parts]) -> None:
    with pytest.raises(InputError, match=r"1 records in 1 groups leave the split .* empty"):
        run(findings(1))
    assert not stage.SPLIT.exists()


@pytest.mark.slow
def test_records_over_a_limit_are_listed(run: Callable[..., Parts]) -> None:
    parts = run(findings(600), max_records=ALL | {"test": 10})
    left_out = parts["left_out"]
    assert len(parts["test"]) == 10 and metrics()["left_out.over_limit"] == len(left_out) > 10
    assert set(left_out["reason"]) == {"over_limit"} and left_out["shares_with"].isna().all()


@pytest.mark.slow
def test_shares_may_be_counts(run: Callable[..., Parts]) -> None:
    counts = {"train": 200, "validation": 20, "test": 25}
    parts = run(findings(600), shares=counts)
    assert {name: len(parts[name]) for name in SPLITS} == counts
    with pytest.raises(InputError, match=r"split\.shares asks for 601 records, but there are 600"):
        run(findings(600), shares=counts | {"train": 556})


@pytest.mark.slow
def test_a_count_that_whole_groups_cannot_meet_is_reported(
    run: Callable[..., Parts], caplog: pytest.LogCaptureFixture
) -> None:
    parts = run(findings(600), shares={"train": 480, "validation": 60, "test": 60})
    short = [name for name in SPLITS if len(parts[name]) < (480 if name == "train" else 60)]
    assert short and caplog.messages.count(
        f"{short[0]} has {len(parts[short[0]])} records, fewer than split.shares.{short[0]}"
    )
