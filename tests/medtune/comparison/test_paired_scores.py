from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import bootstrap, kstest, norm, ttest_1samp
from scipy.stats import t as student

from medtune.comparison.confidence_intervals import Settings, degrees_of_freedom
from medtune.comparison.paired_scores import Comparison, compare_tables
from medtune.scoring.scores import SCORES, Score

BY_NAME: dict[str, Score] = {score.name: score for score in SCORES}
SETTINGS = Settings(resamples=2000, confidence=0.95, seed=42)


def table(values: list[float], groups: list[str] | None = None) -> pa.Table:
    return pa.table(
        {"group": groups or [f"group {i}" for i in range(len(values))], "rougeL": list(values)}
    )


def compared(
    base: list[float],
    finetuned: list[float],
    groups: list[str] | None = None,
    settings: Settings = SETTINGS,
) -> Comparison:
    pair = table(base, groups), table(finetuned, groups)
    return compare_tables(*pair, [BY_NAME["rougeL"]], settings)["rougeL"]


def uneven_groups(generator: np.random.Generator, count: int, largest: int = 3) -> np.ndarray:
    """The group of each row: groups have one to three rows, but every tenth has `largest`."""
    sizes = generator.integers(1, 4, count)
    sizes[::10] = largest
    return np.repeat(np.arange(count), sizes)


def simulated(
    generator: np.random.Generator, shift: float, codes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows that differ by `shift` and by noise that is shared within groups."""
    base = generator.normal(0, 1, len(codes))
    noise = generator.normal(0, 1, codes.max() + 1)[codes] + generator.normal(0, 0.5, len(codes))
    return base, base + shift + noise


def simulated_pairs(
    generator: np.random.Generator, shift: float
) -> tuple[list[float], list[float], list[str]]:
    codes = uneven_groups(generator, 60)
    base, finetuned = simulated(generator, shift, codes)
    return list(base), list(finetuned), [str(code) for code in codes]


@pytest.mark.slow
def test_interval_is_the_stretched_one_of_scipy_where_every_row_is_its_own_group() -> None:
    generator = np.random.default_rng(0)
    base, finetuned = generator.random(80), generator.random(80) + 0.1
    ours = compared(list(base), list(finetuned), settings=Settings(20_000, 0.9, 1))
    scipys = bootstrap(
        (finetuned - base,),
        np.mean,
        n_resamples=20_000,
        confidence_level=0.9,
        method="percentile",
        rng=np.random.default_rng(2),
    ).confidence_interval
    difference = (finetuned - base).mean()
    assert ours.difference == pytest.approx(difference)
    stretch = student.ppf(0.05, 79) / norm.ppf(0.05) * np.sqrt(80 / 79)
    # Standard error of a 5 % quantile from 20,000 draws: 0.015 standard deviations.
    error = 0.06 * (finetuned - base).std() / np.sqrt(80)
    for end, scipys_end in ((ours.ci_low, scipys.low), (ours.ci_high, scipys.high)):
        assert end == pytest.approx(difference + stretch * (scipys_end - difference), abs=error)


def test_equal_answers_have_no_difference_and_only_ties() -> None:
    result = compared([0.1, 0.5, 0.9], [0.1, 0.5, 0.9])
    assert (result.difference, result.ci_low, result.ci_high, result.p_value) == (0, 0, 0, 1)
    assert (result.wins, result.ties, result.losses) == (0, 3, 0)


def test_constant_difference_has_an_interval_of_no_width() -> None:
    result = compared([0.0, 0.25, 0.5, 0.75], [0.25, 0.5, 0.75, 1.0])
    assert (result.base, result.finetuned) == (0.375, 0.625)
    assert (result.difference, result.ci_low, result.ci_high) == pytest.approx((0.25, 0.25, 0.25))
    assert (result.wins, result.ties, result.losses) == (4, 0, 0)


def test_p_value_of_few_groups_is_the_share_of_all_swaps() -> None:
    # Of the 2^3 swaps of differences 1, 1, 1 only two give a mean as far from 0: p is 1/4.
    assert compared([0, 0, 0], [1, 1, 1]).p_value == 0.25
    assert compared([0, 0, 0], [0.1, 0.1, 0.3]).p_value == 0.25
    assert compared([0, 0, 0], [0.1, -0.2, 0.4]).p_value == 0.75


def test_p_value_is_never_zero() -> None:
    assert compared([0] * 60, [1] * 60).p_value == 1 / 2001


def test_rows_of_one_group_do_not_count_as_more_evidence() -> None:
    base, finetuned = [0.2, 0.4, 0.6, 0.1], [0.5, 0.3, 0.9, 0.4]
    once = compared(base, finetuned, ["a", "b", "c", "d"])
    tenfold = compared(base * 10, finetuned * 10, ["a", "b", "c", "d"] * 10)
    for field in ("difference", "ci_low", "ci_high", "p_value"):
        assert getattr(tenfold, field) == pytest.approx(getattr(once, field))


def test_one_group_has_no_interval_and_no_p_value() -> None:
    result = compared([0.1, 0.2], [0.3, 0.4], ["a", "a"])
    assert np.isnan([result.ci_low, result.ci_high, result.p_value]).all()
    assert result.difference == pytest.approx(0.2)


def test_interval_of_few_even_groups_is_that_of_student() -> None:
    differences = np.array([-3, -2, -1.5, -1, 0, 1, 1.5, 2, 3]) + 0.7
    ours = compared([0.0] * 9, list(differences), settings=Settings(20_000, 0.9, 3))
    students = ttest_1samp(differences, 0).confidence_interval(0.9)
    assert ours.ci_low == pytest.approx(students.low, abs=0.05)
    assert ours.ci_high == pytest.approx(students.high, abs=0.05)


def test_few_groups_that_hold_the_variance_leave_few_degrees_of_freedom() -> None:
    even, one, three = [2.0] * 30, [1.0] + [0.0] * 29, [1.0] * 3 + [0.0] * 27
    normal = np.random.default_rng(0).normal(0, 1, 10_000) ** 2
    found = degrees_of_freedom(np.array([even, one, three, [0.0] * 30]))
    assert found.tolist() == pytest.approx([29, 2, 8, 29])
    assert degrees_of_freedom(normal[None])[0] == pytest.approx(10_000, rel=0.05)


def test_rows_that_do_not_count_for_a_score_change_nothing() -> None:
    values = np.random.default_rng(3).random((2, 12))
    groups = [str(n // 2) for n in range(12)]
    counting = [
        pa.table({"group": groups, "content_f1": row, "content_rows": [1] * 12}) for row in values
    ]
    none = pa.table(
        {"group": ["0", "x", "y"], "content_f1": [0.0] * 3, "content_rows": [0] * 3}
    ).cast(counting[0].schema)
    scores = [BY_NAME["content_f1"]]
    alone = compare_tables(*counting, scores, SETTINGS)["content_f1"]
    longer = [pa.concat_tables([table, none]) for table in counting]
    beside = compare_tables(*longer, scores, SETTINGS)["content_f1"]
    assert beside == replace(alone, counted_rows=12, counted_groups=6)
    assert beside.wins + beside.losses == 12
    assert "content_f1.counted_rows" not in alone.flat("content_f1")


def test_a_score_that_counts_in_one_group_has_no_interval_and_no_p_value() -> None:
    columns = {"group": ["a", "b"], "content_rows": [1, 0]}
    tables = [pa.table(columns | {"content_f1": [value, 0.0]}) for value in (0.2, 0.3)]
    result = compare_tables(*tables, [BY_NAME["content_f1"]], SETTINGS)["content_f1"]
    assert np.isnan([result.ci_low, result.ci_high, result.p_value]).all()
    assert (result.counted_rows, result.counted_groups) == (1, 1)


def test_a_system_without_likelihoods_has_no_perplexity() -> None:
    columns = {"group": ["a", "b", "c"], "answer_tokens": [1, 3, 2]}
    rule = pa.table({"group": columns["group"], "nll": [None] * 3, "answer_tokens": [None] * 3})
    model = pa.table(columns | {"nll": [2.0, 2.0, 1.0]})
    result = compare_tables(rule, model, [BY_NAME["perplexity"]], SETTINGS)["perplexity"]
    undefined = (result.base, result.difference, result.ci_low, result.ci_high, result.p_value)
    assert np.isnan(undefined).all() and result.finetuned > 1
    assert (result.wins, result.ties, result.losses) == (0, 0, 0)


def test_rounding_makes_no_winner() -> None:
    result = compared([0.1 + 0.2, 0.5, 0.0], [0.3, 0.5 + 1e-6, 0.0])
    assert (result.wins, result.ties, result.losses) == (1, 2, 0)


def test_perplexity_weights_by_tokens_and_bleu_has_no_rows() -> None:
    columns = {"group": ["a", "b"], "answer_tokens": [1, 3]}
    statistics = [[9, 9, 9, 8, 7, 6, 9, 8, 7, 6]] * 2
    base = pa.table(columns | {"nll": [4.0, 4.0], "bleu_statistics": statistics})
    finetuned = pa.table(columns | {"nll": [2.0, 2.0], "bleu_statistics": statistics})
    scores = [BY_NAME["perplexity"], BY_NAME["bleu"]]
    result = compare_tables(base, finetuned, scores, SETTINGS)
    perplexity = result["perplexity"]
    assert perplexity.difference == pytest.approx(np.exp(1) - np.exp(2))
    assert perplexity.ci_low < perplexity.difference < perplexity.ci_high
    assert (perplexity.wins, perplexity.losses) == (2, 0), "lower is better"
    assert result["bleu"].base == pytest.approx(100)
    assert result["bleu"].wins is None and "bleu.wins" not in result["bleu"].flat("bleu")


@pytest.mark.slow
def test_result_depends_on_the_seed_alone() -> None:
    pairs = simulated_pairs(np.random.default_rng(5), 0.2)
    assert compared(*pairs) == compared(*pairs)
    assert compared(*pairs) != compared(*pairs, settings=Settings(2000, 0.95, 43))


@pytest.mark.slow
def test_chunks_of_resamples_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = simulated_pairs(np.random.default_rng(5), 0.2)
    whole = compared(*pairs)
    for module in ("confidence_intervals", "significance"):
        monkeypatch.setattr(f"medtune.comparison.{module}.CELLS_AT_ONCE", 60 * 7)
    assert compared(*pairs).flat("rougeL") == pytest.approx(whole.flat("rougeL"))


@pytest.mark.slow
def test_without_a_difference_p_values_are_uniform() -> None:
    generator = np.random.default_rng(7)
    settings = Settings(300, 0.95, 0)
    p_values = [
        compared(*simulated_pairs(generator, 0), settings=settings).p_value for _ in range(200)
    ]
    assert kstest(p_values, "uniform").pvalue > 0.01


def share_held(
    groups: list[str], pairs: list[list[dict[str, np.ndarray]]], score: Score, true: float
) -> float:
    """The share of pairs whose interval holds the true difference; all have these groups.

    One call compares them, each as a score: with one seed, all get the same resamples anyway.
    """
    tables: list[dict[str, Any]] = [{"group": groups}, {"group": groups}]
    scores = []
    for n, pair in enumerate(pairs):
        for side, columns in enumerate(pair):
            for name, values in columns.items():
                tables[side][f"{name} {n}"] = values
        names = tuple(name if name == "rows" else f"{name} {n}" for name in score.columns)
        scores.append(replace(score, name=str(n), columns=names))
    found = compare_tables(*map(pa.table, tables), scores, Settings(500, 0.95, 0)).values()
    assert len(found) == len(pairs)
    return sum(result.ci_low <= true <= result.ci_high for result in found) / len(pairs)


@pytest.mark.slow
@pytest.mark.parametrize(("groups", "largest"), [(5, 3), (20, 3), (100, 3), (50, 20)])
def test_interval_holds_a_mean_in_93_to_97_of_100_draws(groups: int, largest: int) -> None:
    generator, held = np.random.default_rng(11), []
    for _ in range(100):
        codes = uneven_groups(generator, groups, largest)
        pairs = [simulated(generator, 0.3, codes) for _ in range(10)]
        columns = [[{"rougeL": values} for values in pair] for pair in pairs]
        held.append(share_held([str(c) for c in codes], columns, BY_NAME["rougeL"], 0.3))
    # 95 % of 1,000 has a standard error of 0.7 %: a sound interval stays inside with 99.6 %.
    assert 0.93 <= np.mean(held) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("groups", [20, 100])
def test_interval_holds_a_perplexity_in_93_to_97_of_100_draws(groups: int) -> None:
    generator, pairs = np.random.default_rng(13), []
    for _ in range(1000):
        tokens = generator.integers(5, 40, groups)
        difficulty = generator.normal(0, 0.3, groups)  # of an answer, the same for both models
        losses = [mean + difficulty + generator.normal(0, 0.2, groups) for mean in (2.0, 1.5)]
        pairs.append([{"answer_tokens": tokens, "nll": tokens * loss} for loss in losses])
    names, true = [str(n) for n in range(groups)], np.exp(1.5) - np.exp(2.0)
    assert 0.93 <= share_held(names, pairs, BY_NAME["perplexity"], true) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("shared", [0.5, 1.0])  # standard deviation of a topic's own difference
def test_interval_holds_a_mean_of_three_giant_topics_in_93_to_97_of_100_draws(
    shared: float,
) -> None:
    generator, pairs = np.random.default_rng(17), []
    codes = np.repeat(np.arange(33), [50] * 3 + [1] * 30)
    for _ in range(1000):
        differences = generator.normal(0, shared, 33)[codes] + generator.normal(0, 1, len(codes))
        pairs.append([{"rougeL": np.zeros(len(codes))}, {"rougeL": differences}])
    names = [str(code) for code in codes]
    assert 0.93 <= share_held(names, pairs, BY_NAME["rougeL"], 0.0) <= 0.97
