"""Seeds as real DVC experiments, whose answers come from the cache."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from medtune.commands import comparable_runs
from medtune.commands.replicate import SEEDS
from tests.projects import commit_all, run

pytestmark = pytest.mark.slow

PARAMS = """\
preset: tiny
seed: 42
split: {max_records: {train: 16}}
train: {seed: null, lr: 0.1}
evaluate: {few_shot: 0}
compare: {confidence: 0.95}
"""
GRAPH = """\
stages:
  split:
    cmd: python -m stage split
    params: [split]
    deps: [stage.py]
    outs:
      - data/tokens/train.arrow: {persist: true}
      - metrics/split.json: {cache: false, persist: true}
  train:
    cmd: python -m stage train
    params: [seed, train]
    deps: [stage.py, data/tokens/train.arrow]
    outs: [models/adapter.json]
  evaluate:
    foreach: {base: base.json, finetuned: models/adapter.json}
    do:
      cmd: python -m stage ${key}
      deps: [stage.py, "${item}"]
      outs: ["data/predictions/${key}.parquet"]
  compare:
    cmd: python -m stage compare
    params: [preset, seed, split, train, evaluate, compare]
    deps: [data/predictions/base.parquet, data/predictions/finetuned.parquet]
    outs: [{metrics/compare_scores.json: {cache: false, persist: true}}]
"""
# A training that scores better with more cards, and otherwise by its seed.
STAGE = """\
import json, math, sys
from pathlib import Path
import pyarrow as pa
import pyarrow.parquet as pq
from ruamel.yaml import YAML

params = YAML(typ="safe").load(Path("params.yaml"))

def write(path, content):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(content))

def answers(name, mean):
    cards = [f"card {n}" for n in range(12)]
    values = [mean + n / 100 for n in range(12)]
    Path("data/predictions").mkdir(parents=True, exist_ok=True)
    table = pa.table({"id": cards, "group": cards, "rougeL": values})
    pq.write_table(table, f"data/predictions/{name}.parquet")

if sys.argv[1] == "split":
    write("data/tokens/train.arrow", params["split"]["max_records"]["train"])
    write("metrics/split.json", {"train": params["split"]["max_records"]["train"]})
elif sys.argv[1] == "train":
    cards = json.loads(Path("data/tokens/train.arrow").read_text())
    write("models/adapter.json", [cards, params["train"]["seed"] or params["seed"]])
elif sys.argv[1] == "base":
    answers("base", 0.1)
elif sys.argv[1] == "finetuned":
    cards, seed = json.loads(Path("models/adapter.json").read_text())
    answers("finetuned", 0.1 * math.log2(cards) + (seed - 42) / 10)
else:
    write("metrics/compare_scores.json", {"n": 12, "groups": 12})
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A commit with its run, whose only system without training is the base model."""
    for name, text in {"params.yaml": PARAMS, "dvc.yaml": GRAPH, "stage.py": STAGE}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "base.json").write_text("{}", encoding="utf-8")
    (tmp_path / "metrics").mkdir()
    (tmp_path / comparable_runs.SYSTEMS).write_text('{"best.rougeL": "base"}', encoding="utf-8")
    run(tmp_path, "git", "init", "-qb", "main")
    run(tmp_path, "dvc", "init", "-q")
    run(tmp_path, "dvc", "repro", "-q")
    commit_all(tmp_path, "run")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(comparable_runs, "scored", lambda table: table)
    return tmp_path


def test_seeds_are_queued_once_and_then_compared_from_the_cache(
    project: Path,
    medtune: Callable[..., int],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("medtune.commands.replicate.answers_sha256", dict)  # no rules answer here

    def said(*arguments: str) -> str:
        assert medtune(*arguments) == 0
        return capfd.readouterr().out

    assert "1 experiment queued" in said("replicate", "--seeds", "2")
    assert said("replicate", "--seeds", "2").startswith("waiting for tiny-seed43-")
    before = (project / "dvc.lock").read_text(encoding="utf-8")
    run(project, "dvc", "queue", "remove", "--all")
    run(project, "dvc", "exp", "run", "--temp", "-q", "-S", "train.seed=43")  # without a worker
    assert (project / "dvc.lock").read_text(encoding="utf-8") == before  # nothing is checked out

    assert "training seeds 42, 43" in said("replicate", "--seeds", "2")
    content = json.loads(SEEDS.read_text(encoding="utf-8"))
    assert content["scores"]["rougeL"]["by_seed"] == pytest.approx([0.455, 0.555])
    assert content["scores"]["rougeL"]["base"]["gain"]["value"] == pytest.approx(0.35)
    assert set(content["data_md5"]) == {"data/tokens/train.arrow"}
    assert set(content["code_md5"]) == {"stage.py"}

    sizes = said("curve", "--dry-run").splitlines()
    assert [line.rpartition("=")[2] for line in sizes] == ["2", "4", "8"]
