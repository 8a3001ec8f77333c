"""Rows that come and go get the answers of rows that are asked together, or alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from app.continuous_batching import cache
from app.continuous_batching.batch import ContinuousBatch
from medtune.config.loading import load_params
from medtune.config.schema import Evaluate
from medtune.generation.generate import generate
from medtune.generation.kv_cache import SharedPrefixCache
from medtune.modeling.loading import load_base
from tests.tiny_models import random_model, some_ends

PARAMS: Evaluate = load_params("evaluate").model_copy(
    # The penalty keeps a random model from repeating one token for ever.
    update={"max_new_tokens": 12, "repetition_penalty": 9.0, "temperature": 0.0, "top_p": 1.0}
)
PROMPTS = [[257, *range(n, n + 3 + 7 * n % 19)] for n in range(30, 50)]


@pytest.fixture(scope="module")
def model(base_folder: Path) -> Any:
    """A model that is already checked, so that later batches make no passes for that."""
    model = load_base(folder=base_folder)
    assert cache.enable_continuous_batching(model)
    return model


@pytest.fixture(scope="module")
def untouched(base_folder: Path) -> Any:
    """The same model, for the answers to expect."""
    return load_base(folder=base_folder)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is reserved for few rows and tokens at a time, so that it has to grow."""
    monkeypatch.setattr(cache, "SLOT_STEP", 2)
    monkeypatch.setattr(cache, "COLUMN_STEP", 4)


def drive(
    batch: ContinuousBatch,
    arrivals: Sequence[int],
    params: Sequence[Evaluate],
    ends: set[int],
) -> list[list[int]]:
    """The answers to PROMPTS, of which the n-th comes before step arrivals[n]."""
    answers: list[list[int]] = [[] for _ in arrivals]
    rows: list[int] = []

    def hand_out(rows: list[int], tokens: list[int]) -> None:
        for row, token in zip(rows, tokens, strict=True):
            answers[row].append(token)

    def keep(rows: list[int]) -> list[int]:
        """Those that go on."""
        kept = [
            n
            for n, row in enumerate(rows)
            if answers[row][-1] not in ends and len(answers[row]) < params[row].max_new_tokens
        ]
        return [rows[n] for n in batch.keep(kept)] if len(kept) < len(rows) else rows

    waiting = sorted(range(len(arrivals)), key=lambda n: arrivals[n])
    for step in range(1000):
        come = [n for n in waiting if arrivals[n] <= step] if batch.is_open else []
        waiting = [n for n in waiting if n not in come]
        if come:
            batch.join([PROMPTS[n] for n in come], [params[n] for n in come], come)
            rows = rows + come
        if rows:
            hand_out(rows, batch.step())
            rows = keep(rows)
        if not rows and not waiting:
            return answers
    raise AssertionError("some rows have not ended")


def ends(model: Any) -> set[int]:
    return some_ends(model, PROMPTS, PARAMS)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arrivals",
    [[0] * 20, [0, 3] * 10, list(range(20)), list(range(20))[::-1], [n * 30 for n in range(20)]],
    ids=["together", "in two groups", "one by one", "backwards", "alone"],
)
def test_greedy_answers_do_not_depend_on_who_comes_when(
    model: Any, untouched: Any, small: None, arrivals: list[int]
) -> None:
    expected = generate(untouched, PROMPTS, PARAMS, ends(untouched))
    assert drive(ContinuousBatch(model), arrivals, [PARAMS] * 20, ends(untouched)) == expected
    assert len({len(ids) for ids in expected}) > 2


@pytest.mark.slow
@pytest.mark.parametrize("prefix", [PROMPTS[3], PROMPTS[3][:2], [257, 1, 2], [1]])
def test_a_saved_prefix_changes_no_answer(
    model: Any, untouched: Any, small: None, prefix: list[int]
) -> None:
    expected = generate(untouched, PROMPTS, PARAMS, {-1})
    batch = ContinuousBatch(model, prefix=prefix)
    assert drive(batch, list(range(20)), [PARAMS] * 20, {-1}) == expected


@pytest.mark.slow
def test_the_saved_prefix_of_a_prompt_is_not_computed_again(model: Any) -> None:
    taken: list[int] = []
    embeddings = model.get_input_embeddings()
    hook = embeddings.register_forward_hook(lambda _, ids, __: taken.append(ids[0].numel()))
    batch = ContinuousBatch(model, prefix=[257, 1, 2])
    batch.join([[257, 1, 2, *range(3, 9)], [257, 1, 2], [5]], [PARAMS] * 3, range(3))
    batch.step()
    batch.step()
    hook.remove()
    assert taken == [8, 8, 3]  # filled up from 3 and from 6 + 1 + 1


@pytest.mark.slow
def test_memory_of_a_large_batch_is_given_back_when_it_is_empty(model: Any, small: None) -> None:
    batch = ContinuousBatch(model)
    slots = []
    for prompts in (PROMPTS[:8], PROMPTS[:1]):
        batch.join(prompts, [PARAMS] * len(prompts), range(len(prompts)))
        batch.step()
        slots.append(len(batch.cache.slot_layers[0].buffers[0]))
        batch.keep([])
    assert slots == [8, 2]


@pytest.mark.slow
def test_each_row_has_its_own_settings(model: Any, untouched: Any, small: None) -> None:
    warm = PARAMS.model_copy(update={"temperature": 1.5, "top_p": 0.9, "max_new_tokens": 7})
    plain = PARAMS.model_copy(update={"repetition_penalty": 1.0})
    rare = plain.model_copy(update={"frequency_penalty": 1.5})
    settings = [(PARAMS, warm, rare, plain)[n % 4] for n in range(20)]
    answers = drive(ContinuousBatch(model), [n // 4 for n in range(20)], settings, {-1})
    for n, (answer, own_settings) in enumerate(zip(answers, settings, strict=True)):
        assert [answer] == generate(untouched, [PROMPTS[n]], own_settings, {-1}, [n])
    assert len({tuple(answer) for answer in answers}) > 10


@pytest.mark.slow
def test_a_cleared_batch_starts_anew(model: Any, untouched: Any) -> None:
    batch = ContinuousBatch(model)
    batch.join(PROMPTS[:3], [PARAMS] * 3, range(3))
    batch.clear()
    expected = generate(untouched, PROMPTS, PARAMS, {-1})
    assert drive(batch, [0] * 20, [PARAMS] * 20, {-1}) == expected


@pytest.mark.slow
def test_models_with_local_attention_take_rows_only_when_they_have_none() -> None:
    model = random_model("mistral", sliding_window=8)
    expected = generate(model, PROMPTS, PARAMS, ends(model))
    batch = ContinuousBatch(model)
    assert drive(batch, list(range(20)), [PARAMS] * 20, ends(model)) == expected
    batch.join(PROMPTS[:1], [PARAMS], [0])
    assert not batch.is_open


@pytest.mark.slow
def test_a_model_whose_cache_gives_other_logits_takes_rows_only_when_it_has_none(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = random_model("llama")
    expected = generate(model, PROMPTS, PARAMS, ends(model))
    model = random_model("llama")
    forward = model.model.forward

    def counts_columns(*arguments: Any, position_ids: Any = None, **named: Any) -> Any:
        """As a model does that has no position_ids but adds up what its cache holds."""
        if named.get("past_key_values") is None:
            named["position_ids"] = position_ids
        return forward(*arguments, **named)

    monkeypatch.setattr(model.model, "forward", counts_columns)
    with caplog.at_level("INFO", "medtune"):
        batch = ContinuousBatch(model)
    assert not batch.is_continuous
    assert "questions wait for the batch before them to end (" in caplog.text
    assert drive(batch, list(range(20)), [PARAMS] * 20, ends(model)) == expected


@pytest.mark.slow
def test_a_batch_that_is_not_continuous_takes_many_rows_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = random_model("llama")
    expected = generate(model, PROMPTS, PARAMS, ends(model))
    monkeypatch.setattr("medtune.generation.kv_cache.TOKENS_AT_ONCE", 40)
    monkeypatch.setattr(cache, "_probe_passes", lambda *_: None)
    batch = ContinuousBatch(random_model("llama"))
    assert drive(batch, [0] * 20, [PARAMS] * 20, ends(model)) == expected
    assert type(batch.cache) is SharedPrefixCache


def test_models_that_share_their_weights_are_selected_before_each_use(model: Any) -> None:
    selected: list[str] = []
    first = ContinuousBatch(model, lambda: selected.append("first"))
    second = ContinuousBatch(model, lambda: selected.append("second"))
    for batch in (first, second):
        batch.join(PROMPTS[:1], [PARAMS], [0])
        batch.step()
    first.step()
    assert selected == ["first", "second", "first"]
