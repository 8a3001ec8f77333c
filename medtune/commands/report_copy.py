"""Copies the report and fills in what a stage's output may not hold: commit, minutes, memory.

Reads reports/report.html, metrics/*_cost.json and the commit of dvc.lock; writes
reports/report_with_costs.html. Run: python -m medtune.commands.report_copy
"""

import re
from pathlib import Path

from medtune.commands.summary import REPORT, commit
from medtune.report.rendering import environment
from medtune.runtime.errors import InputError
from medtune.runtime.files import read_json, replacing
from medtune.runtime.stage import METRICS, one_line_errors, set_up_logging

COPY = Path("reports/report_with_costs.html")
BLOCK = re.compile("<!-- costs -->.*?<!-- /costs -->", re.DOTALL)
SUFFIX = "_cost.json"


def report_with_costs() -> str:
    """Returns the report with the measured costs of its stages, the longest first."""
    if not REPORT.exists():
        raise InputError(f"{REPORT} is missing: run dvc repro")
    costs = {
        path.name.removesuffix(SUFFIX): read_json(path, "compare")
        for path in sorted(METRICS.glob(f"*{SUFFIX}"))
    }
    stages = sorted(costs.items(), key=lambda item: -item[1]["elapsed_s"])
    table = environment(autoescape=True).get_template("costs.html.jinja")
    filled = table.render(stages=stages, commit=commit())
    return BLOCK.sub(lambda _: filled, REPORT.read_text(encoding="utf-8"), count=1)


def main() -> None:
    set_up_logging("report_copy")
    with one_line_errors(), replacing(COPY) as temporary:
        temporary.write_text(report_with_costs(), encoding="utf-8")
    print(COPY)


if __name__ == "__main__":
    main()
