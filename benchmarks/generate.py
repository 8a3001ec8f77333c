"""Compares the speed of greedy answers with transformers' own ways, on the same questions.

In a round each arm answers the questions, one after the other in rotating order; one at a time, the
published way, answers its share of them, another in each round. Reads data/tokens/ and
models/base/; writes benchmarks/results/generate.json and the table in benchmarks/README.md.

    python -m benchmarks.generate
    python -m benchmarks.generate --questions 40 --rounds 2 --sizes 20 --output trial.json
"""

import argparse
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import table
from benchmarks.machine import hardware_text, machine, versions, versions_text
from medtune.errors import InputError
from medtune.files import write_json
from medtune.models import BASE, load_base, load_tokenizer, resolve_precision
from medtune.params import Evaluate, load_params
from medtune.prompts import PromptEncoder, PromptFormat
from medtune.stage import one_line_errors, set_up_logging
from medtune.tokens import PROMPT_FORMAT, TOKENS, read_tokens

logger = logging.getLogger("medtune")

RESULTS = Path("benchmarks/results/generate.json")
BLOCK = re.compile(r"<!-- answers -->\n.*?<!-- /answers -->", re.DOTALL)
PACKAGES = ("torch", "transformers")
TITLES = {
    "one_by_one": "transformers, one at a time",
    "unsorted": "transformers, batches in the file's order",
    "sorted": "transformers, batches by length",
    "continuous": "transformers, continuous batching",
    "ours": "medtune",
}
Ids = list[list[int]]


@dataclass
class Asked:
    """A model, what it is asked, and how long an answer may get."""

    model: Any
    params: Evaluate
    ends: set[int]

    def transformers(self, prompts: Ids) -> Ids:
        """The answers of `generate` to one batch, padded on the left."""
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
        """Up to the first end token."""
        stop = next((n for n, token in enumerate(ids) if token in self.ends), len(ids))
        return ids[: stop + 1]

    def one_by_one(self, prompts: Ids, _: int) -> Ids:
        return [self.transformers([ids])[0] for ids in prompts]

    def unsorted(self, prompts: Ids, size: int) -> Ids:
        batches = [prompts[i : i + size] for i in range(0, len(prompts), size)]
        return [ids for batch in batches for ids in self.transformers(batch)]

    def sorted(self, prompts: Ids, size: int) -> Ids:
        order = sorted(range(len(prompts)), key=lambda n: len(prompts[n]))
        answers = self.unsorted([prompts[n] for n in order], size)
        return [answers[order.index(n)] for n in range(len(prompts))]

    def continuous(self, prompts: Ids, _: int) -> Ids:
        from transformers import GenerationConfig

        config = GenerationConfig(**self.settings())
        outputs = self.model.generate_batch(prompts, generation_config=config)
        answers = sorted(outputs.values(), key=lambda output: int(output.request_id.split("_")[-1]))
        if any(output.error for output in answers):
            raise InputError(f"continuous batching failed: {answers[0].error}")
        return [self.ended(output.generated_tokens) for output in answers]

    def ours(self, prompts: Ids, _: int) -> Ids:
        from medtune.batches import by_length
        from medtune.generation import generate

        answers: dict[int, list[int]] = {}
        for numbers in by_length([len(ids) for ids in prompts], self.params.batch_size):
            rows = generate(self.model, [prompts[n] for n in numbers], self.params, self.ends)
            answers |= dict(zip(numbers, rows, strict=True))
        return [answers[n] for n in range(len(prompts))]


def load(folder: Path) -> Asked:
    from medtune.generation import end_ids

    params = load_params("evaluate").model_copy(
        update={"temperature": 0.0, "repetition_penalty": 1.0}
    )
    model = load_base(folder=folder)
    encoder = PromptEncoder(load_tokenizer(folder), PromptFormat.load(PROMPT_FORMAT))
    return Asked(model, params, end_ids(model, encoder))


def questions(count: int) -> Ids:
    """The prompts of the first test and validation cards."""
    tables = [read_tokens(TOKENS / f"{split}.arrow") for split in ("test", "validation")]
    rows = [row for table in tables for row in table.to_pylist()]
    if count > len(rows):
        raise InputError(f"--questions is {count}, but there are {len(rows)} cards to ask")
    return [row["input_ids"][: row["prompt_length"]] for row in rows[:count]]


def timed(arm: Callable[[Ids, int], Ids], prompts: Ids, size: int) -> tuple[Ids, float]:
    start = time.perf_counter()
    answers = arm(prompts, size)
    return answers, sum(map(len, answers)) / (time.perf_counter() - start)


def compare(asked: Asked, prompts: Ids, arms: list[str], rounds: int, sizes: list[int]) -> Any:
    """Tokens per second of each arm in each round, and the answers of the last."""
    best = sizes[0]
    if len(sizes) > 1:
        found = {size: timed(asked.sorted, prompts, size)[1] for size in sizes}
        logger.info(f"batches by length, tokens/s by size: {found}")
        best = max(sizes, key=lambda size: found[size])
    rates: dict[str, list[float]] = {arm: [] for arm in arms}
    answers: dict[str, Ids] = {arm: [] for arm in arms}
    for number in range(rounds):
        shift = number % len(arms)
        for arm in arms[shift:] + arms[:shift]:
            asked.model.set_attn_implementation("sdpa")
            share = prompts[number::rounds] if arm == "one_by_one" else prompts
            got, rate = timed(getattr(asked, arm), share, best)
            rates[arm].append(rate)
            answers[arm] = [*answers[arm], *got] if arm == "one_by_one" else got
            logger.info(f"round {number + 1}: {arm} {rate:.1f} tokens/s")
    if "one_by_one" in arms:
        order = [n for number in range(rounds) for n in range(number, len(prompts), rounds)]
        answers["one_by_one"] = [answers["one_by_one"][order.index(n)] for n in range(len(prompts))]
    return rates, answers, best


def describe(rates: Mapping[str, list[float]], answers: Mapping[str, Ids]) -> dict[str, Any]:
    """Per arm: the median rate, how many times faster ours was, answers equal to ours."""
    return {
        arm: {
            "tokens_per_s": median(own),
            "tokens_per_s_of_rounds": own,
            "ours_is_faster": median(o / r for o, r in zip(rates["ours"], own, strict=True)),
            "equal_answers": sum(
                a == b for a, b in zip(answers[arm], answers["ours"], strict=True)
            ),
        }
        for arm, own in rates.items()
    }


def block(results: Mapping[str, Any]) -> str:
    run, arms = results["run"], results["arms"]
    lines = [
        "<!-- answers -->",
        "| answers by | tokens/s (rounds) | ours is faster | answers equal to ours |",
        "|---|---:|---:|---:|",
        *(
            f"| {TITLES[name]} | {arm['tokens_per_s']:.0f} "
            f"({min(arm['tokens_per_s_of_rounds']):.0f}–{max(arm['tokens_per_s_of_rounds']):.0f}) "
            f"| {arm['ours_is_faster']:.2f} × | {arm['equal_answers']} of {run['questions']} |"
            for name, arm in arms.items()
        ),
        "",
        f"{run['questions']} questions, {run['tokens']:,} answer tokens, greedy, at most "
        f"{run['max_new_tokens']} each; transformers' batches of {run['size']}, the fastest of "
        f"{', '.join(map(str, run['sizes']))}, ours of {run['batch_size']}; "
        f"{run['rounds']} rounds; "
        f"models/base, {run['precision']}. Machine: {hardware_text(results)}; "
        f"{versions_text(results)}.",
        "<!-- /answers -->",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--arms", type=lambda text: text.split(","), default=list(TITLES))
    add("--questions", type=int, default=200)
    add("--rounds", type=int, default=5)
    add("--sizes", type=lambda text: [int(n) for n in text.split(",")], default=[25, 50, 100, 200])
    add("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    set_up_logging("benchmark")
    with one_line_errors():
        if unknown := [arm for arm in options.arms if arm not in TITLES]:
            raise InputError(f"--arms names {unknown[0]!r}: known are {', '.join(TITLES)}")
        arms = [*dict.fromkeys([*options.arms, "ours"])]
        import torch

        asked, prompts = load(BASE), questions(options.questions)
        rates, answers, size = compare(asked, prompts, arms, options.rounds, options.sizes)
        results = {
            "arms": describe(rates, answers),
            "machine": machine(torch.get_num_threads()),
            "versions": versions(PACKAGES),
            "run": {
                "questions": len(prompts),
                "tokens": sum(map(len, answers["ours"])),
                "rounds": options.rounds,
                "size": size,
                "sizes": options.sizes,
                "batch_size": asked.params.batch_size,
                "max_new_tokens": asked.params.max_new_tokens,
                "precision": resolve_precision("auto"),
            },
        }
        write_json(options.output, results)
        if options.output == RESULTS:
            table.write_into_readme(BLOCK, block(results))
        print(block(results))


if __name__ == "__main__":
    main()
