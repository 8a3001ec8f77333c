from pathlib import Path

import pytest

from benchmarks.asked import Asked
from benchmarks.generate import TITLES, block, chosen, compare, describe, equal_tokens
from medtune.config.loading import load_params
from medtune.modeling.loading import load_base
from medtune.runtime.errors import InputError

ARMS = ["one_by_one", "unsorted", "sorted", "openvino", "ours"]
PROMPTS = [[257, 5, *range(n, n + 2 + n % 4)] for n in range(60, 71)]


@pytest.fixture(scope="module")
def asked(base_folder: Path) -> Asked:
    params = load_params("evaluate").model_copy(update={"max_new_tokens": 6, "batch_size": 4})
    return Asked(load_base(folder=base_folder), params, {3, 200})


def test_all_arms_answer_the_same_questions_alike(asked: Asked) -> None:
    others = {"openvino": asked.one_by_one}
    rates, answers, size = compare(asked, PROMPTS, ARMS, 3, [2, 8], others)
    assert size in (2, 8)
    assert all(len(rates[arm]) == 3 for arm in ARMS)
    assert all(len(answers[arm]) == len(PROMPTS) for arm in ARMS)
    results = describe(rates, answers)
    assert {arm: result["equal_answers"] for arm, result in results.items()} == dict.fromkeys(
        ARMS, len(PROMPTS)
    )
    assert results["ours"]["ours_is_faster"] == 1
    tokens = sum(map(len, answers["ours"]))
    assert all(result["equal_tokens"] == tokens for result in results.values())


def test_an_answer_ends_with_its_first_end_token(asked: Asked) -> None:
    assert asked.ended([5, 3, 7, 200]) == [5, 3]
    assert asked.ended([5, 6]) == [5, 6]


def test_tokens_are_equal_up_to_the_first_that_differs() -> None:
    assert equal_tokens([5, 6, 7, 8], [5, 6, 9, 8]) == 2
    assert equal_tokens([5, 6], [5, 6, 7]) == 2


def test_engines_run_where_an_interpreter_is_named() -> None:
    named, unnamed = {"openvino": "python"}, {"openvino": None}
    assert chosen(None, named) == list(TITLES)
    assert chosen(None, unnamed) == [arm for arm in TITLES if arm != "openvino"]
    assert chosen(["openvino"], named) == ["openvino", "ours"]
    with pytest.raises(InputError, match="the arm openvino needs --openvino-python: see"):
        chosen(["openvino"], unnamed)
    with pytest.raises(InputError, match="--arms names 'tpu': known are one_by_one, unsorted, so"):
        chosen(["tpu"], named)


def test_table_names_every_arm() -> None:
    rates = {arm: [1.0, 2.0] for arm in TITLES}
    results = {
        "arms": describe(rates, {arm: [[1]] for arm in TITLES}),
        "machine": {"device": "CPU", "cores": 2, "threads": 2},
        "versions": {"torch": "2"},
        "run": {
            **dict.fromkeys(("questions", "tokens", "rounds", "size", "batch_size"), 1),
            **{"sizes": [1], "max_new_tokens": 6, "precision": "fp32"},
        },
    }
    table = block(results)
    assert all(
        f"| {title} | 2 (1–2) | 1.00 × | 1 of 1 | 100.0% |" in table for title in TITLES.values()
    )
