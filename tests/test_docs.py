"""What README and docs tell the reader to type, to open and to expect is true."""

import json
import re
import shlex
import shutil
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    {
        *(ROOT / name for name in ("README.md", "presets/README.md", "app/web/README.md")),
        ROOT / "medtune/guard/questions/README.md",
        ROOT / "custom_metrics/README.md",
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("CONTRIBUTING.md"),
    }
)
TEXTS = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in PAGES}
GRAPH: dict[str, Any] = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
PLUGINS = {"--hypothesis-seed"}  # options of pytest's plugins
# Programs that are not ours.
ELSEWHERE = {
    "cd",
    "curl",
    "docker",
    "git",
    "npm",
    "pip",
    "pip-compile",
    "python3",
    "sbatch",
    "source",
    "tensorboard",
}


def in_blocks(text: str) -> Iterator[str]:
    """The lines of the fenced and indented blocks; a fence without `bash` holds no command."""
    for fence in re.findall(r"^```bash\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield from fence.replace("\\\n", " ").splitlines()
    outside = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    known = "|".join(CHECKS)
    yield from re.findall(rf"^ {{4}}((?:{known}) .*)$", outside.replace("\\\n", " "), re.MULTILINE)


def in_sentences(text: str) -> Iterator[str]:
    """Code in sentences that begins with a program of ours."""
    found = re.findall(
        r"`([^`\n]+(?:\n[^`\n]+)?)`", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    )
    yield from (code.replace("\n", " ") for code in found if code.split()[0] in CHECKS)


def commands() -> list[tuple[str, ...]]:
    """The words of each command: no comment, no `VARIABLE=value` before it, one of `a && b`."""
    found = set()
    for text in TEXTS.values():
        for line in [*in_blocks(text), *in_sentences(text)]:
            for part in line.split(" && "):
                words = [word for word in shlex.split(part, comments=True) if word != "…"]
                while words and re.match(r"[A-Z_]+=", words[0]):
                    words.pop(0)
                found.add(tuple(words))
    return sorted(found - {()})


def check_dvc(words: list[str], folder: Path) -> None:
    from dvc.cli import parse_args

    arguments = parse_args(words)
    for name in getattr(arguments, "targets", None) or []:
        assert name in stage_names() or (ROOT / name).exists(), name
    check_overrides(getattr(arguments, "set_param", None) or [], folder)


def check_overrides(overrides: list[str], folder: Path) -> None:
    """Applies `-S` to params.yaml as DVC does, and reads the result as the stages do."""
    from dvc.utils.hydra import apply_overrides, get_hydra_sweeps

    from medtune.config.loading import read_yaml, validate

    path = folder / "params.yaml"
    shipped = read_yaml(ROOT / "params.yaml")
    made = []
    for sweep in get_hydra_sweeps({"params.yaml": overrides}) if overrides else []:
        shutil.copy(ROOT / "params.yaml", path)
        apply_overrides(path, sweep["params.yaml"])
        made.append(read_yaml(path))
        validate(made[-1])
    assert not overrides or any(params != shipped for params in made), "nothing is changed"


@cache
def command_line() -> Any:
    """`medtune` with the commands of its entry points, which are there once it is installed."""
    import typer

    cli = import_module("medtune.__main__").command_line()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for entry_point in project["entry-points"]["medtune.commands"].values():
        module, _, name = entry_point.partition(":")
        getattr(import_module(module), name)(cli)
    return typer.main.get_command(cli)


def check_medtune(words: list[str], folder: Path) -> None:
    """Parses subcommand, options and values as the command would, without running it."""
    import typer

    if not words:  # prints its help
        return
    command = command_line()
    context = command.make_context("medtune", list(words))
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(
            context, [*getattr(context, "_protected_args", []), *context.args]
        )
        try:
            context = command.make_context(name, rest, parent=context)
        except typer.Exit:  # of --help
            return
    if words[0] == "preset" and (named := context.params.get("name")):
        assert named == "NAME" or (ROOT / f"presets/{named}.yaml").is_file(), named


def check_python(words: list[str], folder: Path) -> None:
    assert words[0] == "-m", words
    if words[1] == "medtune":
        check_medtune(words[2:], folder)
        return
    assert not words[1].startswith("medtune."), f"say `medtune …` instead of {words[1]}"
    if words[1] == "pytest":
        files = list(ROOT.glob("tests/**/conftest.py"))
        for name in (word for word in words[2:] if word.startswith("tests")):
            assert (ROOT / name.split("::")[0]).exists(), name
    else:
        path = ROOT / words[1].replace(".", "/")
        files = [path.with_suffix(".py"), *path.glob("*.py")]
    sources = "".join(file.read_text() for file in files if file.is_file())
    assert sources or words[1] in ("pip", "stages.NAME"), words[1]
    for option in (word.split("=")[0] for word in words[2:] if word.startswith("--")):
        assert option in sources or option in PLUGINS, option


def check_make(words: list[str], folder: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in (word for word in words if "=" not in word):
        assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), target


def check_accelerate(words: list[str], folder: Path) -> None:
    assert words[0] == "launch"
    if "--config_file" in words:
        assert (ROOT / words[words.index("--config_file") + 1]).is_file()
    assert words[words.index("-m") + 1] in {f"stages.{name}" for name in GRAPH}


CHECKS: dict[str, Callable[[list[str], Path], None]] = {
    "dvc": check_dvc,
    "medtune": check_medtune,
    "python": check_python,
    "make": check_make,
    "accelerate": check_accelerate,
}


def stage_names() -> set[str]:
    items = {name: stage.get("foreach", {}) for name, stage in GRAPH.items()}
    return {*items, *(f"{name}@{key}" for name, keys in items.items() for key in keys)}


@pytest.mark.slow
def test_commands_are_found_on_many_pages() -> None:
    assert len(TEXTS) >= 12
    counts = {name: sum(words[0] == name for words in commands()) for name in CHECKS}
    assert all(counts.values()) and counts["dvc"] > 20 and counts["medtune"] > 10, counts


@pytest.mark.slow
@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_command_can_be_typed(words: tuple[str, ...], tmp_path: Path) -> None:
    program, *rest = words
    if program in CHECKS:
        CHECKS[program](rest, tmp_path)
    else:
        assert Path(program).name in ELSEWHERE, f"no check knows {program}"


def outputs() -> set[str]:
    found = set()
    for stage in GRAPH.values():
        body = stage.get("do", stage)
        for output in [*body.get("outs", []), *body.get("metrics", [])]:
            path = output if isinstance(output, str) else next(iter(output))
            each = stage.get("foreach", {"": ""})
            found |= {
                path.replace("${key}", key).replace("${item}", str(each[key])) for key in each
            }
    return found


# What commands and people make, not stages.
MADE_ELSEWHERE = {
    "app/web/dist",
    "checkpoints",
    "data/feedback/disliked.jsonl",
    "data/feedback/liked.jsonl",
    "data/judge",
    "data/votes/votes.jsonl",
    "exports",
    "exports/merged",
    "exports/sbom.cdx.json",
    "metrics/seeds.json",
    "reports/costs.js",
    "reports/curve.csv",
    "reports/curve.png",
    "reports/judge.js",
    "reports/judge.json",
    "reports/tokens.html",
    "reports/votes.js",
    "reports/votes.json",
    "runs",
}


@pytest.mark.slow
def test_every_path_is_in_the_checkout_or_is_made() -> None:
    made = outputs() | {str(parent) for path in outputs() for parent in Path(path).parents}
    made |= MADE_ELSEWHERE
    found = 0
    for page, text in TEXTS.items():
        for path in re.findall(r"`([\w.*]+/[\w.*/]*)`", text):
            there = any(list(folder.glob(path)) for folder in (ROOT, (ROOT / page).parent))
            is_made = path.rstrip("/") in made or any(Path(m).match(path) for m in made)
            assert there or is_made, f"{path} in {page}"
            found += 1
    assert found > 30


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_to_files_and_headings(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[page]):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("page", [name for name in TEXTS if name.startswith("docs/")])
def test_long_page_lists_its_headings(page: str) -> None:
    sections = re.findall(r"^## (.+)$", TEXTS[page], re.MULTILINE)
    listed = re.findall(r"^- \[(.+)\]\(#", TEXTS[page], re.MULTILINE)
    assert listed == sections or len(TEXTS[page].splitlines()) < 60


def test_readme_links_every_page_of_docs() -> None:
    for page in ROOT.glob("docs/*.md"):
        assert f"(docs/{page.name}" in TEXTS["README.md"], page


def rows() -> list[tuple[str, str]]:
    table = (
        TEXTS["docs/reproducibility.md"].split("| you change | runs again |")[1].split("\n\n")[0]
    )
    found = re.findall(r"^\| `(\w[\w.*/]*[\w*])` \| (.*?) \|$", table, re.MULTILINE)
    assert len(found) > 10
    return found


@cache
def stages() -> tuple[Any, list[Any]]:
    """The graph of dvc.yaml by names of stages, and the stages."""
    import networkx
    from dvc.repo import Repo

    with Repo(str(ROOT)) as repo:
        index = repo.index
        return networkx.relabel_nodes(index.graph, lambda stage: stage.name), list(index.stages)


@pytest.mark.slow
@pytest.mark.parametrize(("changed", "promise"), rows())
def test_the_table_of_what_runs_again_is_true(changed: str, promise: str) -> None:
    from networkx import ancestors

    graph, found = stages()
    wanted = changed.removesuffix(".*")
    reads = {
        stage.name
        for stage in found
        for name in getattr(stage.params[0], "params", []) or []
        if name == wanted or name.startswith(f"{wanted}.") or wanted.startswith(f"{name}.")
    }
    reads |= {
        stage.name
        for stage in found
        if changed in {dependency.def_path for dependency in stage.deps}
    }
    expected = reads | {s for name in reads for s in ancestors(graph, name)}
    named = promise.removesuffix(" and all after it").split(", ")
    promised = {"everything": set(graph), "nothing": set()}.get(promise, set(named))
    if promise.endswith(" and all after it"):
        promised |= {s for name in named for s in ancestors(graph, name)}
    assert promised == expected


def test_every_score_is_explained() -> None:
    from medtune.scoring.scores import SCORES

    for score in SCORES:
        assert f"| {score.title} | `{score.name}` |" in TEXTS["docs/evaluation.md"]


def test_every_parameter_of_training_has_a_purpose() -> None:
    from medtune.config.schema import Train

    table = TEXTS["docs/training.md"].split("| purpose | parameters |")[1].split("\n\n")[0]
    assert sorted(re.findall(r"`(\w+)`", table)) == sorted(Train.model_fields)


def test_every_launch_configuration_is_listed() -> None:
    table = TEXTS["docs/gpu-and-clusters.md"].split("| name | what it starts |")[1].split("\n\n")[0]
    names = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(names) == sorted(path.stem for path in ROOT.glob("launch/*.yaml"))


def test_the_figures_of_the_guard_are_those_of_the_committed_metrics() -> None:
    metrics = json.loads((ROOT / "metrics/guard.json").read_text())
    text = TEXTS["docs/guard.md"]

    def rate(name: str) -> str:
        low, high = (f"{100 * metrics[f'{name}.ci_{end}']:.1f}" for end in ("low", "high"))
        return f"{100 * metrics[name]:.1f} % ({low} to {high})"

    def hits(name: str) -> str:
        return f"{round(metrics[name] * metrics[f'{name}.n'])} of {metrics[f'{name}.n']}"

    general, medical = (metrics[f"{name}.n"] for name in ("block_rate", "false_block_rate"))
    assert f"| general, n = {general} | {rate('block_rate')} |" in text
    assert re.search(rf"^\| medical, n = {medical}: .* \| (.+) \|$", text, re.MULTILINE)
    assert f"| {rate('false_block_rate')} |" in text
    found, alike = (
        [hits(f"{kind}.{name}") for kind in ("emergency", "caution")]
        for name in ("found_rate", "false_rate")
    )
    assert f"| found {found[0]} | found {found[1]} |" in text
    assert f"| {alike[0]} get it | {alike[1]} get it |" in text
    assert f"{100 * metrics['emergency.medical_rate']:.1f} % get the notice" in text


def test_the_figures_of_multiple_choice_are_those_of_the_committed_metrics() -> None:
    metrics = json.loads((ROOT / "metrics/compare_scores.json").read_text())
    for name in ("medical", "general"):
        values = {
            field: metrics[f"choices.{name}.accuracy.{field}"]
            for field in ("base", "finetuned", "ci_low", "ci_high")
        }
        low, high = (f"{values[f'ci_{end}']:+.3f}".replace("-", "−") for end in ("low", "high"))
        row = f"| {name} | {values['base']:.3f} | {values['finetuned']:.3f} | {low} to {high} |"
        assert row in TEXTS["docs/evaluation.md"]
