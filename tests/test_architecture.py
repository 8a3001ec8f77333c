"""The packages of medtune import each other in one direction, in a graph that a reader can draw."""

import ast
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

from medtune.comparison.verdict import join_with_and

ROOT = Path(__file__).parents[1] / "medtune"
# From the ground up: a package imports only those before it.
PACKAGES = (
    "runtime",
    "artifacts",
    "config",
    "sources",
    "cards",
    "splits",
    "modeling",
    "training",
    "generation",
    "scoring",
    "content",
    "baselines",
    "comparison",
    "report",
    "guard",
    "preflight",
    "export",
    "judging",
    "commands",
)
BELOW_ALL = {"runtime", "config"}
MOST_ARROWS = 55
STAGES = sorted(ROOT.with_name("stages").glob("[!_]*.py"))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text())))


@cache
def imported(path: Path) -> frozenset[str]:
    """The names that a file imports, also within functions, as `medtune.package.module.name`."""
    names: list[str] = []
    for node in nodes(path):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{path} has a relative import"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return frozenset(names)


def packages_in(files: Iterable[Path]) -> set[str]:
    """The packages of medtune that files import."""
    parts = [name.split(".") for path in files for name in imported(path)]
    return {part[1] for part in parts if part[0] == "medtune" and part[1:]} & set(PACKAGES)


def arrows() -> set[tuple[str, str]]:
    """Pairs of packages of which the first imports the second."""
    found = {(a, b) for a in PACKAGES for b in packages_in((ROOT / a).rglob("*.py"))}
    return {(a, b) for a, b in found if a != b}


def neighbours(package: str) -> str:
    """How the docstring of a package ends: what it imports, and what uses it."""
    found = arrows()
    below = [name for name in PACKAGES if (package, name) in found]
    users = [name for name in PACKAGES if (name, package) in found]
    if len(users) == len(PACKAGES) - 1:
        users = ["all other packages"]
    if package in packages_in(ROOT.with_name("app").rglob("*.py")):
        users.append("the app")
    stages = [path.stem for path in STAGES if package in packages_in([path])]
    if stages == [path.stem for path in STAGES]:
        users.append("all stages")
    elif stages:
        users.append(f"the {'stage' if len(stages) == 1 else 'stages'} {join_with_and(stages)}")
    return f"Imports {join_with_and(below) or 'no other package'}. Used by {join_with_and(users)}."


def test_every_package_has_its_place() -> None:
    folders = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
    assert folders == sorted(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_says_what_lives_there_what_it_imports_and_what_uses_it(package: str) -> None:
    path = ROOT / package / "__init__.py"
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    paragraph, end = docstring.replace("\n", " "), neighbours(package)
    assert paragraph.endswith(f". {end}"), f"medtune/{package}/__init__.py must end with: {end}"
    assert len(paragraph.removesuffix(end).split()) >= 10


def test_a_module_outside_the_packages_is_no_way_around_the_order() -> None:
    modules = [path for path in ROOT.glob("*.py") if path.name != "__main__.py"]
    assert len(modules) >= 2
    for path in modules:
        names = {name for name in imported(path) if name.startswith("medtune")}
        assert all(name.startswith("medtune.runtime.") for name in names), path


@pytest.mark.parametrize(
    ("folders", "never"), [(("medtune", "stages"), "app"), (("medtune", "app"), "stages")]
)
def test_the_app_and_the_stages_stay_apart_and_medtune_imports_neither(
    folders: tuple[str, ...], never: str
) -> None:
    files = [path for folder in folders for path in ROOT.with_name(folder).rglob("*.py")]
    assert len(files) > 80
    for path in files:
        assert not {name for name in imported(path) if name.split(".")[0] == never}, path


@pytest.mark.parametrize("folder", ["app", "app/api"])
def test_the_docstring_of_the_app_names_modules_that_exist(folder: str) -> None:
    path = ROOT.parent / folder
    docstring = ast.get_docstring(ast.parse((path / "__init__.py").read_text())) or ""
    named = set(re.findall(r"`(\w+)/?`", docstring))
    there = {entry.stem for entry in path.iterdir() if entry.suffix in ("", ".py")}
    assert len(named) > 8 and named <= there


def test_no_arrow_points_up_and_few_point_down() -> None:
    up = [(a, b) for a, b in arrows() if PACKAGES.index(a) < PACKAGES.index(b)]
    assert not up
    assert 20 < len(arrows()) <= MOST_ARROWS


def drawn_arrows() -> set[tuple[str, str]]:
    """The arrows of CONTRIBUTING.md, whose lines are `one & another --> a third & a fourth`."""
    text = (ROOT.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    drawing = text.partition("```mermaid\ngraph LR\n")[2].partition("```")[0]
    lines = [line.partition("-->") for line in drawing.splitlines()]
    return {(a.strip(), b.strip()) for x, _, y in lines for a in x.split("&") for b in y.split("&")}


def test_the_drawing_has_each_arrow_that_does_not_follow_from_others() -> None:
    found = arrows()
    below: dict[str, set[str]] = {}
    to_draw = set()
    for package in PACKAGES:
        direct = {b for a, b in found if a == package} - BELOW_ALL
        further = set[str]().union(*(below[name] for name in direct))
        to_draw |= {(package, name) for name in direct - further}
        below[package] = direct | further
    assert drawn_arrows() == to_draw


def test_a_progress_bar_ends_also_when_its_work_fails() -> None:
    """A bar that stays open tears the line that says what failed."""
    files = [*ROOT.rglob("*.py"), *ROOT.with_name("stages").glob("*.py")]
    made, closed = set[tuple[Path, int]](), set[tuple[Path, int]]()
    for path in files:
        for node in nodes(path):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "progress":
                made.add((path, node.lineno))
            if isinstance(node, ast.With):
                closed |= {(path, item.context_expr.lineno) for item in node.items}
    assert len(made) > 8
    assert not made - closed
