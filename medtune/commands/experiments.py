"""Reads the runs that DVC knows (workspace, last commits, their experiments), and queues others."""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from medtune.artifacts.lock_file import recorded_files
from medtune.commands.missing_packages import not_installed
from medtune.runtime.dvc_cache import object_path
from medtune.runtime.errors import InputError

PARAMS, LOCK = "params.yaml", "dvc.lock"
SCORES, SYSTEMS = "metrics/compare_scores.json", "metrics/compare_systems.json"
COST = "metrics/train_cost.json"
ANSWERING = ("train", "evaluate@finetuned")  # the stages behind the fine-tuned answers
WORKSPACE = "workspace"  # DVC's name for it


@dataclass(frozen=True)
class Experiment:
    """Parameters by dotted key, flat scores of the comparison, cost of the training.

    `commit` is empty for the workspace. `scores` compare with the base model, `systems` with every
    system; a run of an earlier version has none. `inputs` holds the hash of each dependency of
    training and answering that is not made by the training: code, cards and base model.
    """

    name: str
    commit: str
    params: dict[str, Any]
    scores: dict[str, Any]
    cost: dict[str, Any]
    systems: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)


def load_experiments(commits: int) -> tuple[list[Experiment], dict[str, list[str]]]:
    """Returns the runs with scores, and the names of the others by the reason for having none.

    `commits` counts back from HEAD; -1 takes all.
    """
    runs: list[Experiment] = []
    others: dict[str, list[str]] = {}
    for state, name, reason in _states(_exp_show(commits)):
        reason = reason or ("unreadable" if state["data"] is None else "")
        if not reason:
            run, stages = _run(state, name)
            reason = _problem(run, stages)
        if reason:
            others.setdefault(reason, []).append(name)
        else:
            runs.append(run)
    return runs, others


def _exp_show(commits: int) -> list[dict[str, Any]]:
    if not Path("dvc.yaml").exists() or not Path(".dvc").is_dir():
        raise InputError(
            "dvc.yaml or .dvc is missing in this folder: run the command in the root of the project"
        )
    if find_spec("dvc") is None:
        raise InputError(not_installed("dvc"))
    if not git("rev-parse", "HEAD"):
        raise InputError(
            "this folder has no Git commit to start experiments from: install git if it is "
            "missing, then run git init and git commit"
        )
    command = [sys.executable, "-m", "dvc", "exp", "show", "--json", "--num", str(commits)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["(no message)"]
        problem = next((line for line in lines if line.startswith("ERROR: ")), lines[-1])
        raise InputError(f"dvc exp show failed: {problem.removeprefix('ERROR: ')}")
    return json.loads(done.stdout)


def _states(shown: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Any, str, str]]:
    """Yields (state, name, reason) of each run; reason is queued, running, failed or empty."""
    for baseline in shown:
        yield baseline, baseline["name"] or _short(baseline["rev"]), ""
        for experiment in baseline["experiments"] or []:
            tip = experiment["revs"][0]
            state = (experiment["executor"] or {}).get("state", "success")
            name = experiment["name"] or tip["name"] or _short(tip["rev"])
            yield tip, name, "" if state == "success" else state


def _run(state: Mapping[str, Any], name: str) -> tuple[Experiment, dict[str, Any]]:
    """Returns a run, and the stages of its dvc.lock."""
    commit = "" if state["rev"] == WORKSPACE else _short(state["rev"])
    stages = read_lock(commit)
    run = Experiment(
        name=name,
        commit=commit,
        params=flat(state["data"]["params"].get(PARAMS, {}).get("data") or {}),
        scores=json.loads(text_of(commit, SCORES) or "{}"),
        cost=json.loads(text_of(commit, COST) or "{}"),
        systems=json.loads(text_of(commit, SYSTEMS) or "{}"),
        inputs=inputs_of(stages),
    )
    return run, stages


def read_lock(commit: str) -> dict[str, Any]:
    """Returns the stages of dvc.lock by name, of a commit or, if it is empty, of the workspace."""
    text = git("show", f"{commit}:./{LOCK}") if commit else text_of("", LOCK)
    return (YAML(typ="safe").load(text) or {}).get("stages", {})


def inputs_of(stages: Mapping[str, Any]) -> dict[str, str]:
    """Returns the hash of each dependency of the fine-tuned answers that no training makes."""
    used = [stages[name] for name in ANSWERING if name in stages]
    made = {output["path"] for stage in used for output in stage.get("outs", [])}
    deps = [dep for stage in used for dep in stage.get("deps", []) if dep["path"] not in made]
    return {dep["path"]: dep["md5"] for dep in deps}


def _problem(run: Experiment, stages: Mapping[str, Any]) -> str:
    """Returns why the scores do not belong to the parameters, or nothing if they do.

    The workspace may have those of an earlier run.
    """
    if not run.scores or "compare" not in stages:
        return "without scores"
    scored = flat(stages["compare"]["params"][PARAMS])
    same = all(key in run.params and run.params[key] == scored[key] for key in scored)
    return "" if same else "scored with other parameters"


def text_of(commit: str, path: str) -> str:
    """Returns a file of a commit, or of the workspace if there is none; empty if missing.

    A commit has it in Git, or records in its dvc.lock which file of DVC's cache it is.
    """
    if commit:
        return git("show", f"{commit}:./{path}") or _cached_text(commit, path)
    return Path(path).read_text(encoding="utf-8") if Path(path).exists() else ""


def _cached_text(commit: str, path: str) -> str:
    md5 = dict(recorded_files(git("show", f"{commit}:./{LOCK}"))).get(path)
    if md5 is None or not object_path(md5).is_file():
        return ""
    return object_path(md5).read_text(encoding="utf-8")


def revision_of(name: str | None) -> str:
    """Returns the commit of a DVC experiment, a branch or a commit; empty for the workspace."""
    if name is None:
        return ""
    made = git("for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{name}").splitlines()
    other = git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").splitlines()
    found = sorted({*made, *other})
    if not found:
        raise InputError(f"no run is named {name}: `dvc exp list` names the experiments")
    if len(found) > 1:
        commits = " and ".join(map(_short, found))
        raise InputError(f"{name} names several runs, {commits}: name the commit that you mean")
    return found[0]


def queue_experiments(commands: Sequence[Sequence[str]]) -> None:
    """Runs `dvc` with each of the arguments; raises InputError at the first that DVC refuses."""
    for count, command in enumerate(commands):
        if code := subprocess.run([sys.executable, "-m", "dvc", *command], check=False).returncode:
            raise InputError(
                f"dvc {shlex.join(command)} ended with exit code {code} after {count} of "
                f"{len(commands)} were queued: fix what it reports above (`dvc queue remove --all` "
                "empties the queue, `dvc exp remove NAME` removes an earlier experiment)"
            )
    queued = "1 experiment" if len(commands) == 1 else f"{len(commands)} experiments"
    print(f"{queued} queued: start with `dvc queue start`")


def git(*arguments: str) -> str:
    """Returns what git prints, or nothing if it fails, as without a repository or without git."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.rstrip("\n") if done.returncode == 0 else ""


def _short(revision: str) -> str:
    return revision if revision == WORKSPACE else revision[:7]


def flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Joins the keys of nested mappings with dots; an empty mapping is a value.

    >>> flat({"train": {"lr": 1, "kwargs": {}}})
    {'train.lr': 1, 'train.kwargs': {}}
    """
    result: dict[str, Any] = {}
    for key, value in content.items():
        nested = isinstance(value, Mapping) and value
        result |= flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return result
