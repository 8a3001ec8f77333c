"""`medtune summary`: the scores of base and fine-tuned model, in the terminal or README.md.

Reads metrics/compare_scores.json, metrics/*_cost.json and dvc.lock; writes reports/costs.js, from
which the report shows minutes, memory and commit.
"""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from medtune.commands.experiments import git
from medtune.config.loading import read_yaml
from medtune.runtime.errors import InputError

EXAMPLES = ("medtune summary", "medtune summary --readme")
SCORES = Path("metrics/compare_scores.json")
REPORT = Path("reports/report.html")
LOCK = Path("dvc.lock")
README = Path("README.md")
BLOCK = re.compile("<!-- scores -->.*?<!-- /scores -->", re.DOTALL)
# The scores of README.md: one of each idea, whether or not fine-tuning improved it.
README_SCORES = (
    "rougeL",
    "bleu",
    "perplexity",
    "stopped_rate",
    "repetition_rate",
    "unsupported_number_rate",
)


def score_table(names: Collection[str] | None = None) -> tuple[str, str]:
    """Returns all scores or the named ones as a Markdown table, and a line on their origin."""
    from medtune.report.rendering import markdown_table, percent
    from medtune.report.score_rows import score_rows
    from medtune.runtime.files import read_json

    scores = read_json(SCORES, "compare")
    if not LOCK.exists():
        raise InputError(f"{LOCK} is missing: run dvc repro")
    try:
        params = read_yaml(LOCK)["stages"]["compare"]["params"]["params.yaml"]
    except KeyError:
        raise InputError(f"{LOCK} records no run of compare: run dvc repro") from None
    interval = f"{percent(params['compare']['confidence'])} interval"
    table = [
        ["score", "base", "fine-tuned", "difference", interval, "p"],
        *(
            [row.title, row.base, row.finetuned, row.difference, row.interval, row.p_value]
            for row in score_rows(scores)
            if names is None or row.name in names
        ),
    ]
    origin = (
        f"n = {scores['n']} in {scores['groups']} groups, seed {params['seed']}, "
        f"preset {params['preset']}, commit {commit()}"
    )
    return markdown_table(table), origin


def commit() -> str:
    """Returns the commit that recorded dvc.lock, or `uncommitted` if it has changed since."""
    if git("status", "--porcelain", "--", str(LOCK)):
        return "uncommitted"
    return git("log", "-1", "--format=%h", "--", str(LOCK)) or "uncommitted"


def terminal_table() -> str:
    table, origin = score_table()
    return f"{table}\n\n{origin}\nreport: {REPORT}"


def readme_block() -> str:
    """Returns README_SCORES between the two comments that mark their place in README.md."""
    table, origin = score_table(README_SCORES)
    return f"<!-- scores -->\n{table}\n\nBase against fine-tuned: {origin}.\n<!-- /scores -->"


def write_readme() -> None:
    from medtune.runtime.files import replacing

    text = README.read_text(encoding="utf-8") if README.exists() else ""
    if not BLOCK.search(text):
        raise InputError(
            f"{README} has no <!-- scores --> … <!-- /scores --> block: add the two lines"
        )
    block = readme_block()
    with replacing(README) as temporary:
        temporary.write_text(BLOCK.sub(lambda _: block, text, count=1), encoding="utf-8")


def summary(
    readme: Annotated[
        bool, typer.Option("--readme", help="Write the table into README.md as well.")
    ] = False,
) -> None:
    """Print the scores of the base and the fine-tuned model."""
    from medtune.report.costs import write_costs
    from medtune.runtime.files import read_json

    if readme:
        write_readme()
    print(terminal_table())
    write_costs(read_json(SCORES, "compare"), commit())
