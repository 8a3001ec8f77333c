import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu, gpu_answers
from benchmarks.gpu import GOALS, SECTIONS, Section, goals, measure
from benchmarks.gpu_sections import Bench
from benchmarks.shapes import SHAPES, prompts, random_cards, random_weights, tokens, train_flops
from medtune.config.loading import load_params
from medtune.preflight.memory import Decoder


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("weights"), tiny=True)


def test_cards_are_drawn_by_the_seed_and_share_their_beginning() -> None:
    cards = random_cards("tiny", 50, seed=1)
    assert cards == random_cards("tiny", 50, seed=1) != random_cards("tiny", 50, seed=2)
    assert {tuple(ids[:20]) for ids in cards["input_ids"]} == {tuple(cards["input_ids"][0][:20])}
    assert all(len(ids) <= 256 for ids in cards["input_ids"])
    assert 90 < tokens(cards) / 50 < 150
    assert all(len(ids) > 20 for ids in prompts(cards))
    full = random_cards("tiny", 3, seed=1, longest=99, full=True)
    assert [len(ids) for ids in full["input_ids"]] == [99] * 3


def test_the_shapes_have_the_sizes_of_their_names(tmp_path: Path) -> None:
    folder = random_weights("tiny", tmp_path, "cpu")
    assert random_weights("tiny", tmp_path, "cpu") == folder
    assert Decoder.read(folder).hidden == SHAPES["tiny"]["hidden_size"]


def test_arithmetic_of_a_step_is_counted_by_hand(tmp_path: Path) -> None:
    folder = random_weights("tiny", tmp_path, "cpu")
    params = load_params("train").model_copy(update={"target_modules": ["q_proj"], "r": 1})
    rows = {"input_ids": [[1] * 10], "loss_start": [4]}
    layer = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128
    expected = 10 * (4 * 2 * layer + 6 * 2 * (64 + 64)) + 6 * 4 * 512 * 64
    assert train_flops(folder, rows, params) == expected


@pytest.mark.slow
def test_batches_equal_rows_one_by_one(bench: Bench) -> None:
    found = dict(gpu_answers.equality(bench))
    assert found["equality, fp32"]["loss_error"] < 1e-5
    assert found["equality, fp32"]["answers_equal"] == found["equality, fp32"]["answers"] == 12
    assert found["gradients, fp32"]["relative_error"] < 1e-5


def slow(_: Bench) -> Any:
    import time

    yield "first", {"s": 1}
    time.sleep(60)


def failing(_: Bench) -> Any:
    yield "second", {"s": 2}
    raise ValueError("broken")


@pytest.mark.slow
def test_a_section_that_fails_or_takes_too_long_leaves_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork = gpu.multiprocessing.get_context("fork")  # so that the sections below are known
    monkeypatch.setattr(fork, "set_forkserver_preload", lambda _: None, raising=False)
    monkeypatch.setattr(gpu.multiprocessing, "get_context", lambda _: fork)
    monkeypatch.setitem(SECTIONS, "answers", Section(slow, 1.5))
    monkeypatch.setitem(SECTIONS, "memory", Section(failing, 30))
    found = measure(["answers", "memory"], Bench(tmp_path, tiny=True), total_s=60)
    assert found["first"]["s"] == 1 and found["second"]["s"] == 2
    assert found["section answers"] == {"error": "stopped at its time limit"}
    assert found["memory"]["error"] == "ValueError: broken"


def test_each_goal_is_reached_missed_or_not_measured() -> None:
    names = [goal.result for goal in GOALS]
    found: dict[str, dict[str, Any]] = {
        "train, 8 cards a step": {"tokens_per_s": 1400},
        "HF Trainer, 8 cards a step": {"tokens_per_s": 1000},
        "one step of 8 cards": {"waits": 186},
        "T4, med-llama": {"error": "out of memory", "peak_gib": 14.6},
        "answers, 200 at a time": {"tokens_per_s": 9},
    }
    table = goals(found)
    assert table.index.tolist() == names
    verdicts = table["verdict"]
    assert verdicts["train, 8 cards a step"] == "reached"
    assert verdicts["one step of 8 cards"] == "missed"
    assert table.loc["T4, med-llama", ["measured", "verdict"]].tolist() == [
        "out of memory",
        "missed",
    ]
    assert verdicts["answers, 200 at a time"] == "not measured"  # nothing to compare it with
    assert verdicts["repeated"] == "not measured"


def test_without_a_gpu_the_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for options, line in (([], "torch finds no GPU"), (["--sections", "speed"], "names 'speed'")):
        monkeypatch.setattr(sys, "argv", ["gpu", *options])
        with pytest.raises(SystemExit):
            gpu.main()
        assert line in capfd.readouterr().err
