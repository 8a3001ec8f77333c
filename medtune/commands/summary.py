"""`medtune summary`: the verdict and the scores, in the terminal or README.md.

Reads metrics/compare_{systems,kinds,scores}.json, metrics/*_cost.json and dvc.lock; writes
reports/costs.js, from which the report shows minutes, memory and commit.
"""

import re
from pathlib import Path
from textwrap import fill
from typing import Annotated, Any

import typer

from medtune.commands.experiments import git
from medtune.config.loading import read_yaml
from medtune.runtime.errors import InputError

EXAMPLES = ("medtune summary", "medtune summary --readme")
METRICS = Path("metrics")
READ = ("compare_systems", "compare_kinds")
SCORES = METRICS / "compare_scores.json"
REPORT = Path("reports/report.html")
LOCK = Path("dvc.lock")
UNCOMMITTED = "uncommitted"
README = Path("README.md")
LINE = 110  # characters
BLOCK = re.compile("<!-- scores -->.*?<!-- /scores -->", re.DOTALL)


def summary_table(first: bool = False) -> tuple[str, str, str]:
    """Returns the verdict, a Markdown table of all scores or the first ones, and its origin."""
    from medtune.comparison.collapsed_kinds import collapses
    from medtune.comparison.verdict import sample
    from medtune.report.headline import broken, headline
    from medtune.report.number_formats import percent
    from medtune.report.rendering import markdown_table
    from medtune.report.result_table import COLUMNS, FIRST_SCORES, result_rows
    from medtune.runtime.atomic_files import read_json

    metrics = {name: read_json(METRICS / f"{name}.json", "compare") for name in READ}
    params = recorded_params()
    header = [*COLUMNS, f"{percent(params['compare']['confidence'])} interval"]
    systems = metrics["compare_systems"]
    rows = result_rows(systems, params, FIRST_SCORES if first else None)
    origin = (
        f"{sample(systems['n'], systems['groups'])}, seed {params['seed']}, "
        f"preset {params['preset']}, commit {commit()}"
    )
    table = markdown_table([header, *(row.cells() for row in rows)])
    said = headline(metrics, params)
    if first:  # the table has the scores
        said = [said[0], *broken(collapses(metrics["compare_kinds"]))]
    return "\n".join(_item(sentence) for sentence in said), table, origin


def _item(text: str) -> str:
    return fill(text, LINE, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)


def recorded_params() -> dict[str, Any]:
    """Returns the parameters of the run that dvc.lock records."""
    if not LOCK.exists():
        raise InputError(f"{LOCK} is missing: run dvc repro")
    try:
        return read_yaml(LOCK)["stages"]["compare"]["params"]["params.yaml"]
    except KeyError:
        raise InputError(f"{LOCK} records no run of compare: run dvc repro") from None


def commit() -> str:
    """Returns the commit that recorded dvc.lock, or `uncommitted` if it has changed since."""
    if git("status", "--porcelain", "--", str(LOCK)):
        return UNCOMMITTED
    return git("log", "-1", "--format=%h", "--", str(LOCK)) or UNCOMMITTED


def terminal_table() -> str:
    verdict, table, origin = summary_table()
    report = REPORT if REPORT.exists() else f"{REPORT} is missing: run dvc repro"
    return f"{verdict}\n\n{table}\n\n{origin}\nreport: {report}"


def readme_block() -> str:
    """Returns the first scores between the two comments that mark their place in README.md."""
    verdict, table, origin = summary_table(first=True)
    about = "Difference: fine-tuned minus the best without training, picked on validation cards"
    about = fill(f"{about}; {origin}.", LINE, break_on_hyphens=False)
    return f"<!-- scores -->\n{verdict}\n\n{table}\n\n{about}\n<!-- /scores -->"


def write_readme() -> None:
    from medtune.runtime.atomic_files import replacing

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
    """Print the verdict and the scores."""
    from medtune.report.costs import write_costs
    from medtune.runtime.atomic_files import read_json

    if readme:
        write_readme()
    print(terminal_table())
    write_costs(read_json(SCORES, "compare"), commit())
