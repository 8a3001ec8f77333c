"""dvc.yaml says what the code does: parameters read, folders imported, one file per stage."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
NAMES = (
    "download",
    "clean",
    "split",
    "tokenize",
    "train",
    "baselines",
    "evaluate",
    "compare",
    "guard",
)
EXPENSIVE = ("download", "train", "evaluate")  # take minutes, hours or the network
GRAPH: dict[str, Any] = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
CODE = re.compile(r"(medtune|stages)/.*|requirements\.txt")
# No stage depends on these files, which only set up the process by these functions of runtime.
# Another call may change results: then every stage has to run again, by `dvc repro --force`.
STARTERS = {
    ROOT / "medtune/__init__.py": ["refuse_windows()", "let_waiting_threads_sleep()"],
    ROOT / "stages/__init__.py": ["end_with_dvc()"],
}


def definition(name: str) -> dict[str, Any]:
    return GRAPH[name].get("do", GRAPH[name])


def packages(path: Path) -> list[Path]:
    """The packages that a file is in, the innermost first."""
    return [folder for folder in path.parents if folder.is_relative_to(ROOT) and folder != ROOT]


@cache
def direct_imports(path: Path) -> list[Path]:
    """The first-party files that a file names, and its packages."""
    found = [folder / "__init__.py" for folder in packages(path)]
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        targets = [ROOT / (name.replace(".", "/") + ".py") for name in names]
        found += [target for target in targets if target.is_file()]
    return found


@cache
def imports(path: Path) -> frozenset[Path]:
    """The first-party files that a file imports, directly or through others, itself included."""
    found, left = set(), [path]
    while left:
        if (file := left.pop()) not in found:
            found.add(file)
            left += direct_imports(file)
    return frozenset(found)


def params_read(path: Path) -> set[str]:
    """The names that a stage passes to load_params; `{target}` of an f-string becomes `${key}`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "load_params":
            for argument in node.args:
                if isinstance(argument, ast.JoinedStr):
                    parts = [getattr(part, "value", None) for part in argument.values]
                    text = "".join(part if isinstance(part, str) else "${key}" for part in parts)
                else:
                    text = ast.literal_eval(argument)
                found.add(text)
    return found


def test_stages_holds_one_file_per_stage_and_nothing_else() -> None:
    files = sorted(path.stem for path in (ROOT / "stages").glob("*.py"))
    assert files == sorted(["__init__", *NAMES])
    assert tuple(GRAPH) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_runs_its_own_file(name: str) -> None:
    command = f"python -m stages.{name}"
    assert definition(name)["cmd"] in (command, f"{command} ${{key}}")


@pytest.mark.parametrize("name", NAMES)
def test_params_read_are_params_declared(name: str) -> None:
    assert params_read(ROOT / f"stages/{name}.py") == set(definition(name)["params"])


def covering(path: Path) -> str:
    """The dependency that covers a file of code: its folder in `medtune/`, or the file itself."""
    relative = path.relative_to(ROOT)
    in_a_package = relative.parts[0] == "medtune" and len(relative.parts) > 2
    return "/".join(relative.parts[:2]) if in_a_package else str(relative)


@pytest.mark.parametrize("name", NAMES)
def test_code_deps_are_the_folders_imported_and_the_lock(name: str) -> None:
    expected = {covering(path) for path in imports(ROOT / f"stages/{name}.py") - set(STARTERS)}
    deps = {dep for dep in definition(name)["deps"] if CODE.fullmatch(dep)}
    assert deps == expected | {"requirements.txt"}


@pytest.mark.parametrize("path", sorted(STARTERS))
def test_what_no_stage_depends_on_only_calls_named_functions_of_runtime(
    path: Path,
) -> None:
    docstring, *rest = ast.parse(path.read_text()).body
    assert isinstance(docstring, ast.Expr) and isinstance(docstring.value, ast.Constant)
    imported = [node for node in rest if isinstance(node, ast.ImportFrom)]
    assert all(str(node.module).startswith("medtune.runtime.") for node in imported)
    assert [ast.unparse(node) for node in rest if node not in imported] == STARTERS[path]


@pytest.mark.parametrize("name", ("train", "evaluate"))
def test_an_expensive_stage_depends_on_little_that_it_does_not_import(name: str) -> None:
    folders = [dep for dep in definition(name)["deps"] if (ROOT / dep / "__init__.py").is_file()]
    covered = {path for folder in folders for path in (ROOT / folder).rglob("*.py")}
    assert len(covered) > 15
    assert len(covered - imports(ROOT / f"stages/{name}.py")) <= 2


@pytest.mark.parametrize("name", EXPENSIVE)
def test_the_run_cache_takes_an_expensive_stage(name: str) -> None:
    """DVC saves no run with an output that persists or is not in its cache."""
    assert all(isinstance(output, str) for output in definition(name)["outs"])
    assert "metrics" not in definition(name)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in EXPENSIVE])
def test_outputs_of_a_quick_stage_persist_and_only_the_large_ones_are_cached(name: str) -> None:
    for output in definition(name)["outs"] + definition(name).get("metrics", []):
        ((path, settings),) = output.items()
        assert settings["persist"] is True, path
        in_git = path.startswith(("metrics/", "plots/")) or path.endswith("README.md")
        assert settings.get("cache", True) is not in_git, path


def test_what_people_compare_between_runs_is_one_metrics_file() -> None:
    metrics = [output for name in NAMES for output in definition(name).get("metrics", [])]
    assert [list(output) for output in metrics] == [["metrics/compare.json"]]


def test_files_stay_short() -> None:
    limits = {"stages": 150, "medtune": 300, "app": 300}
    for folder, limit in limits.items():
        for path in (ROOT / folder).rglob("*.py"):
            assert len(path.read_text().splitlines()) <= limit, path
    assert len((ROOT / "params.yaml").read_text().splitlines()) <= 120
