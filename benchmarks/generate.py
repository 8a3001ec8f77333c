"""Compares the speed of greedy answers with other ways and engines, on the same questions.

In a round each arm answers the questions, one after the other in rotating order; one at a time, the
published way, answers its share of them, another in each round. Reads data/tokens/ and
models/base/; writes benchmarks/results/generate.json and the table in benchmarks/README.md.

    python -m benchmarks.generate
    python -m benchmarks.generate --questions 40 --rounds 2 --sizes 20 --output trial.json
    python -m benchmarks.generate --openvino-python .venv/openvino/bin/python
"""

import argparse
import logging
import re
import time
from collections.abc import Callable, Mapping
from itertools import takewhile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import engines, table
from benchmarks.asked import Asked, load, questions
from benchmarks.engines import Ids, Job
from benchmarks.machine import hardware_text, machine, versions, versions_text
from medtune.modeling.loading import BASE, resolve_precision
from medtune.runtime.errors import InputError
from medtune.runtime.files import write_json
from medtune.runtime.stage import one_line_errors, set_up_logging

logger = logging.getLogger("medtune")

RESULTS = Path("benchmarks/results/generate.json")
BLOCK = re.compile(r"<!-- answers -->\n.*?<!-- /answers -->", re.DOTALL)
PACKAGES = ("torch", "transformers")
TITLES = {
    "one_by_one": "transformers, one at a time",
    "unsorted": "transformers, batches in the file's order",
    "sorted": "transformers, batches by length",
    "continuous": "transformers, continuous batching",
    **engines.TITLES,
    "ours": "medtune",
}
Arm = Callable[[Ids, int], Ids]  # from prompts and a size of batches to answers


def timed(arm: Arm, prompts: Ids, size: int) -> tuple[Ids, float]:
    start = time.perf_counter()
    answers = arm(prompts, size)
    return answers, sum(map(len, answers)) / (time.perf_counter() - start)


def compare(
    asked: Asked,
    prompts: Ids,
    arms: list[str],
    rounds: int,
    sizes: list[int],
    others: Mapping[str, Arm],
) -> Any:
    """Tokens per second of each arm in each round, the answers of the last, and the best size.

    `others` are the arms that `asked` has not.
    """
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
            got, rate = timed(others.get(arm) or getattr(asked, arm), share, best)
            rates[arm].append(rate)
            answers[arm] = [*answers[arm], *got] if arm == "one_by_one" else got
            logger.info(f"round {number + 1}: {arm} {rate:.1f} tokens/s")
    if "one_by_one" in arms:
        order = [n for number in range(rounds) for n in range(number, len(prompts), rounds)]
        answers["one_by_one"] = [answers["one_by_one"][order.index(n)] for n in range(len(prompts))]
    return rates, answers, best


def equal_tokens(answer: list[int], other: list[int]) -> int:
    """How many tokens come before the first that differs."""
    return sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(answer, other, strict=False))
    )


def describe(rates: Mapping[str, list[float]], answers: Mapping[str, Ids]) -> dict[str, Any]:
    """Per arm: the median rate, how many times faster ours was, what was equal to ours."""
    return {
        arm: {
            "tokens_per_s": median(own),
            "tokens_per_s_of_rounds": own,
            "ours_is_faster": median(o / r for o, r in zip(rates["ours"], own, strict=True)),
            "equal_answers": sum(
                a == b for a, b in zip(answers[arm], answers["ours"], strict=True)
            ),
            "equal_tokens": sum(map(equal_tokens, answers[arm], answers["ours"])),
        }
        for arm, own in rates.items()
    }


def block(results: Mapping[str, Any]) -> str:
    run, arms = results["run"], results["arms"]
    lines = [
        "<!-- answers -->",
        "| answers by | tokens/s (rounds) | ours is faster | answers equal to ours | tokens |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {TITLES[name]} | {arm['tokens_per_s']:.0f} "
            f"({min(arm['tokens_per_s_of_rounds']):.0f}–{max(arm['tokens_per_s_of_rounds']):.0f}) "
            f"| {arm['ours_is_faster']:.2f} × | {arm['equal_answers']} of {run['questions']} "
            f"| {arm['equal_tokens'] / run['tokens']:.1%} |"
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


def chosen(named: list[str] | None, pythons: Mapping[str, str | None]) -> list[str]:
    """The arms to run, ours among them; by default all but engines without an interpreter."""
    arms = named or [arm for arm in TITLES if pythons.get(arm, "here")]
    for arm in arms:
        if arm not in TITLES:
            raise InputError(f"--arms names {arm!r}: known are {', '.join(TITLES)}")
        if not pythons.get(arm, "here"):
            option = f"--{arm.replace('_', '-')}-python"
            raise InputError(f"the arm {arm} needs {option}: see benchmarks/README.md")
    return [*dict.fromkeys([*arms, "ours"])]


def run(options: argparse.Namespace) -> dict[str, Any]:
    import torch

    pythons = {name: getattr(options, f"{name}_python") for name in engines.TITLES}
    arms = chosen(options.arms, pythons)
    asked, prompts = load(BASE), questions(options.questions)
    longest, limit = max(map(len, prompts)), asked.params.max_new_tokens
    threads, ends = torch.get_num_threads(), sorted(asked.ends)
    job = Job(str(BASE), threads, len(prompts), longest, limit, ends)
    with engines.started({arm: pythons[arm] for arm in arms if arm in pythons}, job) as others:
        rates, answers, size = compare(asked, prompts, arms, options.rounds, options.sizes, others)
        peers = {engine.package: engine.version for engine in others.values()}
    return {
        "arms": describe(rates, answers),
        "machine": machine(threads),
        "versions": versions(PACKAGES) | peers,
        "run": {
            "questions": len(prompts),
            "tokens": sum(map(len, answers["ours"])),
            "rounds": options.rounds,
            "size": size,
            "sizes": options.sizes,
            "batch_size": asked.params.batch_size,
            "max_new_tokens": limit,
            "precision": resolve_precision("auto"),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--arms", type=lambda text: text.split(","), help=f"of {', '.join(TITLES)}")
    add("--questions", type=int, default=200)
    add("--rounds", type=int, default=5)
    add("--sizes", type=lambda text: [int(n) for n in text.split(",")], default=[25, 50, 100, 200])
    add("--output", type=Path, default=RESULTS)
    for name, package in engines.PACKAGES.items():
        option = f"--{name.replace('_', '-')}-python"
        add(option, metavar="PYTHON", help=f"an interpreter that has {package}")
    options = parser.parse_args()
    set_up_logging("benchmark")
    with one_line_errors():
        results = run(options)
        write_json(options.output, results)
        if options.output == RESULTS:
            table.write_into_readme(BLOCK, block(results))
        print(block(results))


if __name__ == "__main__":
    main()
