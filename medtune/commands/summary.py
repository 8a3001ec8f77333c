"""Prints the base against fine-tuned table, in the terminal or into README.md.

Reads metrics/compare.json and dvc.lock. Run: python -m medtune.commands.summary [--readme]
"""

import argparse
import re
from pathlib import Path

from medtune.commands.experiments import git
from medtune.config.loading import read_yaml
from medtune.report.score_rows import ScoreRow, percent, score_rows
from medtune.runtime.errors import InputError
from medtune.runtime.files import read_json, replacing
from medtune.runtime.stage import one_line_errors, set_up_logging

METRICS = Path("metrics/compare.json")
REPORT = Path("reports/report.html")
LOCK = Path("dvc.lock")
README = Path("README.md")
BLOCK = re.compile("<!-- scores -->.*?<!-- /scores -->", re.DOTALL)


def load_scores() -> tuple[list[ScoreRow], str, float]:
    """The rows of the score table, the line that says what they hold for, and their confidence."""
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
    if git("status", "--porcelain", "--", str(LOCK)):
        return "uncommitted"
    return git("log", "-1", "--format=%h", "--", str(LOCK)) or "uncommitted"


def terminal_table() -> str:
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
    """The same table in Markdown, between the two comments that mark its place in README.md."""
    rows, origin, confidence = load_scores()
    lines = [
        "<!-- scores -->",
        f"| score | base | fine-tuned | difference | {percent(confidence)} interval | p |",
        "|---|---:|---:|---:|---:|---:|",
        *("| " + " | ".join(_cells(row, row.interval)) + " |" for row in rows),
        "",
        f"Base against fine-tuned: {origin}.",
        "<!-- /scores -->",
    ]
    return "\n".join(lines)


def write_readme() -> None:
    text = README.read_text(encoding="utf-8") if README.exists() else ""
    if not BLOCK.search(text):
        raise InputError(
            f"{README} has no <!-- scores --> … <!-- /scores --> block: add the two lines"
        )
    block = readme_block()
    with replacing(README) as temporary:
        temporary.write_text(BLOCK.sub(lambda _: block, text, count=1), encoding="utf-8")


def _cells(row: ScoreRow, interval: str) -> tuple[str, ...]:
    return row.title, row.base, row.finetuned, row.difference, interval, row.p_value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--readme", action="store_true", help="write the table into README.md")
    arguments = parser.parse_args()
    set_up_logging("summary")
    with one_line_errors():
        if arguments.readme:
            write_readme()
        print(terminal_table())


if __name__ == "__main__":
    main()
