"""The files that hosts of repositories read follow their schemas; every assertion can fail."""

import ast
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

pytestmark = pytest.mark.slow

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
    from check_jsonschema import main as check

    files = [str(path) for path in ROOT.glob(pattern)]
    assert files
    done = CliRunner().invoke(check, ["--builtin-schema", f"vendor.{schema}", *files])
    assert done.exit_code == 0, done.output


def test_package_citation_and_changelog_name_one_version() -> None:
    def first(name: str, line: str) -> str:
        found = re.search(line, (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
        assert found, name
        return " ".join(found.groups())

    package = first("pyproject.toml", r'^version = "(.*)"$')
    citation = first("CITATION.cff", r"^version: (.*)\ndate-released: (.*)$")
    assert first("CHANGELOG.md", r"^## (\S+) \((\d.*)\)$") == citation
    assert citation.startswith(f"{package} ")


def test_no_assertion_hides_its_condition() -> None:
    """`assert a == b if c else d` asserts only `d` where `c` is false."""
    trees = {path: ast.parse(path.read_text("utf-8")) for path in ROOT.glob("tests/**/*.py")}
    assertions = [
        (f"{path.relative_to(ROOT)}:{node.lineno}", node.test)
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
    ]
    always = ast.IfExp | ast.Tuple | ast.Constant | ast.JoinedStr | ast.Lambda | ast.GeneratorExp
    assert len(assertions) > 1000
    assert [place for place, test in assertions if isinstance(test, always)] == []
