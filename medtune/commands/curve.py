"""`medtune curve`: the same training with fewer cards, and what twice as many would bring.

Queues the trainings as DVC experiments. When they are done, it draws reports/curve.png.
"""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from medtune.commands.comparable_runs import Runs, find_runs, finetuned_answers, params_hash
from medtune.commands.experiments import Experiment, queue_experiments, text_of
from medtune.commands.replicate import comparable_scores
from medtune.runtime.errors import InputError

EXAMPLES = ("medtune curve", "medtune curve --dry-run")
CURVE = Path("reports/curve.png")
VARIED = "split.max_records.train"
VARIED_INPUT = "data/tokens/train.arrow"
SPLIT_METRICS = "metrics/split.json"
PARTS = (8, 4, 2, 1)  # of all training cards: an eighth, a quarter, a half, all
FEWEST_CARDS = 2  # of the smallest part
DRAWN = ("rougeL", "content_f1", "meaning", "facts", "stopped_rate", "repetition_rate")


def cards_of(run: Experiment) -> int:
    """Returns the number of training cards of a run."""
    return json.loads(text_of(run.commit, SPLIT_METRICS))["train"]


def sizes(runs: Runs) -> list[int]:
    """Returns the numbers of cards to train with, the workspace's last."""
    full = cards_of(runs.here)
    found = [full // part for part in PARTS]
    if found[0] < FEWEST_CARDS:
        raise InputError(
            f"an eighth of {full} training cards is fewer than {FEWEST_CARDS}: "
            f"raise {VARIED} or add cards"
        )
    return found


def by_cards(runs: Runs) -> dict[int, Experiment]:
    """Returns a run for each number of training cards that has one, of the workspace's seed."""
    found: dict[int, Experiment] = {}
    for run in runs.alike:
        found.setdefault(cards_of(run), run)
    return found


def queue_commands(runs: Runs) -> list[list[str]]:
    """Returns the arguments of `dvc` for the sizes that have no run and wait for none."""
    mark, there = params_hash(runs.here.params, (VARIED,))[:7], by_cards(runs)
    names = {
        size: f"{runs.here.params['preset']}-cards{size}-{mark}"
        for size in sizes(runs)
        if size not in there
    }
    return [
        ["exp", "run", "--queue", "--name", name, "-S", f"{VARIED}={size}"]
        for size, name in names.items()
        if name not in runs.waiting()
    ]


def draw(found: Mapping[int, Experiment], confidence: float) -> str:
    """Draws the runs, smallest first, and returns a line for each score."""
    from medtune.comparison.paired_scores import group_numbers
    from medtune.comparison.score_by_cards import learning_curve
    from medtune.report.score_by_cards_figure import sentence, write_curves
    from medtune.scoring.scores import statistics

    tables = finetuned_answers(list(found.values()))
    groups = group_numbers(tables[0])
    curves = []
    for score in comparable_scores(tables[0]):
        if score.name in DRAWN:
            rows = [statistics(table, score) for table in tables]
            curves.append(learning_curve(score, list(found), rows, groups, confidence))
    write_curves(curves, confidence, CURVE)
    return "\n".join(["Are more cards worth it?", *(sentence(c, confidence) for c in curves)])


def curve(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be queued, and queue nothing.")
    ] = False,
    num: Annotated[
        int, typer.Option(help="Look at the experiments of this many commits; -1 takes all.")
    ] = 1,
) -> None:
    """Train with fewer cards and say what more cards would bring.

    The first call queues DVC experiments with an eighth, a quarter and a half of the cards, which
    differ in split.max_records.train alone. Once they are done, the same call draws
    reports/curve.png.
    """
    runs = find_runs(num, VARIED, VARIED_INPUT)
    commands, there = queue_commands(runs), by_cards(runs)
    if dry_run:
        print("\n".join(shlex.join(["dvc", *command]) for command in commands) or "nothing to do")
    elif commands:
        queue_experiments(commands)
        print("When they are done, `medtune curve` draws the scores.")
    elif missing := [size for size in sizes(runs) if size not in there]:
        cards = ", ".join(map(str, missing))
        print(f"waiting for the runs with {cards} cards: see `dvc queue status`")
    else:
        found = {size: there[size] for size in sizes(runs)}
        print(f"{draw(found, runs.here.params['compare.confidence'])}\n{CURVE}")
