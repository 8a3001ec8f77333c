import math
from typing import Any

import pyarrow as pa
import pytest

from medtune.comparison.breakdowns import (
    best_of_parts,
    compared_parts,
    length_parts,
    lists_of_parts,
    part_names,
    topic_parts,
)
from medtune.comparison.confidence_intervals import Settings

SETTINGS = Settings(resamples=200, confidence=0.9, seed=1)


def test_small_topics_are_put_together() -> None:
    topics = ["gout"] * 5 + ["asthma"] * 4 + ["rash"] * 6 + [""] * 7
    assert topic_parts(topics) == [
        *["gout"] * 5,
        *["other topics"] * 4,
        *["rash"] * 6,
        *["other topics"] * 7,
    ]


def test_only_the_largest_topics_get_their_own_part() -> None:
    topics = [f"topic {i:02}" for i in range(30) for _ in range(5 + i)]
    alone = {f"topic {i:02}" for i in range(10, 30)}
    assert set(topic_parts(topics)) == {*alone, "other topics"}


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (0, "1-5 words"),
        (5, "1-5 words"),
        (6, "6-10 words"),
        (20, "11-20 words"),
        (40, "21-40 words"),
        (41, "over 40 words"),
    ],
)
def test_lengths_are_those_of_the_reference(words: int, part: str) -> None:
    assert length_parts(["word " * words]) == [part]
    assert length_parts(["痛" * words]) == [part]


def test_parts_are_listed_as_a_person_would() -> None:
    names = ["over 40 words", "11-20 words", "6-10 words", "other topics", "onset", "x.n"]
    flat = {f"{name}.{key}": 1 for name in names for key in ("n", "groups", "rougeL.base")}
    ordered = ["6-10 words", "11-20 words", "onset", "over 40 words", "x.n", "other topics"]
    assert part_names(flat) == ordered


def test_each_part_has_the_scores_of_its_own_rows() -> None:
    columns: dict[str, Any] = {"group": ["a", "b", "c"], "answer_tokens": [1, 1, 1]}
    base = pa.table(columns | {"rougeL": [0.1, 0.2, 0.6], "nll": [1.0, 1.0, 2.0]})
    finetuned = pa.table(columns | {"rougeL": [0.2, 0.4, 0.5], "nll": [0.0, 0.0, 2.0]})
    tables = {"base": base, "finetuned": finetuned}
    flat = compared_parts(tables, ["x", "x", "y"], ("rougeL", "perplexity"), SETTINGS)
    assert (flat["x.n"], flat["y.n"], flat["y.groups"]) == (2, 1, 1)
    assert flat["x.rougeL.difference"] == pytest.approx(0.15)
    assert flat["x.perplexity.base"] == pytest.approx(math.e)
    assert flat["y.rougeL.losses"] == 1
    assert math.isnan(flat["y.rougeL.ci_low"]) and math.isnan(flat["y.rougeL.p_value"])


def test_each_part_has_the_value_of_the_system_that_is_best_on_validation() -> None:
    rule = pa.table({"rougeL": [0.1, 0.2, 0.6], "facts_right": [0, 1, 0], "facts_rows": [0, 1, 0]})
    best = {"rougeL": "fill_in", "facts": "fill_in"}
    names = ("rougeL", "facts", "bleu")
    flat = best_of_parts({"fill_in": rule}, ["x", "x", "y"], best, names)
    assert flat == {
        "x.rougeL.best": pytest.approx(0.15),
        "y.rougeL.best": 0.6,
        "x.facts.best": 1.0,
    }, "no card of y has facts"


def test_listed_facts_have_precision_and_recall_in_the_kinds_that_list_some() -> None:
    lists = {"list_precision": [1.0, 0.5, 0.0], "list_recall": [0.5, 0.5, 0.0]}
    table = pa.table({**lists, "list_rows": [1, 1, 0]})
    assert lists_of_parts({"base": table}, ["x", "x", "y"]) == {
        "x.list_precision.base": 0.75,
        "x.list_recall.base": 0.5,
    }
    assert lists_of_parts({"base": table.drop_columns(["list_rows"])}, ["x", "x", "y"]) == {}
