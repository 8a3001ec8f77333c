"""Measures what training and answering cost by size of the model and length of the cards.

The models have random weights in published shapes, so nothing is downloaded. Each measurement runs
in its own process. Prints a table of this machine, and one of what whole runs would take here and,
calculated, on common GPUs. On 2 cores, three lengths take half an hour.

    python -m benchmarks.costs
    python -m benchmarks.costs --shapes tiny --lengths 64 --output costs.csv
"""

import argparse
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.gpu_sections import (
    Bench,
    evaluate_params,
    gpu,
    peak_gib,
    timed,
    train_params,
    training_rate,
)
from benchmarks.measured import show
from benchmarks.shapes import SHAPES, Rows, random_cards, tokens, train_flops
from medtune.preflight.memory import Batches, Decoder, train_bytes

BY_SIZE = ["SmolLM2-135M", "SmolLM2-360M", "TinyLlama-1.1B"]
STEP, STEPS = 8, 5  # cards a step; the first two steps warm up, and the last is not timed
ANSWERED, NEW = 16, 32  # questions that are answered together, tokens of each answer
CARDS, QUESTIONS = 1_000, 200  # of the run in the second table
CARD_TOKENS, ANSWER_TOKENS = 128, 64  # of that run
# What a GPU multiplies by its maker's word, in TFLOP/s: dense, in fp16 or bf16.
PEAKS = {"T4": 65, "L4": 121, "A100": 312, "H100": 989}
# The share of it that training reached on an H100 with 8 cards a step, and the tokens a second of
# the first 200 answers there, both by TinyLlama-1.1B (docs/benchmarks.md, "One GPU").
SHARE, H100_ANSWERS = 0.09, 10_195
BANDWIDTH = {"T4": 0.3, "L4": 0.3, "A100": 1.6, "H100": 3.35}  # TB/s, by which answers are scaled


def cards_of(shape: str, length: int, count: int = STEP * STEPS) -> Rows:
    return random_cards(shape, count, seed=0, longest=length, full=True)


def used_gib() -> float:
    """Returns the peak of this process; ru_maxrss would begin with that of the one that forked."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    resident_kib = int(status.partition("VmHWM:")[2].split()[0])
    return peak_gib() if gpu() else resident_kib / 2**20


def training(root: Path, shape: str, length: int) -> dict[str, float]:
    """Returns seconds a card, arithmetic a second, and the peak of memory beside the calculated."""
    rows, params = cards_of(shape, length), train_params()
    figures = training_rate(Bench(root, tiny=False), rows, params, shape)
    decoder = Decoder.read(root / shape)
    supervised = (tokens(rows) - sum(rows["loss_start"])) // STEPS
    batches = Batches(STEP * length, supervised, length, 0, 0, 0, 0)
    return {
        "train_s": figures["ms_step"] / 1e3 / STEP,
        "train_tflops": figures["tflops"],
        "train_gib": used_gib(),
        "train_calculated_gib": train_bytes(decoder, params, batches, gpu(), gpu()) / 2**30,
    }


def answering(root: Path, shape: str, length: int) -> dict[str, float]:
    """Returns seconds to load, and a card for its likelihood, tokens a second, and the peak."""
    from medtune.generation.generate import generate
    from medtune.modeling.token_losses import summed_losses

    start = time.perf_counter()
    model = Bench(root, tiny=False).model(shape=shape)
    loaded, rows = time.perf_counter() - start, cards_of(shape, length, ANSWERED)
    # The questions are half as long as the cards.
    questions = [ids[: length // 2] for ids in rows["input_ids"]]
    params = evaluate_params(max_new_tokens=NEW)
    scored = timed(lambda: summed_losses(model, *rows.values()))
    start = time.perf_counter()
    generate(model, questions, params, set())
    answered = time.perf_counter() - start
    return {
        "load_s": loaded,
        "likelihood_s": scored / ANSWERED,
        "answers_tokens_per_s": ANSWERED * NEW / answered,
        "answer_gib": used_gib(),
    }


def measure(shapes: list[str], lengths: list[int], root: Path) -> pd.DataFrame:
    """Returns a row for each shape and length."""
    # Its processes come from one without threads, so they may fork.
    context, rows = multiprocessing.get_context("forkserver"), []
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
        for shape in shapes:
            pool.submit(Bench(root, tiny=False).folder, shape).result()
            for length in lengths:
                figures: dict[str, Any] = {"model": shape, "tokens": length}
                for work in (training, answering):
                    figures |= pool.submit(work, root, shape, length).result()
                rows.append(figures)
                print(figures, flush=True)
    return pd.DataFrame(rows)


def measured_table(found: pd.DataFrame) -> pd.DataFrame:
    table = found[["model", "tokens"]].rename(columns={"tokens": "tokens a card"})
    table["training, s a card"] = found["train_s"].map("{:.2f}".format)
    table["TFLOP/s"] = found["train_tflops"].map("{:.2f}".format)
    memory = zip(found["train_gib"], found["train_calculated_gib"], strict=True)
    table["peak, calculated"] = [f"{peak:.1f} GiB, {said:.1f}" for peak, said in memory]
    table["loading, s"] = found["load_s"].map("{:.1f}".format)
    table["likelihood, s a card"] = found["likelihood_s"].map("{:.3f}".format)
    table["answers, tokens/s"] = found["answers_tokens_per_s"].map("{:,.0f}".format)
    table["peak"] = found["answer_gib"].map("{:.1f} GiB".format)
    return table.set_index("model")


def run_table(found: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Returns the minutes of a run: CARDS trained once, QUESTIONS answered by both models."""
    table = {}
    for shape, own in found.groupby("model", sort=False):
        nearest = own.iloc[(own["tokens"] - CARD_TOKENS).abs().argmin()]
        rows = cards_of(str(shape), CARD_TOKENS, CARDS)
        flops = train_flops(root / str(shape), rows, train_params())
        new = 2 * QUESTIONS * ANSWER_TOKENS
        minutes = {
            "here": flops / 1e12 / nearest["train_tflops"] + new / nearest["answers_tokens_per_s"]
        }
        for gpu_name, peak in PEAKS.items():
            rate = H100_ANSWERS * BANDWIDTH[gpu_name] / BANDWIDTH["H100"]
            minutes[gpu_name] = flops / 1e12 / (SHARE * peak) + new / rate
        table[shape] = {name: f"{seconds / 60:.1f}" for name, seconds in minutes.items()}
    return pd.DataFrame(table).T.rename_axis("minutes")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    made.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=BY_SIZE)
    made.add_argument("--lengths", nargs="+", type=int, default=[64, 128, 256])
    made.add_argument("--output", type=Path, help="save the figures as CSV")
    return made


def main() -> None:
    options = parser().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options.shapes, options.lengths, Path(folder))
        runs = run_table(found, Path(folder))
    print(runs.to_markdown(disable_numparse=True), end="\n\n")
    show(measured_table(found), "torch", "transformers", "peft", output=options.output, rows=found)


if __name__ == "__main__":
    main()
