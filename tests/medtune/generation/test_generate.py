from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medtune.config.loading import load_params
from medtune.config.schema import Evaluate
from medtune.generation.answering import answer_all, batches_of, fitting_rows
from medtune.generation.batch_limits import ROW_TOKENS
from medtune.generation.generate import generate
from medtune.generation.kv_cache import SharedPrefixCache, row_bytes
from medtune.generation.padded_cache import PaddedCache
from medtune.generation.sampling import Sampler, likeliest_ids
from medtune.modeling.loading import load_base
from medtune.modeling.logit_checks import enable_prefix_sharing
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.modeling.token_losses import summed_losses
from tests.tiny_models import by_transformers, random_model, some_ends

PARAMS: Evaluate = load_params("evaluate").model_copy(
    # The penalty keeps a random model from repeating one token for ever.
    update={"max_new_tokens": 12, "repetition_penalty": 9.0, "frequency_penalty": 0.0}
)
PROMPTS = [[257, *range(n, n + 3 + n % 5)] for n in range(30, 50)]


@pytest.fixture(scope="module")
def model(base_folder: Path) -> Any:
    return load_base(folder=base_folder)


@pytest.fixture(scope="module")
def ends(model: Any) -> set[int]:
    return some_ends(model, PROMPTS, PARAMS)


@pytest.mark.slow
def test_greedy_answers_equal_those_of_transformers_one_at_a_time(
    model: Any, ends: set[int]
) -> None:
    expected = [by_transformers(model, prompt, PARAMS, ends) for prompt in PROMPTS]
    assert generate(model, PROMPTS, PARAMS, ends) == expected
    assert len({len(ids) for ids in expected}) > 2


@pytest.mark.slow
def test_a_prompt_may_have_one_token_and_a_pass_of_its_own(model: Any, ends: set[int]) -> None:
    long = [*range(100, 200)] * 30  # too many tokens for a pass with another prompt
    for prompts in ([[5]], [[5], [6]], [long, [5], [6]]):
        expected = [by_transformers(model, prompt, PARAMS, ends) for prompt in prompts]
        assert generate(model, prompts, PARAMS, ends) == expected


@pytest.mark.slow
@pytest.mark.parametrize("prefix", [0, 1, 2, 9, 30])
def test_prompts_may_share_a_prefix_and_one_may_be_the_prefix_of_another(
    model: Any, ends: set[int], prefix: int
) -> None:
    shared = list(range(100, 100 + prefix))
    prompts = [shared + [n + i for i in range(1 + 3 * n % 8)] for n in range(12)]
    prompts += [[*shared, 0, 5], [*shared, 0, 5, 6, 7]]
    expected = [by_transformers(model, prompt, PARAMS, ends) for prompt in prompts]
    assert generate(model, prompts, PARAMS, ends) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "options"),
    [("mistral", {"sliding_window": 8}), ("gemma2", {"head_dim": 8, "sliding_window": 8})],
)
def test_models_with_local_attention_answer_as_in_transformers(
    kind: str, options: dict[str, Any]
) -> None:
    model = random_model(kind, **options)
    expected = [by_transformers(model, prompt, PARAMS, {-1}) for prompt in PROMPTS]
    assert generate(model, PROMPTS, PARAMS, {-1}) == expected
    assert len({tuple(ids) for ids in expected}) > 10


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 3, 8, 200])
def test_answers_do_not_depend_on_the_size_of_the_batch_and_the_order(
    model: Any, tokenizer: Any, ends: set[int], size: int
) -> None:
    encoder = PromptEncoder(tokenizer, PromptFormat("chat", None))
    encoder.end_id = min(ends)
    answers = answer_all(model, encoder, PROMPTS, PARAMS, seed=1)
    assert {answer.stopped for answer in answers} == {True, False}
    small = PARAMS.model_copy(update={"batch_size": size})
    order = np.random.default_rng(size).permutation(len(PROMPTS)).tolist()
    shuffled = answer_all(model, encoder, [PROMPTS[n] for n in order], small, seed=1)
    assert shuffled == [answers[n] for n in order]


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["shared prefix", "padded", "none"])
def test_references_get_their_losses_with_every_cache(
    tokenizer: Any, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_model("llama")
    if cache != "shared prefix":
        model.set_attn_implementation("eager")
    if cache == "none":  # each row gets another's logits
        right = PaddedCache.next_logits
        monkeypatch.setattr(PaddedCache, "next_logits", lambda *own: right(*own).flip(0))
    encoder = PromptEncoder(tokenizer, PromptFormat("chat", None))
    references = [[60 + n, *range(40, 40 + n % 4)] if n % 3 else [] for n in range(len(PROMPTS))]
    answers = answer_all(model, encoder, PROMPTS, PARAMS, seed=1, references=references)
    plain = answer_all(model, encoder, PROMPTS, PARAMS, seed=1)
    assert [answer.text for answer in answers] == [answer.text for answer in plain]
    rows = [[*ids, *more] for ids, more in zip(PROMPTS, references, strict=True)]
    expected = summed_losses(random_model("llama"), rows, [len(ids) for ids in PROMPTS])
    found = [answer.reference_loss for answer in answers]
    assert [count for _, count in found] == [len(ids) for ids in references]
    assert [loss for loss, _ in found] == pytest.approx([loss for loss, _ in expected], rel=1e-4)
    assert all(answer.reference_loss == (0.0, 0) for answer in plain)


def test_fewer_questions_go_together_if_their_cache_does_not_fit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="medtune")
    assert fitting_rows(200, 2**20, free_bytes=2**30) == 200
    assert not caplog.messages
    assert fitting_rows(2000, 2**20, free_bytes=2**30) == 819
    assert caplog.messages == [
        "2000 answers at a time would take 2.0 GiB, but 1.0 GiB are free: answering 819 at a time"
    ]
    assert fitting_rows(5, 2**40, free_bytes=2**30) == 1


def test_the_cache_of_a_row_is_as_large_as_calculated() -> None:
    model = random_model("llama")
    assert enable_prefix_sharing(model)
    one = SharedPrefixCache(model, [[5, 6, 7]], 10)
    for inputs in one.prefill_inputs():
        one.next_logits(inputs)
    buffers = [buffer for layer in one.slot_layers for buffer in layer.buffers]
    held = sum(buffer.numel() * buffer.element_size() for buffer in buffers)
    assert row_bytes(model, one.capacity) == held + 3 * 4 * 300  # and the logits


@pytest.mark.slow
def test_an_answer_that_ends_itself_has_stopped(model: Any, tokenizer: Any) -> None:
    encoder = PromptEncoder(tokenizer, PromptFormat("chat", None))
    prompt = encoder.question_ids("What is gout?")
    first = generate(model, [prompt], PARAMS, {-1})[0][0]
    encoder.end_id = first
    (answer,) = answer_all(model, encoder, [prompt], PARAMS, seed=1)
    assert answer.stopped and answer.tokens == 1


@pytest.mark.slow
def test_sampling_is_a_function_of_the_seed(model: Any, tokenizer: Any) -> None:
    encoder = PromptEncoder(tokenizer, PromptFormat("chat", None))
    warm = PARAMS.model_copy(update={"temperature": 1.5, "top_p": 0.9})
    prompts = [encoder.question_ids("What is gout?")] * 3
    first = answer_all(model, encoder, prompts, warm, seed=1)
    assert answer_all(model, encoder, prompts, warm, seed=1) == first
    assert answer_all(model, encoder, prompts, warm, seed=2) != first
    assert first != answer_all(model, encoder, prompts, PARAMS, seed=1)


@pytest.mark.slow
def test_what_is_sampled_does_not_depend_on_the_size_of_the_batch(
    model: Any, tokenizer: Any
) -> None:
    encoder = PromptEncoder(tokenizer, PromptFormat("chat", None))
    prompts = [encoder.question_ids("What? " * (1 + n % 4)) for n in range(7)]
    warm = PARAMS.model_copy(update={"temperature": 1.0, "top_p": 0.9})
    answers = [
        answer_all(model, encoder, prompts, warm.model_copy(update={"batch_size": size}), seed=1)
        for size in (1, 2, 7)
    ]
    assert answers[0] == answers[1] == answers[2]
    assert len({answer.text for answer in answers[0]}) == 7


@pytest.mark.slow
def test_sampled_tokens_come_as_often_as_they_are_likely() -> None:
    warm = PARAMS.model_copy(update={"temperature": 1.0, "repetition_penalty": 1.0, "top_p": 0.7})
    logits = torch.tensor([0.5, 0.1, 0.3, 0.1]).log().expand(4000, 4)
    tokens = Sampler([[0]] * 4000, warm, range(4000), "cpu")(logits)
    shares = tokens.bincount(minlength=4) / 4000
    assert shares.tolist() == pytest.approx([5 / 8, 0, 3 / 8, 0], abs=0.03)


@pytest.mark.slow
def test_a_repetition_penalty_leaves_fewer_repeated_tokens(model: Any) -> None:
    def repeated(penalty: float) -> int:
        params = PARAMS.model_copy(update={"repetition_penalty": penalty, "max_new_tokens": 40})
        return sum(len(ids) - len(set(ids)) for ids in generate(model, PROMPTS, params, {-1}))

    assert repeated(9.0) < repeated(1.0)


def test_a_frequency_penalty_counts_the_tokens_of_the_answer_but_not_those_of_the_prompt() -> None:
    plain = PARAMS.model_copy(update={"repetition_penalty": 1.0})
    params = plain.model_copy(update={"frequency_penalty": 0.5})
    sampler = Sampler([[3, 1], [2, 2, 2]], params, [], "cpu")
    logits = torch.tensor([[0.0, 0.4, 0.9, 1.0], [0.8, 0.0, 1.7, 0.0]])
    chosen = torch.stack([sampler(logits) for _ in range(3)], dim=1)
    # 1.0 falls to 0.5 < 0.9, which falls to 0.4; 1.7 falls to 1.2, then to 0.7 < 0.8.
    assert chosen.tolist() == [[3, 2, 3], [2, 2, 0]]
    sampler.keep([1])
    assert sampler(logits[1:]).tolist() == [2]


def test_batches_of_long_prompts_have_fewer_rows() -> None:
    params = PARAMS.model_copy(update={"batch_size": 4, "max_new_tokens": 6})
    longest = 2 * ROW_TOKENS - params.max_new_tokens  # a row takes the room of two
    batches = batches_of([9, longest, 8, 7, longest, longest, 6], params)
    assert batches == [[6, 3, 2, 0], [1, 4], [5]]
    assert batches_of([9 * ROW_TOKENS] * 2, params) == [[0], [1]]


def test_of_several_likeliest_tokens_the_first_is_chosen() -> None:
    logits = torch.tensor([[0.0, 3.0, 3.0], [2.0, 1.0, 2.0]])
    assert likeliest_ids(logits).tolist() == logits.argmax(dim=-1).tolist() == [1, 0]
