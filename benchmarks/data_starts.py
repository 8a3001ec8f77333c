"""Runs train or evaluate as benchmarks.data measures them, with a model of two layers.

Train ends after a hundred steps. Evaluate answers a hundred questions, gives all others copies of
these answers, losses and scores, and runs to its end: so it holds what it would hold with answers
of its own, without the hours that they take.

    python -m benchmarks.data_starts train
"""

import copy
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from unittest import mock

Batches = Sequence[list[int]]
Work = Callable[[Batches], list[Any]]

STEPS = 100
QUESTIONS = 100
TINY: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
TINY_HEADS: dict[str, Any] = {"num_attention_heads": 4, "num_key_value_heads": 2}


def write_tiny_model(base: Path, folder: Path) -> None:
    """Writes a random model of two layers that has the tokenizer, and the vocabulary, of `base`."""
    from transformers import AutoConfig, LlamaConfig, LlamaForCausalLM

    from medtune.modeling.loading import load_tokenizer

    vocabulary = AutoConfig.from_pretrained(base).get_text_config().vocab_size
    tied: dict[str, Any] = {"vocab_size": vocabulary, "tie_word_embeddings": True}
    LlamaForCausalLM(LlamaConfig(**TINY, **TINY_HEADS, **tied)).save_pretrained(folder)
    load_tokenizer(base).save_pretrained(folder)


def start_train() -> None:
    from medtune.training.loop import Trainer
    from stages import train

    advance = Trainer.advance

    def first_steps(trainer: Trainer) -> Iterator[Any]:
        if trainer.history.step == STEPS:
            raise SystemExit
        yield from advance(trainer)

    with mock.patch.object(Trainer, "advance", first_steps):
        train.main()


def start_evaluate() -> None:
    from medtune.generation import answering
    from medtune.modeling import token_losses
    from medtune.scoring.answer_counts import TextCounter
    from stages import evaluate

    def first_losses(work: Work, batches: Batches) -> list[Any]:
        done, rest = first(work, batches)
        return done + [[(float(n), 1) for n in numbers] for numbers in rest]

    def first_answers(work: Work, batches: Batches) -> list[Any]:
        done, rest = first(work, batches)
        given = cycle([answer for answers in done for answer in answers])
        return done + [list(map(copied, islice(given, len(numbers)))) for numbers in rest]

    count = TextCounter.__call__
    known = list[dict[str, Any]]()

    def first_counts(counter: TextCounter, *texts: str) -> dict[str, Any]:
        if len(known) < QUESTIONS:
            known.append(count(counter, *texts))
        return copy.deepcopy(known[-1])

    with (
        mock.patch.object(token_losses, "divide_among_processes", first_losses),
        mock.patch.object(answering, "divide_among_processes", first_answers),
        mock.patch.object(TextCounter, "__call__", first_counts),
        mock.patch.object(sys, "argv", ["evaluate", "base"]),
    ):
        evaluate.main()


def first(work: Work, batches: Batches) -> tuple[list[Any], Batches]:
    """Returns the results of as many batches as hold QUESTIONS, and the other batches."""
    count = math.ceil(QUESTIONS / len(batches[0]))
    return work(batches[:count]), batches[count:]


def copied(answer: Any) -> Any:
    return replace(answer, text=f"{answer.text} ")


if __name__ == "__main__":
    {"train": start_train, "evaluate": start_evaluate}[sys.argv[1]]()
