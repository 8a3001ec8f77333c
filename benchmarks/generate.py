"""Compares the speed of greedy answers with several ways of transformers, on the same questions.

In each round every arm answers the questions, in rotating order. The slow arm, one question at a
time as published systems do it, answers only a share of them, a different one in each round. Reads
data/tokens/ and models/base/; prints a table.

    python -m benchmarks.generate
    python -m benchmarks.generate --questions 40 --rounds 2
"""

import argparse
import logging
import time
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.measured import OURS, compare, show
from medtune.config.loading import load_params
from medtune.config.schema import Evaluate
from medtune.generation.freed_memory import keep_freed_memory
from medtune.modeling.collation import by_length
from medtune.modeling.loading import BASE, load_base, load_tokenizer
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.modeling.token_files import PROMPT_FORMAT, TOKENS, read_tokens
from medtune.runtime.errors import InputError
from medtune.runtime.stage import one_line_errors, set_up_logging

logger = logging.getLogger("medtune")

ONE_BY_ONE = "transformers, one at a time"
Ids = list[list[int]]


@dataclass
class Answering:
    """A model, how long an answer may get and what ends it; each method is an arm."""

    model: Any
    params: Evaluate
    ends: set[int]

    def one_by_one(self, prompts: Ids) -> Ids:
        return [self.batch([ids])[0] for ids in prompts]

    def unsorted(self, prompts: Ids) -> Ids:
        size = self.params.batch_size
        batches = [prompts[start : start + size] for start in range(0, len(prompts), size)]
        return [ids for batch in batches for ids in self.batch(batch)]

    def sorted(self, prompts: Ids) -> Ids:
        order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
        answers = self.unsorted([prompts[number] for number in order])
        return [ids for _, ids in sorted(zip(order, answers, strict=True))]

    def continuous(self, prompts: Ids) -> Ids:
        from transformers import GenerationConfig

        config = GenerationConfig(**self.settings())
        outputs = self.model.generate_batch(prompts, generation_config=config)
        answers = sorted(outputs.values(), key=lambda output: int(output.request_id.split("_")[-1]))
        if any(output.error for output in answers):
            raise InputError(f"continuous batching failed: {answers[0].error}")
        return [self.ended(output.generated_tokens) for output in answers]

    def ours(self, prompts: Ids) -> Ids:
        from medtune.generation.generate import generate

        answers: dict[int, list[int]] = {}
        for numbers in by_length([len(ids) for ids in prompts], self.params.batch_size):
            rows = generate(self.model, [prompts[n] for n in numbers], self.params, self.ends)
            answers |= dict(zip(numbers, rows, strict=True))
        return [answers[number] for number in range(len(prompts))]

    def batch(self, prompts: Ids) -> Ids:
        """Returns the answers of transformers' `generate` to one batch, padded on the left."""
        import torch

        width = max(len(ids) for ids in prompts)
        padded = torch.tensor([[0] * (width - len(ids)) + ids for ids in prompts])
        lengths = torch.tensor([len(ids) for ids in prompts])
        mask = (torch.arange(width) >= (width - lengths)[:, None]).long()
        device = self.model.device
        output = self.model.generate(
            padded.to(device), attention_mask=mask.to(device), **self.settings()
        )
        return [self.ended(ids) for ids in output[:, width:].tolist()]

    def settings(self) -> dict[str, Any]:
        return {
            "max_new_tokens": self.params.max_new_tokens,
            "do_sample": False,
            "eos_token_id": sorted(self.ends),
            "pad_token_id": 0,
        }

    def ended(self, ids: list[int]) -> list[int]:
        """Returns the ids up to and including the first end token."""
        stop = next((n for n, token in enumerate(ids) if token in self.ends), len(ids))
        return ids[: stop + 1]


ARMS = {
    ONE_BY_ONE: Answering.one_by_one,
    "transformers, batches in the file's order": Answering.unsorted,
    "transformers, batches by length": Answering.sorted,
    "transformers, continuous batching": Answering.continuous,
    OURS: Answering.ours,
}


def load(folder: Path, batch_size: int | None) -> Answering:
    from medtune.generation.generate import end_ids

    params = load_params("evaluate")
    greedy = {"temperature": 0.0, "repetition_penalty": 1.0, "frequency_penalty": 0.0}
    params = params.model_copy(update=greedy | {"batch_size": batch_size or params.batch_size})
    model = load_base(folder=folder)
    encoder = PromptEncoder(load_tokenizer(folder), PromptFormat.load(PROMPT_FORMAT))
    return Answering(model, params, end_ids(model, encoder))


def questions(count: int) -> Ids:
    """Returns the prompts of the first test and validation cards."""
    tables = [read_tokens(TOKENS / f"{split}.arrow") for split in ("test", "validation")]
    rows = [row for table in tables for row in table.to_pylist()]
    if count > len(rows):
        raise InputError(f"--questions is {count}, but there are only {len(rows)} cards")
    return [row["input_ids"][: row["prompt_length"]] for row in rows[:count]]


def measure(answering: Answering, prompts: Ids, rounds: int) -> tuple[pd.DataFrame, dict[str, Ids]]:
    """Returns a row for each arm and round, and each arm's answers."""
    rows, arms = [], list(ARMS)
    answers: dict[str, Ids] = {arm: [[] for _ in prompts] for arm in arms}
    for number in range(rounds):
        shift = number % len(arms)
        for arm in arms[shift:] + arms[:shift]:
            answering.model.set_attn_implementation("sdpa")  # continuous batching sets its own
            step = rounds if arm == ONE_BY_ONE else 1
            asked = range(number % step, len(prompts), step)
            start = time.perf_counter()
            got = ARMS[arm](answering, [prompts[n] for n in asked])
            rate = sum(map(len, got)) / (time.perf_counter() - start)
            rows.append({"round": number, "arm": arm, "tokens_per_s": rate})
            logger.info(f"round {number + 1}: {arm} {rate:.1f} tokens/s")
            for n, ids in zip(asked, got, strict=True):
                answers[arm][n] = ids
    return pd.DataFrame(rows), answers


def equal_tokens(answer: list[int], other: list[int]) -> int:
    """Returns how many tokens come before the first difference."""
    pairs = zip(answer, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def summary(rows: pd.DataFrame, answers: dict[str, Ids]) -> pd.DataFrame:
    table, own = compare(rows).loc[list(answers)], answers[OURS]
    tokens = sum(map(len, own))
    equal = [sum(a == b for a, b in zip(ids, own, strict=True)) for ids in answers.values()]
    shares = [sum(map(equal_tokens, ids, own)) / tokens for ids in answers.values()]
    table["answers equal to medtune's"] = [f"{count} of {len(own)}" for count in equal]
    table["tokens"] = [f"{share:.1%}" for share in shares]
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add: Any = parser.add_argument
    add("--questions", type=int, default=200)
    add("--rounds", type=int, default=3)
    add("--batch-size", type=int, help="batch size of all arms (default: evaluate.batch_size)")
    add("--output", type=Path, help="a CSV file for the rate of each round")
    options = parser.parse_args()
    set_up_logging("benchmark")
    keep_freed_memory()  # as evaluate does; all arms run in this process
    with one_line_errors():
        answering = load(BASE, options.batch_size)
        rows, answers = measure(answering, questions(options.questions), options.rounds)
        show(summary(rows, answers), "torch", "transformers", output=options.output, rows=rows)


if __name__ == "__main__":
    main()
