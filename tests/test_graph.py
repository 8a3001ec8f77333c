"""The whole graph on the smoke preset: what it writes, and what runs again after a change."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests import warm_python
from tests.projects import ROOT, attempt, run

pytestmark = pytest.mark.slow

NAMES = (
    "download@model",
    "download@dataset",
    "download@choices_medical",
    "download@choices_general",
    "clean",
    "split",
    "tokenize",
    "train",
    "baselines",
    "evaluate@base",
    "evaluate@few_shot",
    "evaluate@finetuned",
    "evaluate@finetuned_few_shot",
    "compare",
    "guard",
)
DROPPED = "Created|.*/|.*(base|best|gain)|general|medical"  # as docs/evaluation.md says
AFTER_TRAIN = {"evaluate@finetuned", "evaluate@finetuned_few_shot", "compare"}
EVALUATE = {"evaluate@base", "evaluate@few_shot", *AFTER_TRAIN}
AFTER_TOKENS = {"train", *EVALUATE}
AFTER_RECORDS = {"split", "tokenize", "baselines", "guard", *AFTER_TOKENS}


@pytest.fixture(scope="module")
def project(smoke: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the smoke run, which the tests change and put back."""
    warm_python.stop()  # so that stages run here with another hash seed than in the smoke run
    return shutil.copytree(smoke, tmp_path_factory.mktemp("graph") / "project", symlinks=True)


def would_run(folder: Path) -> set[str]:
    """The stages that `dvc status` calls changed, and all that come after them."""
    import networkx
    from dvc.repo import Repo

    with pytest.MonkeyPatch.context() as patch, Repo(str(folder)) as repo:
        patch.chdir(folder)  # the names of stages are relative to it
        graph = networkx.relabel_nodes(repo.index.graph, lambda stage: stage.name)
        changed = set(repo.status())
    return changed.union(*(networkx.ancestors(graph, name) for name in changed))


def test_nothing_is_left_to_do(project: Path) -> None:
    assert would_run(project) == set()


def test_all_that_is_written_is_declared(project: Path) -> None:
    stages = YAML(typ="safe").load((project / "dvc.lock").read_text())["stages"].values()
    outputs = {out["path"] for stage in stages for out in stage["outs"]}
    written = {
        str(path.relative_to(project))
        for folder in ("data", "models", "metrics", "plots", "reports")
        for path in (project / folder).rglob("*")
        if path.is_file() and path.name != ".gitignore" and not path.name.endswith("_cost.json")
    }
    folders = {path for path in outputs if (project / path).is_dir()}
    undeclared = {path for path in written - outputs if not path.startswith(tuple(folders))}
    assert written and undeclared == {"metrics/seeds.json"}  # of `medtune replicate`, committed


def test_no_output_is_a_link_into_the_cache(smoke: Path) -> None:
    """Through a link, an edit in place as root would change what DVC restores."""
    files = [file for file in smoke.glob("[dm]*/**/*") if file.is_file()]
    assert {file.suffix for file in files} >= {".safetensors", ".parquet", ".arrow", ".json"}
    assert [file for file in files if file.is_symlink() or file.stat().st_nlink > 1] == []


def test_the_script_of_the_docs_loads_the_adapter(project: Path, tmp_path: Path) -> None:
    (script,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/chat.md").read_text(), re.DOTALL)
    assert len(re.findall(r"^\S", script, re.MULTILINE)) <= 10
    (tmp_path / "script.py").write_text(script)
    run(project, "env", f"PYTHONPATH={tmp_path}", "python", "-m", "script")


def test_the_adapter_answers_in_the_terminal(project: Path) -> None:
    ask = ("python", "-m", "medtune", "ask", "What is gout?")
    done = run(project, *ask, "--compare")
    assert [line.split(":")[0] for line in done.stdout.splitlines()[:1]] == ["base"]
    assert "finetuned: " in done.stdout
    assert done.stderr.endswith("never medical advice.\n")
    wrong = attempt(project, *ask, "--temperature", "-1")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("ask: evaluate.temperature must be greater than or equal to 0")


@pytest.fixture(scope="module")
def compared(project: Path) -> Path:
    """The project with an experiment, `faster`, beside the committed run."""
    for command in (
        ("git", "add", "-A"),
        ("git", "commit", "-qm", "run"),
        ("dvc", "exp", "run", "-q", "--temp", "--name", "faster", "-S", "train.lr=3e-2"),
    ):
        run(project, *command)
    return project


def test_dvc_shows_what_one_changed_parameter_did(compared: Path) -> None:
    project = compared
    values = json.loads(run(project, "dvc", "metrics", "show", "--json").stdout)[""]["data"]
    assert 5 < sum(len(file["data"]) for file in values.values()) <= 25
    header, *changes = run(project, "dvc", "metrics", "diff", "HEAD", "faster").stdout.splitlines()
    assert header.split() == ["Path", "Metric", "HEAD", "faster", "Change"]
    assert {"loss", "perplexity"} <= {line.split()[1] for line in changes}
    assert len(changes) < 30
    show = ("dvc", "exp", "show", "--only-changed", "--no-pager", "--drop")
    shown = run(project, "env", "COLUMNS=120", *show, DROPPED)
    columns = shown.stdout.splitlines()[1].split()
    assert {"loss", "perplexity", "train.lr"} <= set(columns), shown.stdout
    scores = {"content_f1", "facts", "loss", "meaning", "perplexity", "rougeL", "stopped"}
    assert set(columns) <= {"Experiment", "train.lr", *scores}


def test_a_run_seen_before_is_restored_without_training_or_answering(compared: Path) -> None:
    params, before = compared / "params.yaml", state(compared)
    text = params.read_text()
    params.write_text(re.sub(r"(?m)^  lr: \S+", "  lr: 0.03", text))
    try:
        assert stages_run(run(compared, "dvc", "repro")) == ["compare"]
        assert " lr: 0.03\n" in (compared / "dvc.lock").read_text()
    finally:
        params.write_text(text)
    assert stages_run(run(compared, "dvc", "repro")) == ["compare"]
    assert state(compared) == before


def stages_run(done: subprocess.CompletedProcess[str]) -> list[str]:
    return re.findall(r"(?m)^> python -m stages\.(.+)$", done.stdout)


def state(folder: Path) -> dict[str, bytes]:
    """The bytes of all outputs but the costs of compare, which runs again."""
    kept = ("models/adapter", "metrics", "data/split", "data/raw", "plots", "reports")
    files = [file for name in kept for file in (folder / name).rglob("*") if file.is_file()]
    return {str(file): file.read_bytes() for file in files if file.name != "compare_cost.json"}


def setting(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


@pytest.mark.parametrize(
    ("path", "change", "expected"),
    [
        ("params.yaml", setting("  lr: ", "  lr: 3"), {"train", *AFTER_TRAIN}),
        (
            "params.yaml",
            setting("max_new_tokens: ", "max_new_tokens: 1"),
            EVALUATE,
        ),
        ("params.yaml", setting("resamples: ", "resamples: 1"), {"compare"}),
        ("params.yaml", setting("preset: ", "preset: my"), {"compare"}),
        (
            "params.yaml",
            setting("near_duplicate_similarity: 0.67", "near_duplicate_similarity: 0.9"),
            AFTER_RECORDS,
        ),
        (
            "params.yaml",
            setting("max_length_tokens: ", "max_length_tokens: 1"),
            {"tokenize", *AFTER_TOKENS},
        ),
        (
            "params.yaml",
            setting("min_answer_words: 2", "min_answer_words: 1"),
            {"clean", *AFTER_RECORDS},
        ),
        (
            "params.yaml",
            setting("dataset: ", "dataset: file://other/"),
            {"download@dataset", "clean", *AFTER_RECORDS},
        ),
        (
            "params.yaml",
            setting("hidden_size=64", "hidden_size=128"),
            {"download@model", "tokenize", *AFTER_TOKENS},
        ),
        ("params.yaml", lambda text: "# a comment\n" + text, set()),
        ("README.md", lambda text: text + "more\n", set()),
        ("medtune/commands/preset.py", lambda text: text + "# more\n", set()),
        ("medtune/commands/ask.py", lambda text: text + "# more\n", set()),
        ("params.yaml", setting("scope: warn", "scope: block"), set()),
        ("params.yaml", setting("regularization: ", "regularization: 1"), {"guard"}),
        ("medtune/guard/patterns/emergency.toml", lambda text: text + "# more\n", {"guard"}),
        ("medtune/splits/leaks.py", lambda text: text + "# more\n", AFTER_RECORDS),
        ("medtune/training/loop.py", lambda text: text + "# more\n", {"train", *AFTER_TRAIN}),
        (
            "medtune/generation/generate.py",
            lambda text: text + "# more\n",
            EVALUATE,
        ),
        (
            "medtune/baselines/fill_in.py",
            lambda text: text + "# more\n",
            {"baselines", *EVALUATE},
        ),
        ("medtune/report/templates/page.html.jinja", lambda text: text + "\n", {"compare"}),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_only_what_a_change_affects_runs_again(
    project: Path, path: str, change: Callable[[str], str], expected: set[str]
) -> None:
    before = (project / path).read_text()
    (project / path).write_text(change(before))
    try:
        assert would_run(project) == expected
    finally:
        (project / path).write_text(before)


@pytest.mark.parametrize(
    ("change", "line", "restoring"),
    [
        (
            setting("  lr: ", "  lr: -"),
            "train.lr must be greater than 0, got -0.01",
            ("dvc", "checkout"),
        ),
        (
            setting("  lr: ", "  learning_rate: "),
            "train: train.lr is missing",
            ("dvc", "repro"),
        ),
        (setting("resamples: 200", "resamples: many"), "compare.resamples must be", ()),
    ],
)
def test_bad_input_is_one_line_and_one_command_restores_everything(
    project: Path, change: Callable[[str], str], line: str, restoring: tuple[str, ...]
) -> None:
    before, lock = state(project), (project / "dvc.lock").read_bytes()
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(change(text))
    try:
        failed = attempt(project, "dvc", "repro")
    finally:
        (project / "params.yaml").write_text(text)
    assert failed.returncode != 0
    assert "Traceback" not in failed.stderr
    assert line in failed.stderr
    assert state(project).items() <= before.items()
    assert ("dvc checkout brings them back" in failed.stderr) == bool(restoring)
    if restoring:
        assert stages_run(run(project, *restoring)) == []
    assert state(project) == before and (project / "dvc.lock").read_bytes() == lock


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_writes_the_same_bytes_again_from_its_deps_alone(
    project: Path, name: str, tmp_path: Path
) -> None:
    from dvc.repo import Repo

    with Repo(str(project)) as repo:
        (stage,) = [stage for stage in repo.index.stages if stage.name == name]
        deps = {dep.def_path for dep in stage.deps} | {"params.yaml", "dvc.yaml"}  # declares them
        outs = {out.def_path for out in stage.outs}
    sources = {"download@dataset": "cards.csv", "download@choices_medical": "choices.jsonl"}
    if name in sources:
        deps.add(f"presets/smoke_{sources[name]}")  # the file:// source itself
    for path in deps:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (project / path).is_dir() else shutil.copy
        copy(project / path, tmp_path / path)
    run(tmp_path, *stage.cmd.split())
    for path in outs:
        assert (tmp_path / path).exists()
        if not path.endswith("_cost.json"):
            assert contents(tmp_path / path) == contents(project / path), path


def contents(path: Path) -> dict[str, bytes]:
    """The bytes of a file or of each file in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {str(file.relative_to(path)): file.read_bytes() for file in files}
