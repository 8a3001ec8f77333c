"""`medtune summary`: the table of base against fine-tuned, in the terminal or in README.md.

Reads metrics/compare.json and dvc.lock.
"""

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medtune.config.loading import read_yaml
from medtune.runtime.errors import InputError

if TYPE_CHECKING:
    from medtune.report.score_rows import ScoreRow

EXAMPLES = ("medtune summary", "medtune summary --readme")
METRICS = Path("metrics/compare.json")
REPORT = Path("reports/report.html")
LOCK = Path("dvc.lock")
README = Path("README.md")
BLOCK = re.compile("<!-- scores -->.*?<!-- /scores -->", re.DOTALL)
# The scores of README.md: one of each idea, whether fine-tuning made it better or worse.
README_SCORES = (
    *("rougeL", "bleu", "perplexity"),
    *("stopped_rate", "repetition_rate", "unsupported_number_rate"),
)


def load_scores() -> tuple[list["ScoreRow"], str, float]:
    """The rows of the score table, the line that says what they hold for, and their confidence."""
    from medtune.report.score_rows import score_rows
    from medtune.runtime.files import read_json

    metrics = read_json(METRICS, "compare")
    if not LOCK.exists():
        raise InputError(f"{LOCK} is missing: run dvc repro")
    try:
        params = read_yaml(LOCK)["stages"]["compare"]["params"]["params.yaml"]
    except KeyError:
        raise InputError(f"{LOCK} records no run of compare: run dvc repro") from None
    origin = (
        f"n = {metrics['n']} in {metrics['groups']} groups, seed {params['seed']}, "
        f"preset {params['preset']}, commit {commit()}"
    )
    return score_rows(metrics), origin, params["compare"]["confidence"]


def commit() -> str:
    """The commit that recorded dvc.lock, or `uncommitted` where it differs from the last commit."""
    if _git("status", "--porcelain", "--", str(LOCK)):
        return "uncommitted"
    return _git("log", "-1", "--format=%h", "--", str(LOCK)) or "uncommitted"


def terminal_table() -> str:
    from medtune.report.score_rows import percent

    rows, origin, confidence = load_scores()
    header = ("score", "base", "fine-tuned", "difference", f"[{percent(confidence)} interval]", "p")
    table = [header, *(_cells(row, f"[{row.interval}]") for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(header))]
    lines = [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in table
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], "", origin, f"report: {REPORT}"])


def readme_block() -> str:
    """README_SCORES in Markdown, between the two comments that mark their place in README.md."""
    from medtune.report.score_rows import percent

    rows, origin, confidence = load_scores()
    shown = [row for row in rows if row.name in README_SCORES]
    lines = [
        "<!-- scores -->",
        f"| score | base | fine-tuned | difference | {percent(confidence)} interval | p |",
        "|---|---:|---:|---:|---:|---:|",
        *("| " + " | ".join(_cells(row, row.interval)) + " |" for row in shown),
        "",
        f"Base against fine-tuned: {origin}.",
        "<!-- /scores -->",
    ]
    return "\n".join(lines)


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


def _cells(row: "ScoreRow", interval: str) -> tuple[str, ...]:
    return row.title, row.base, row.finetuned, row.difference, interval, row.p_value


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()


def summary(
    readme: Annotated[
        bool, typer.Option("--readme", help="Write the table into README.md as well.")
    ] = False,
) -> None:
    """Print the scores of base and fine-tuned model."""
    if readme:
        write_readme()
    print(terminal_table())
