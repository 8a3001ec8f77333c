"""The packages of medtune import each other in one direction, in a graph that a reader can draw."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1] / "medtune"
# From the ground up: a package imports only those before it.
PACKAGES = (
    *("runtime", "config", "sources", "cards", "splits", "modeling", "training", "generation"),
    *("serving", "scoring", "comparison", "report", "guard", "preflight", "export", "commands"),
)
MOST_ARROWS = 45


@cache
def arrows() -> frozenset[tuple[str, str]]:
    """Pairs of packages of which the first imports the second."""
    found = set()
    for path in ROOT.glob("*/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            parts = [name.split(".") for name in names]
            found |= {
                (path.parent.name, part[1])
                for part in parts
                if part[0] == "medtune" and (ROOT / part[1]).is_dir()
            }
    return frozenset((a, b) for a, b in found if a != b)


def test_every_package_has_its_place_and_says_what_lives_there() -> None:
    folders = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
    assert folders == sorted(PACKAGES)
    for folder in folders:
        docstring = ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text()))
        assert docstring and len(docstring.split()) >= 10, folder


def test_no_arrow_points_up_and_few_point_down() -> None:
    up = [(a, b) for a, b in arrows() if PACKAGES.index(a) < PACKAGES.index(b)]
    assert not up
    assert 20 < len(arrows()) <= MOST_ARROWS
