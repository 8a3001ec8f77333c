"""The files that hosts of repositories read follow their schemas."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = {
    "citation-file-format": "CITATION.cff",
    "dependabot": ".github/dependabot.yml",
    "github-actions": ".github/actions/*/action.yml",
    "github-issue-forms": ".github/ISSUE_TEMPLATE/*.yml",
    "github-workflows": ".github/workflows/*.yml",
}


@pytest.mark.parametrize(("schema", "pattern"), FILES.items())
def test_a_file_follows_its_schema(schema: str, pattern: str) -> None:
    files = [str(path) for path in ROOT.glob(pattern)]
    assert files
    program = Path(sys.executable).with_name("check-jsonschema")
    command = [program, "--builtin-schema", f"vendor.{schema}", *files]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
