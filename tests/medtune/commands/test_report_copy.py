from pathlib import Path

import pytest

from medtune.commands import report_copy
from medtune.report.page import render_report
from medtune.report.score_rows import Facts
from medtune.runtime.errors import InputError
from medtune.runtime.files import write_json


@pytest.fixture
def project(facts: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder with a report and the costs of two stages; returns the report."""
    report = render_report(facts)
    monkeypatch.chdir(tmp_path)
    Path("reports").mkdir()
    report_copy.REPORT.write_text(report, encoding="utf-8")
    cost = {"elapsed_s": 6.0, "peak_memory_gib": 0.5, "device": "cpu", "threads": 1}
    write_json(Path("metrics/clean_cost.json"), cost)
    train = cost | {"elapsed_s": 174.0, "device": "<GPU>", "tokens_per_s": 76.4}
    write_json(Path("metrics/train_cost.json"), train)
    return report


def test_copy_holds_the_costs_with_the_longest_stage_first(project: str) -> None:
    report_copy.main()
    copy = report_copy.COPY.read_text(encoding="utf-8")
    assert "Measured at commit uncommitted, 3.0 minutes in all" in copy
    assert copy.index('row">train</th><td>2.9</td>') < copy.index('row">clean</th><td>0.1</td>')
    assert "<td>&lt;GPU&gt;</td>" in copy and "<td>76.4</td>" in copy
    start, _, rest = project.partition("<!-- costs -->")
    assert copy.startswith(start) and copy.endswith(rest.partition("<!-- /costs -->")[2])


def test_without_a_report_it_says_how_to_make_one(project: str) -> None:
    report_copy.REPORT.unlink()
    with pytest.raises(InputError, match=r"report.html is missing: run dvc repro$"):
        report_copy.report_with_costs()
