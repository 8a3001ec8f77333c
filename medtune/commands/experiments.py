"""Reads the runs that DVC knows: the workspace, the last commits and their experiments."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from medtune.runtime.errors import InputError

PARAMS, LOCK = "params.yaml", "dvc.lock"
SCORES, SYSTEMS = "metrics/compare_scores.json", "metrics/compare_systems.json"
COST = "metrics/train_cost.json"
WORKSPACE = "workspace"  # DVC's name for it


@dataclass(frozen=True)
class Experiment:
    """Parameters by dotted key, flat scores of the comparison, cost of the training.

    `commit` is empty for the workspace. `scores` compare with the base model, `systems` with every
    system; a run of an earlier version has none.
    """

    name: str
    commit: str
    params: dict[str, Any]
    scores: dict[str, Any]
    cost: dict[str, Any]
    systems: dict[str, Any] = field(default_factory=dict)


def load_experiments(commits: int) -> tuple[list[Experiment], dict[str, list[str]]]:
    """Returns the runs with scores, and the names of the others by the reason for having none.

    `commits` counts back from HEAD; -1 takes all.
    """
    runs: list[Experiment] = []
    others: dict[str, list[str]] = {}
    for state, name, reason in _states(_exp_show(commits)):
        reason = reason or ("unreadable" if state["data"] is None else "")
        if not reason:
            run = _run(state, name)
            reason = _problem(run)
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
        raise InputError("DVC is not installed: run `make .venv/run`")
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


def _run(state: Mapping[str, Any], name: str) -> Experiment:
    commit = "" if state["rev"] == WORKSPACE else _short(state["rev"])
    return Experiment(
        name=name,
        commit=commit,
        params=flat(state["data"]["params"].get(PARAMS, {}).get("data") or {}),
        scores=json.loads(_text(commit, SCORES) or "{}"),
        cost=json.loads(_text(commit, COST) or "{}"),
        systems=json.loads(_text(commit, SYSTEMS) or "{}"),
    )


def _problem(run: Experiment) -> str:
    """Returns why the scores do not belong to the parameters, or nothing if they do.

    Git tracks the scores: a commit or the workspace may have those of an earlier run.
    """
    lock = YAML(typ="safe").load(_text(run.commit, LOCK)) or {}
    stages = lock.get("stages", {})
    if not run.scores or "compare" not in stages:
        return "without scores"
    scored = flat(stages["compare"]["params"][PARAMS])
    same = all(key in run.params and run.params[key] == scored[key] for key in scored)
    return "" if same else "scored with other parameters"


def _text(commit: str, path: str) -> str:
    """Returns a file of a commit, or of the workspace if there is none; empty if missing."""
    if commit:
        return git("show", f"{commit}:./{path}")
    return Path(path).read_text(encoding="utf-8") if Path(path).exists() else ""


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
