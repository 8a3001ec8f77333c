"""What README.md and presets/README.md tell the reader to type and to look at is there."""

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
TEXTS = {name: (ROOT / name).read_text() for name in ("README.md", "presets/README.md")}
README = TEXTS["README.md"]
GRAPH: dict[str, Any] = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]


def commands(start: str) -> list[str]:
    """The commands of the indented blocks and of code in the text that begin with `start`."""
    found = []
    for text in TEXTS.values():
        text = text.replace("\\\n", " ")
        fenced = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL))
        indented = "\n".join(re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE))
        lines = re.findall(
            rf"^({start}\b.*?)(?: {{2,}}#.*)?$", f"{fenced}\n{indented}", re.MULTILINE
        )
        found += lines + re.findall(rf"`({start} [^`]*)`", text)
        assert lines or start == "make"
    return sorted({command for command in found if "<" not in command})


@pytest.mark.parametrize("command", commands("dvc"))
def test_dvc_knows_the_command(command: str) -> None:
    from dvc.cli import parse_args

    parse_args([word for word in shlex.split(command, comments=True)[1:] if word != "…"])


@pytest.mark.parametrize("command", commands("python -m"))
def test_the_module_is_there(command: str) -> None:
    module = shlex.split(command)[2]
    path = ROOT / module.replace(".", "/")
    assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file() or module == "pip"


@pytest.mark.parametrize("command", commands("make"))
def test_the_target_is_there(command: str) -> None:
    target = shlex.split(command, comments=True)[1:2]
    makefile = (ROOT / "Makefile").read_text()
    assert not target or re.search(rf"^{target[0]}:", makefile, re.MULTILINE)


def outputs() -> set[str]:
    found = set()
    for stage in GRAPH.values():
        body = stage.get("do", stage)
        for output in [*body.get("outs", []), *body["metrics"]]:
            (path,) = output
            each = stage.get("foreach", {"": ""})
            found |= {
                path.replace("${key}", key).replace("${item}", str(each[key])) for key in each
            }
    return found


def test_every_path_is_in_the_checkout_or_an_output() -> None:
    made = outputs() | {str(parent) for path in outputs() for parent in Path(path).parents}
    paths = {path for text in TEXTS.values() for path in re.findall(r"`([\w.*/]+/[\w.*]*)`", text)}
    assert len(paths) > 10
    for path in paths:
        there = list(ROOT.glob(path)) or list((ROOT / "presets").glob(path))
        assert there or path.rstrip("/") in made or any(Path(m).match(path) for m in made), path


def rows() -> list[tuple[str, str]]:
    table = README.split("| you change | runs again |")[1].split("\n\n")[0]
    found = re.findall(r"^\| `([\w.*]+)` \| (.*?) \|$", table, re.MULTILINE)
    assert len(found) > 8
    return found


@pytest.mark.parametrize(("parameter", "promise"), rows())
def test_the_table_of_what_runs_again_is_true(parameter: str, promise: str) -> None:
    import networkx
    from dvc.repo import Repo

    with Repo(str(ROOT)) as repo:
        graph = networkx.relabel_nodes(repo.index.graph, lambda stage: stage.name)
        wanted = parameter.removesuffix(".*")
        reads = {
            stage.name
            for stage in repo.index.stages
            for name in getattr(stage.params[0], "params", []) or []
            if name == wanted or name.startswith(f"{wanted}.") or wanted.startswith(f"{name}.")
        }
    expected = reads | {s for name in reads for s in networkx.ancestors(graph, name)}
    if promise.startswith("everything but "):
        promised = set(graph) - {promise.removeprefix("everything but ")}
    elif " and all after it" in promise:
        named = promise.removesuffix(" and all after it").split(", ")
        promised = set(named) | {s for name in named for s in networkx.ancestors(graph, name)}
    else:
        promised = set(promise.split(", "))
    assert promised == expected


def test_the_scores_are_those_of_the_committed_metrics() -> None:
    from medtune.commands.summary import BLOCK, readme_block

    changed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "metrics"], cwd=ROOT)
    if changed.returncode:
        pytest.skip("metrics/ holds another run than the committed one")
    (shown,) = BLOCK.findall(README)
    made, shown = (re.sub(r"commit \w+", "", text) for text in (readme_block(), shown))
    assert shown == made


def test_the_figures_of_the_guard_are_those_of_the_committed_metrics() -> None:
    metrics = json.loads((ROOT / "metrics/guard.json").read_text())

    def rate(name: str) -> str:
        low, high = (f"{100 * metrics[f'{name}.ci_{end}']:.1f}" for end in ("low", "high"))
        return f"{100 * metrics[name]:.1f} % ({low} to {high})"

    def hits(name: str) -> str:
        return f"{round(metrics[name] * metrics[f'{name}.n'])} of {metrics[f'{name}.n']}"

    general, medical = (metrics[f"{name}.n"] for name in ("block_rate", "false_block_rate"))
    assert f"Of {general} general questions" in README
    assert f"it refuses {rate('block_rate')}, of {medical} medical ones" in README
    assert f"medical ones {rate('false_block_rate')}" in README
    assert f"{hits('emergency.found_rate')} phrasings of emergencies" in README
    assert f"{hits('caution.found_rate')} of dose questions" in README
    assert f"{hits('emergency.false_rate')} and {hits('caution.false_rate')}" in README
