"""The container and the jobs of a cluster: what their files name exists, and their scripts run."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ruamel.yaml import YAML

from tests import warm_python
from tests.projects import ENVIRONMENT, ROOT, attempt, commit_all, run

DOCKERFILE = (ROOT / "Dockerfile").read_text()
DEVCONTAINER = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
TASK: dict[str, Any] = YAML(typ="safe").load((ROOT / "deploy/skypilot.yaml").read_text())
PYTHON = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
MAKEFILE = (ROOT / "Makefile").read_text()
SCRIPTS = sorted((ROOT / "deploy").glob("*.s[bh]*"))


def make_targets(text: str) -> list[str]:
    return re.findall(r"(?<=\s)(\.venv/\w+)(?=\s|$)", re.sub(r"#.*", "", text))


def test_all_images_have_the_oldest_python_that_is_supported() -> None:
    version = PYTHON.removeprefix(">=")
    assert re.findall(r"^FROM (\S+)$", DOCKERFILE, re.M) == [f"python:{version}-slim"]
    assert DEVCONTAINER["image"] == f"python:{version}"
    assert TASK["resources"]["image_id"] == f"docker:python:{version}"


def test_the_files_and_targets_that_are_named_exist() -> None:
    copied = re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.M)
    assert copied == ["requirements.txt requirements-app.txt", "."]
    assert all((ROOT / name).exists() for name in " ".join(copied).split())
    made = make_targets(f" {DEVCONTAINER['postCreateCommand']} {TASK['setup']}")
    assert sorted(made) == [".venv/app", ".venv/dev", ".venv/remotes", ".venv/run"]
    assert all(re.search(rf"^{re.escape(name)}:", MAKEFILE, re.M) for name in made)
    for text in (TASK["run"], (ROOT / "deploy/slurm.sbatch").read_text()):
        assert "\ndeploy/experiments.sh " in text


def test_the_ports_are_those_of_the_chat() -> None:
    from inspect import signature

    from app.__main__ import chat

    port = signature(chat).parameters["port"].default
    assert DEVCONTAINER["forwardPorts"] == [port]
    assert re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.M) == [str(port)]


def test_a_task_gets_every_variable_that_it_reads() -> None:
    given = {*TASK["envs"], *TASK["secrets"]}
    read = set(re.findall(r"\$([A-Z_]+)", TASK["setup"] + TASK["run"]))
    assert read == {"EXPERIMENT", "GIT_TOKEN"} and read <= given


def image_environment() -> dict[str, str]:
    (line,) = re.findall(r"^ENV (.+)$", DOCKERFILE, re.M)
    return dict(item.split("=", 1) for item in line.split())


@pytest.mark.slow
@pytest.mark.parametrize("has_name", [True, False])
def test_dvc_works_for_a_user_without_an_entry_because_the_image_sets_a_name(
    has_name: bool, tmp_path: Path
) -> None:
    """As with `docker run -u 12345`; without USER, DVC fails, which is why the image sets it."""
    run(tmp_path, "git", "init", "-q")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    analytics = false\n")
    code = (
        "import pwd\n"
        "def unknown(uid):\n    raise KeyError(f'uid not found: {uid}')\n"
        "pwd.getpwuid = unknown\n"
        "from dvc.repo import Repo\n"
        "Repo('.')\n"
    )
    named = {"USER": image_environment()["USER"]} if has_name else {}
    others = ("LOGNAME", "USER", "LNAME", "USERNAME")
    environment = {name: value for name, value in os.environ.items() if name not in others}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": ""} | named
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode == 0) is has_name, done.stderr
    assert ("uid not found" in done.stderr) is not has_name


def test_the_image_runs_as_a_user_that_is_not_root() -> None:
    (user,) = re.findall(r"^USER (\d+)$", DOCKERFILE, re.M)
    assert int(user) > 0 and f"--uid {user} --gid 0" in DOCKERFILE
    home = image_environment()["HOME"]
    assert f"chmod 1777 {home}" in DOCKERFILE


def left_out(path: str) -> bool:
    """Whether .dockerignore leaves a file out: the last pattern that matches it decides."""
    excluded = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = re.escape(line.removeprefix("!")).replace(r"\*\*/", "(.*/)?")
        pattern = pattern.replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
        if re.fullmatch(f"{pattern}(/.*)?", path):
            excluded = not line.startswith("!")
    return excluded


@pytest.mark.slow
def test_the_image_gets_the_whole_clone_and_nothing_that_was_run_in_it() -> None:
    tracked = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    assert len(tracked) > 300 and [name for name in tracked if left_out(name)] == []
    assert not left_out(".git/HEAD")
    made = ["models/base/model.safetensors", "models/guard/guard.json", "data/raw/a.json"]
    made += [".venv/bin/python", "data/predictions/base.parquet", ".dvc/cache/files/md5/0a/1b"]
    made += ["app/web/node_modules/react/index.js", "medtune/runtime/__pycache__/a.pyc"]
    assert [name for name in [*made, ".dvc/config.local", ".env"] if not left_out(name)] == []


def test_bash_can_read_the_scripts() -> None:
    assert [path.name for path in SCRIPTS] == ["experiments.sh", "slurm.sbatch"]
    for path in SCRIPTS:
        assert path.read_text().startswith("#!/usr/bin/env bash\n")
        run(ROOT, "bash", "-n", str(path))
    assert os.access(ROOT / "deploy/experiments.sh", os.X_OK)


def make_clone(tmp_path: Path) -> Path:
    """Makes a clone of a pipeline of one stage, with this environment and a remote of each kind."""
    run(tmp_path, "git", "init", "-q", "--bare", "origin.git")
    folder = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", "origin.git", "clone")
    for name in (".dvc", "deploy"):
        (folder / name).mkdir()
    for name in ("experiments.sh", "slurm.sbatch"):
        shutil.copy(ROOT / "deploy" / name, folder / "deploy")
    shutil.copy(ROOT / ".dvc/.gitignore", folder / ".dvc")
    (folder / ".dvc/config").write_text(
        "[core]\n    analytics = false\n    remote = storage\n"
        f"['remote \"storage\"']\n    url = {tmp_path}/storage\n"
    )
    (folder / "params.yaml").write_text("lr: 1\n")
    stage = "cmd: grep -v 9 params.yaml >out\n    params: [lr]\n    outs: [out]"
    (folder / "dvc.yaml").write_text(f"stages:\n  train:\n    {stage}\n")
    (folder / ".gitignore").write_text("/.venv\n/out\n")
    (folder / ".venv").mkdir()
    (folder / ".venv/bin").symlink_to(warm_python.folder())
    commit_all(folder, "pipeline")
    run(folder, "git", "push", "-q", "origin", "HEAD")
    return folder


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return make_clone(tmp_path)


def submit(clone: Path, *experiments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the batch script as Slurm does, from a copy elsewhere."""
    script = clone.with_name("slurm_script")
    script.write_bytes((clone / "deploy/slurm.sbatch").read_bytes())
    environment = ENVIRONMENT | {"SLURM_SUBMIT_DIR": str(clone), "TMPDIR": str(clone.parent)}
    return subprocess.run(
        ["bash", str(script), *experiments],
        cwd=clone,
        env=environment | variables,
        capture_output=True,
        text=True,
    )


def push_from_shallow_clone(clone: Path) -> None:
    """SkyPilot clones so; DVC runs an experiment there and then finds none to push."""
    run(clone, "git", "commit", "-qm", "second", "--allow-empty")
    run(clone, "git", "push", "-q", "origin", "HEAD")
    origin = clone.with_name("origin.git")
    run(clone.parent, "git", "clone", "-q", "--depth", "1", origin.as_uri(), "shallow")
    shallow = clone.with_name("shallow")
    (shallow / ".venv").symlink_to(clone / ".venv")
    run(shallow, "deploy/experiments.sh", "lr=2")


class Jobs(NamedTuple):
    """Two clones, and what was started in each."""

    clone: Path
    submitted: Future[subprocess.CompletedProcess[str]]
    other_clone: Path
    pushed: Future[None]


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    """Jobs that run at once, because they mostly wait for DVC's queue."""
    one, other = (make_clone(tmp_path_factory.mktemp(name)) for name in ("one", "other"))
    with ThreadPoolExecutor() as pool:
        submitted = pool.submit(submit, one, "lr=2", "lr=9")
        yield Jobs(one, submitted, other, pool.submit(push_from_shallow_clone, other))


@pytest.mark.slow
def test_a_job_runs_its_experiments_and_pushes_what_they_made(jobs: Jobs) -> None:
    clone, done = jobs.clone, jobs.submitted.result()
    assert done.returncode == 1, "one of the experiments fails"
    assert "at least one failed, the others were pushed" in done.stderr
    (ref,) = run(clone, "git", "ls-remote", "origin", "refs/exps/*").stdout.split()[1::2]
    run(clone, "git", "fetch", "-q", "origin", ref)
    assert run(clone, "git", "show", "FETCH_HEAD:params.yaml").stdout == "lr: 2\n"
    stored = [path.read_text() for path in clone.with_name("storage").glob("files/md5/*/*")]
    assert stored == ["lr: 2\n"]
    assert not list(clone.parent.glob("medtune.*")), "its own clone is gone"


@pytest.mark.slow
def test_experiments_of_a_shallow_clone_are_pushed(jobs: Jobs) -> None:
    jobs.pushed.result()
    clone = jobs.other_clone
    (ref,) = run(clone, "git", "ls-remote", "origin", "refs/exps/*").stdout.split()[1::2]
    run(clone, "git", "fetch", "-q", "origin", ref)
    assert run(clone, "git", "show", "FETCH_HEAD:params.yaml").stdout == "lr: 2\n"


@pytest.mark.slow
def test_a_job_of_an_array_runs_its_own_experiment(clone: Path) -> None:
    script = clone / "deploy/experiments.sh"
    script.write_text('#!/bin/sh\nprintf "<%s>" "$(dvc cache dir)" "$@"\n')
    run(clone, "git", "commit", "-qam", "a script that only says what it was told")
    done = submit(clone, "lr=2", "lr=3 wd=0", SLURM_ARRAY_TASK_ID="2")
    assert done.stdout == f"<{clone}/.dvc/cache><lr=3 wd=0>", done.stderr


@pytest.mark.slow
def test_without_a_dvc_remote_nothing_is_computed(clone: Path) -> None:
    (clone / ".dvc/config").write_text("[core]\n    analytics = false\n")
    done = attempt(clone, "deploy/experiments.sh", "lr=2")
    assert done.returncode == 1
    assert done.stderr.startswith("experiments: there is no DVC remote: add one with dvc remote")
    assert not (clone / ".dvc/tmp/exps").exists()
