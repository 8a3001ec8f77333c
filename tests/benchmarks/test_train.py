import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from benchmarks import limit, train
from benchmarks.base import model_folder
from benchmarks.worker import Job
from medtune.modeling.token_files import SCHEMA, token_writer
from medtune.runtime.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    for split, size in (("train", 40), ("validation", 8)):
        ids = [[1, *range(10, 14 + n % 5), 2] for n in range(size)]
        columns: dict[str, Any] = {field.name: [None] * size for field in SCHEMA}
        columns |= {"input_ids": ids, "loss_start": [3] * size}
        with token_writer(tmp_path / f"{split}.arrow") as writer:
            writer.write_table(pa.table(columns, SCHEMA))
    return tmp_path


def test_arms_train_in_turns_on_the_same_tokens_to_the_same_loss(
    base_folder: Path, tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(limit, "SUSTAINED_S", 0.001)
    monkeypatch.setattr(train.table, "README", tmp_path / "README.md")
    output = tmp_path / "results.json"
    monkeypatch.setattr(train, "RESULTS", output)
    (tmp_path / "README.md").write_text("Before\n<!-- results -->\n<!-- /results -->\nafter\n")
    options = f"--arms ours,hf_dynamic --cards 32 --slices 2 --threads 1 --model {base_folder}"
    arguments = [*options.split(), "--tokens", str(tokens), "--output", str(output)]
    monkeypatch.setattr(sys, "argv", ["train", *arguments])
    train.main()

    results = json.loads(output.read_text())
    arms = results["arms"]
    assert arms.keys() == {"ours", "hf_dynamic"}
    assert arms["ours"]["validation_loss"] == pytest.approx(
        arms["hf_dynamic"]["validation_loss"],
        rel=0.03,  # other orders of the cards
    )
    assert all(len(arm["tokens_per_s_of_slices"]) == 2 for arm in arms.values())
    assert results["run"]["cards"] == 32
    assert results["limit"]["flops_per_token"] > 0
    assert train.table.block(results) in (tmp_path / "README.md").read_text()


def test_an_arm_that_fails_stops_the_comparison(
    base_folder: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    job = Job("ours", base_folder, tokens / "missing", cards=16, slices=1, threads=1)
    with pytest.raises(InputError, match="the arm ours stopped: its error stands above"):
        train.Worker(sys.executable, job)


def test_a_missing_peer_is_told_with_the_way_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    message = "the arm trl_packing needs trl, .*: pip install -r benchmarks/requirements.txt"
    with pytest.raises(InputError, match=message):
        train.check_arms(["ours", "trl_packing"], None)
    with pytest.raises(InputError, match="names 'unsloth', which is unknown: known are hf_padded"):
        train.check_arms(["unsloth"], None)


def test_a_random_model_has_the_vocabulary_that_was_asked_for(tmp_path: Path) -> None:
    folder = model_folder("random://llama?hidden_size=32&vocab_size=700", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    assert (config["hidden_size"], config["vocab_size"]) == (32, 700)
    with pytest.raises(InputError, match="has no vocab_size"):
        model_folder("random://llama?hidden_size=32", tmp_path)


def test_cards_are_drawn_by_the_seed_and_their_ids_fit_the_model(
    base_folder: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    job = Job("ours", base_folder, tokens, cards=16, slices=1, threads=1)
    monkeypatch.setattr(Job, "config", lambda self: {"vocab_size": 12})
    rows = Job.from_json(job.to_json()).rows("train")
    assert rows == job.rows("train")
    assert len(rows["input_ids"]) == 16
    assert max(max(ids) for ids in rows["input_ids"]) == 11
