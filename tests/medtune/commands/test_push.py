"""The command over a hub on loopback, with the files of a made-up run."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

from medtune.commands import summary
from medtune.report.facts import Facts
from tests.medtune.commands.conftest import (
    ADAPTER,
    PUSH,
    REPO,
    ROOT,
    Output,
    Run,
    front_matter,
    md5,
    record,
    sent,
    write_gguf,
    write_merged,
)
from tests.projects import commit_all, run
from tests.upload_server import READ_ONLY, UploadServer

pytestmark = pytest.mark.slow


def test_without_yes_it_lists_the_files_and_sends_nothing(
    project: Path, hub: UploadServer, medtune: Run, capsys: Output
) -> None:
    assert medtune(*PUSH) == 0
    first, *files, total, last = capsys.readouterr().out.splitlines()
    assert first == f"models/adapter (adapter) → private {REPO} on {hub.url}"
    assert [line.split()[0] for line in files] == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert files[2].endswith("3.0 kB") and total.startswith("3 files, ")
    assert last == "Nothing was sent: add --yes to upload these files."
    assert hub.received == []


def test_with_yes_all_files_arrive_in_a_private_repository(
    project: Path, hub: UploadServer, medtune: Run, capsys: Output
) -> None:
    assert medtune(*PUSH, "--yes") == 0
    repository = hub.repositories[REPO]
    assert repository.private and repository.kind == "model"
    assert sorted(repository.files) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    weights = (ADAPTER / "adapter_model.safetensors").read_bytes()
    assert repository.files["adapter_model.safetensors"] == weights
    (commit,) = repository.commits
    assert capsys.readouterr().out.splitlines()[-1] == f"{hub.url}/{REPO}/commit/{commit}"


def test_the_card_gets_what_it_lacks_and_keeps_what_it_has(
    project: Path, hub: UploadServer, medtune: Run
) -> None:
    before = front_matter((ADAPTER / "README.md").read_bytes())
    assert medtune(*PUSH, "--yes") == 0
    card = hub.repositories[REPO].files["README.md"]
    after = front_matter(card)
    assert before.items() <= after.items() and after["model-index"] == before["model-index"]
    assert after["base_model_relation"] == "adapter"
    assert after["medtune"] | {"dataset": []} == {
        "commit": "abc1234",
        "preset": "default",
        "seed": 42,
        "dataset": [],
    }
    text = card.decode()
    assert 'PeftModel.from_pretrained(base, "someone/adapter")' in text
    assert 'from_pretrained("HuggingFaceTB/SmolLM2-135M-Instruct")' in text
    assert "in the project's folder" not in text and '"models/' not in text
    assert "medtune, commit abc1234, preset default, seed 42." in text


def test_the_pushed_adapter_names_its_base_model_on_the_hub(
    project: Path, hub: UploadServer, medtune: Run
) -> None:
    record(model="hub://org/base@0f0f", dataset="hub://org/cards@main")
    assert medtune(*PUSH, "--yes") == 0
    files = hub.repositories[REPO].files
    assert json.loads(files["adapter_config.json"]) == {
        "base_model_name_or_path": "org/base",
        "revision": "0f0f",
        "r": 16,
    }
    assert front_matter(files["README.md"])["datasets"] == ["org/cards"]


def test_an_adapter_whose_base_is_on_no_hub_keeps_the_path_of_the_project(
    project: Path, hub: UploadServer, medtune: Run
) -> None:
    record(model="file:///home/me/secret/model")
    assert medtune(*PUSH, "--yes") == 0
    files = hub.repositories[REPO].files
    assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] == "models/base"
    assert b"in the project's folder" in files["README.md"]
    assert b"secret" not in files["README.md"]


def test_a_public_repository_gets_files_only_by_public(
    project: Path, hub: UploadServer, medtune: Run, capsys: Output
) -> None:
    assert medtune(*PUSH, "--public", "--yes") == 0
    assert not hub.repositories[REPO].private
    (ADAPTER / "LICENSE").touch()
    assert medtune(*PUSH, "--yes") == 1
    assert f"{REPO} is public on {hub.url}: add --public" in capsys.readouterr().err
    assert "LICENSE" not in hub.repositories[REPO].files


@pytest.mark.parametrize(
    ("token", "line"),
    [
        ("", "no token for {url}: log in with `hf auth login`, or set HF_TOKEN"),
        ("wrong", "{repo} was not changed, because the hub does not know the token (401): log in"),
        (READ_ONLY, "{repo} was not changed, because the token may not write there (403): make"),
    ],
)
def test_a_token_that_does_not_do_is_one_line(
    token: str,
    line: str,
    project: Path,
    hub: UploadServer,
    medtune: Run,
    capsys: Output,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(project / "none"))
    assert medtune(*PUSH, "--yes") == 1
    problem = capsys.readouterr().err
    assert problem.startswith("push: " + line.format(url=hub.url, repo=REPO))
    assert problem.count("\n") == 1 and not hub.repositories


def test_an_interrupted_upload_completes_when_it_runs_again(
    project: Path,
    hub: UploadServer,
    medtune: Run,
    capsys: Output,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    hub.breaks = 1000
    assert medtune(*PUSH, "--yes") == 1
    assert f"push: {REPO} got no complete upload (Server disconnected" in capsys.readouterr().err
    assert hub.repositories[REPO].files == {}
    hub.breaks = 0
    assert medtune(*PUSH, "--yes") == 0
    assert len(hub.repositories[REPO].files) == 3


def test_large_files_that_have_arrived_are_not_sent_again(
    project: Path, hub: UploadServer, medtune: Run
) -> None:
    folder = Path("gguf")
    folder.mkdir()
    for name, key in (("first.gguf", "first"), ("more.gguf", "more")):
        write_gguf(folder / name, key=key)
    first, more = ((folder / name).read_bytes() for name in ("first.gguf", "more.gguf"))
    hub.stored[hashlib.sha256(first).hexdigest()] = first
    assert medtune("push", "gguf", REPO, "--yes") == 0
    oid = hashlib.sha256(more).hexdigest()
    assert sent(hub, "PUT") == [f"PUT /lfs/{oid}/0"]
    assert medtune("push", "gguf", REPO, "--yes") == 0
    assert len(hub.repositories[REPO].commits) == 1, "nothing has changed"


def test_a_very_large_file_is_sent_in_parts(project: Path, hub: UploadServer, medtune: Run) -> None:
    hub.part_bytes = 1024
    assert medtune(*PUSH, "--yes") == 0
    assert len(sent(hub, "PUT")) == 3
    weights = (ADAPTER / "adapter_model.safetensors").read_bytes()
    assert hub.repositories[REPO].files["adapter_model.safetensors"] == weights


def test_a_gguf_file_gets_a_card(project: Path, hub: UploadServer, medtune: Run) -> None:
    write_gguf(Path("model.gguf"))
    assert medtune("push", "model.gguf", REPO, "--yes") == 0
    files = hub.repositories[REPO].files
    assert files["model.gguf"] == Path("model.gguf").read_bytes() and sorted(files) == [
        "README.md",
        "model.gguf",
    ]
    data = front_matter(files["README.md"])
    assert "gguf" in data["tags"] and "lora" not in data["tags"] and "library_name" not in data
    assert data["license"] == "apache-2.0" and data["base_model_relation"] == "finetune"
    assert b"never medical advice" in files["README.md"]
    assert b"\nllama-server --model model.gguf --temp 0\n```" in files["README.md"]


def test_the_card_of_a_folder_with_a_modelfile_shows_ollama(
    project: Path, hub: UploadServer, medtune: Run
) -> None:
    Path("gguf").mkdir()
    write_gguf(Path("gguf/model.gguf"))
    Path("gguf/Modelfile").write_text("FROM ./model.gguf\n")
    assert medtune("push", "gguf", REPO, "--yes") == 0
    name = REPO.partition("/")[2]
    commands = f"cd {name}\nllama-server --model model.gguf --temp 0\nollama create {name} -f"
    assert commands in hub.repositories[REPO].files["README.md"].decode()


def test_a_merged_model_keeps_its_own_card(project: Path, hub: UploadServer, medtune: Run) -> None:
    folder = Path("exports/merged")
    write_merged(folder)
    assert medtune("push", str(folder), REPO, "--yes") == 0
    card = hub.repositories[REPO].files["README.md"]
    data = front_matter(card)
    assert data["license"] == "mit" and data["library_name"] == "transformers"
    assert data["medtune"]["adapter_md5"] == md5() and data["medtune"]["seed"] == 42
    assert b'\n# Mine\n\nfrom_pretrained("someone/adapter")\n' in card


def test_the_card_of_an_experiment_has_its_scores(
    project: Path, hub: UploadServer, medtune: Run, facts: Facts
) -> None:
    run(project, "git", "init", "-q")
    here = summary.SCORES.read_text()
    better = facts.metrics["compare_scores"] | {"rougeL.finetuned": 0.777}
    summary.SCORES.write_text(json.dumps(better))
    commit_all(project, "better")
    commit = run(project, "git", "rev-parse", "HEAD").stdout.strip()
    run(project, "git", "update-ref", "refs/exps/ab/cdef/ashen-lamb", commit)
    summary.SCORES.write_text(here)
    write_gguf(Path("model.gguf"))
    for arguments, value, name in (
        (("--experiment", "ashen-lamb"), 0.777, commit[:7]),
        (("--experiment", commit), 0.777, commit[:7]),
        ((), 0.3, "abc1234"),
    ):
        assert medtune("push", "model.gguf", REPO, "--yes", *arguments) == 0
        data = front_matter(hub.repositories[REPO].files["README.md"])
        metrics = data["model-index"][0]["results"][0]["metrics"]
        assert {m["name"]: m["value"] for m in metrics}["ROUGE-L"] == value
        assert data["medtune"]["commit"] == name


def test_without_scores_or_a_known_run_there_is_no_card(
    project: Path, medtune: Run, capsys: Output
) -> None:
    assert medtune(*PUSH, "--experiment", "none") == 1
    assert "no run is named none: `dvc exp list` names" in capsys.readouterr().err
    summary.SCORES.unlink()
    assert medtune(*PUSH) == 1
    assert "no scores for the model card: run dvc repro compare" in capsys.readouterr().err


def test_a_space_is_pushed_as_a_space(project: Path, hub: UploadServer, medtune: Run) -> None:
    folder = Path("exports/space")
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "__pycache__/app.pyc").touch()
    card = "---\ntitle: Cards\nsdk: gradio\napp_file: app.py\n---\n"
    (folder / "README.md").write_text(card)
    (folder / "app.py").write_text("print()\n")
    assert medtune("push", str(folder), REPO, "--space", "--yes") == 0
    repository = hub.repositories[REPO]
    assert repository.kind == "space" and repository.sdk == "gradio"
    assert repository.files == {"README.md": card.encode(), "app.py": b"print()\n"}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("none", REPO), "none is missing: name models/adapter, or what `medtune export` has"),
        (("metrics", REPO), "metrics has no adapter, model, GGUF file or Space: name models/ada"),
        ((str(ADAPTER), "adapter"), "REPO must be owner/name, got adapter"),
        ((str(ADAPTER), REPO, "--space"), "models/adapter is an adapter: leave out --space"),
        (("space", REPO), "space is a Space: add --space"),
        (("linked", REPO), "linked/model.gguf is a link that leads to no file: remove it"),
    ],
)
def test_what_cannot_be_pushed_is_one_line(
    arguments: tuple[str, ...], line: str, project: Path, medtune: Run, capsys: Output
) -> None:
    for name in ("space", "linked"):
        Path(name).mkdir()
    Path("space/README.md").write_text("---\nsdk: gradio\n---\n")
    Path("linked/model.gguf").symlink_to("nowhere")
    assert medtune("push", *arguments) == 1
    problem = capsys.readouterr().err
    assert problem.startswith(f"push: {line}") and problem.count("\n") == 1


def test_an_adapter_with_the_scores_of_another_one_is_refused(
    project: Path, medtune: Run, capsys: Output
) -> None:
    (ADAPTER / "adapter_model.safetensors").write_bytes(b"another")
    assert medtune(*PUSH) == 1
    assert "is not the adapter that this run compared" in capsys.readouterr().err


def test_large_files_go_by_git_lfs_in_a_new_process(project: Path, hub: UploadServer) -> None:
    """huggingface_hub reads its switch for another protocol when it is first imported."""
    environment = {k: v for k, v in os.environ.items() if k != "HF_HUB_DISABLE_XET"}
    environment |= {"HF_HUB_OFFLINE": "0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "medtune", *PUSH, "--yes"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert len(sent(hub, "PUT /lfs/")) == 1
    assert not any("xet" in line for line in hub.received)


def test_only_files_of_an_export_are_uploaded(
    project: Path, hub: UploadServer, medtune: Run, capsys: Output
) -> None:
    write_merged(Path("exports/merged"))
    for name in ("train.csv", "checkpoints/model.safetensors", "data/README.md"):
        path = Path("exports/merged") / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert medtune("push", "exports/merged", REPO, "--yes") == 0
    files = hub.repositories[REPO].files
    assert sorted(files) == ["README.md", "config.json", "model.safetensors"]
    said = capsys.readouterr().err
    assert "not files of a merged model: checkpoints, data, train.csv" in said


def test_a_folder_with_an_export_in_it_is_not_one(
    project: Path, hub: UploadServer, medtune: Run, capsys: Output
) -> None:
    Path("exports/gguf").mkdir(parents=True)
    write_gguf(Path("exports/gguf/model.gguf"))
    write_merged(Path("exports/merged"))
    assert medtune("push", "exports", REPO, "--yes") == 1
    assert "exports has no adapter, model, GGUF file or Space" in capsys.readouterr().err
    assert hub.received == []


@pytest.mark.parametrize("source", ["exports/gguf", "model.gguf", "exports/merged"])
def test_an_export_of_another_adapter_gets_no_scores(
    source: str, project: Path, medtune: Run, capsys: Output
) -> None:
    Path("exports/gguf").mkdir(parents=True)
    write_gguf(Path("exports/gguf/a.gguf"))
    for path in (Path("exports/gguf/b.gguf"), Path("model.gguf")):
        write_gguf(path, "0" * 32)
    write_merged(Path("exports/merged"), "0" * 32)
    assert medtune("push", source, REPO) == 1
    problem = capsys.readouterr().err
    path = "exports/gguf/b.gguf" if source == "exports/gguf" else source
    assert problem.startswith(f"push: {path} does not hold the adapter that this run compared")
    assert problem.count("\n") == 1


def test_an_export_that_names_no_adapter_gets_no_scores(
    project: Path, medtune: Run, capsys: Output
) -> None:
    Path("model.gguf").write_bytes(b"GGUF")
    write_merged(Path("exports/merged"))
    Path("exports/merged/README.md").write_text("# Mine")
    for source in ("model.gguf", "exports/merged"):
        assert medtune("push", source, REPO) == 1
        line = f"push: {source} does not say which adapter it holds, so its scores are unknown"
        assert line in capsys.readouterr().err


def test_an_unknown_address_is_one_line(
    project: Path, hub: UploadServer, medtune: Run, capsys: Output, monkeypatch: Any
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert medtune(*PUSH, "--yes") == 1
    problem = capsys.readouterr().err
    assert problem.startswith(f"push: {REPO} got no complete upload (")
    assert "check the network and HF_ENDPOINT" in problem and problem.count("\n") == 1
