import os
import signal
from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pytest
import torch
from accelerate.state import AcceleratorState

from medtune.config.allowed_values import SchedulerName
from medtune.config.loading import load_params
from medtune.config.schema import Train
from medtune.modeling.adapters import add_adapter
from medtune.modeling.collation import Cards
from medtune.modeling.loading import load_base
from medtune.modeling.token_files import SCHEMA, ListColumn, columns, read_tokens, token_writer
from medtune.runtime.errors import InputError
from medtune.training.checkpoints import Checkpoints
from medtune.training.history import Point
from medtune.training.loop import Trainer, mean_loss, train
from tests.loopback_server import free_port

ROWS = {
    "input_ids": [[1, 10 + n % 5, *range(40, 44 + n % 7), 2] for n in range(40)],
    "loss_start": [2] * 40,
}
PARAMS: Train = load_params("train").model_copy(
    update={"num_train_epochs": 2, "logging_steps": 5, "eval_steps": 0.5, "lr": 5e-3}
)


def adapted(base_folder: Path, params: Train, seed: int = 1) -> Any:
    base = load_base(params.precision, params.quantization, base_folder)
    return add_adapter(base, params, seed)


def run(base_folder: Path, seed: int = 1, **changed: Any) -> tuple[Any, list[Point]]:
    params = PARAMS.model_copy(update=changed)
    model = adapted(base_folder, params, seed)
    return model, list(train(model, ROWS, ROWS, params, seed, pad_id=0))


def weights(model: Any) -> torch.Tensor:
    return torch.cat([p.flatten() for p in model.parameters() if p.requires_grad])


@pytest.mark.slow
def test_the_loss_falls_and_the_curves_have_their_points(base_folder: Path) -> None:
    _, points = run(base_folder)
    training = [point for point in points if point.curve == "train"]
    validation = [point for point in points if point.curve == "validation"]
    assert [point.step for point in training] == [5, 10]
    assert [point.step for point in validation] == [5, 10]
    assert training[-1].epoch == 2
    assert validation[-1].loss < validation[0].loss < training[0].loss


@pytest.mark.slow
def test_two_runs_give_the_same_adapter_and_another_seed_another(base_folder: Path) -> None:
    first, points = run(base_folder, lora_dropout=0.1, neftune_noise_alpha=5.0)
    again, same = run(base_folder, lora_dropout=0.1, neftune_noise_alpha=5.0)
    assert torch.equal(weights(first), weights(again))
    assert points == same
    other, _ = run(base_folder, seed=2, lora_dropout=0.1, neftune_noise_alpha=5.0)
    assert not torch.equal(weights(first), weights(other))


@pytest.mark.slow
def test_rows_of_a_mapped_file_train_the_same_adapter(base_folder: Path, tmp_path: Path) -> None:
    with token_writer(tmp_path / "train.arrow") as writer:
        writer.write_table(pa.Table.from_pylist(pa.table(ROWS).to_pylist(), SCHEMA))
    rows = columns(read_tokens(tmp_path / "train.arrow"), *Cards._fields)
    assert isinstance(rows["input_ids"], ListColumn)
    expected, points = run(base_folder)
    model = adapted(base_folder, PARAMS)
    assert list(train(model, rows, rows, PARAMS, 1, pad_id=0)) == points
    assert torch.equal(weights(model), weights(expected))


@pytest.mark.slow
def test_layers_are_packed_on_a_cpu_and_fused_everywhere_but_not_with_fsdp(
    base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Trainer(adapted(base_folder, PARAMS), ROWS, ROWS, PARAMS, 1, 0)

    def changed() -> set[str]:
        with run.fast_layers():
            layers = [module for module in run.model.modules() if "forward" in vars(module)]
        return {type(layer).__module__.partition(".")[0] for layer in layers}

    assert changed() == {"torch", "peft"}
    monkeypatch.setattr("medtune.training.loop.device", lambda: "cuda")
    assert changed() == {"peft"}
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert changed() == set()


@pytest.mark.slow
def test_warm_up_is_a_share_or_a_number_of_steps(base_folder: Path) -> None:
    for warmup in (0.5, 5):
        _, points = run(base_folder, warmup_steps=warmup, logging_steps=1)
        rates = [point.learning_rate for point in points if point.curve == "train"]
        assert rates[0] == 0
        assert max(rates) == rates[5] == PARAMS.lr


@pytest.mark.slow
@pytest.mark.parametrize(
    "changed",
    [
        {"gradient_checkpointing": True},
        {"optim": "paged_adamw_8bit"},
        {"quantization": "nf4"},
        {"bias": "lora_only", "target_modules": ["q_proj", "v_proj"]},
        {"precision": "bf16"},
        {"precision": "fp16"},
        {"use_dora": True},
        {"use_rslora": True},
        {"init_lora_weights": "pissa"},
        {"loraplus_lr_ratio": 16.0, "optim": "paged_adamw_8bit"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_every_way_of_training_learns(base_folder: Path, changed: dict[str, Any]) -> None:
    before = mean_loss(load_base(folder=base_folder), ROWS, PARAMS, pad_id=0)
    _, points = run(base_folder, **changed)
    assert points[-1].loss < before - 0.05


@pytest.mark.parametrize("names", [["query"], ["q_proj", "query"]])
def test_unknown_target_modules_are_refused_with_those_there_are(
    base_folder: Path, names: list[str]
) -> None:
    message = "names query, which the model does not have: its linear layers are .*gate_proj"
    with pytest.raises(InputError, match=message):
        run(base_folder, target_modules=names)


@pytest.mark.slow
def test_a_loss_that_explodes_stops_the_training(base_folder: Path) -> None:
    with pytest.raises(InputError, match=r"the training loss is (nan|inf) after step 1: lower"):
        run(base_folder, lr=1e30, warmup_steps=0)


@pytest.mark.slow
def test_trained_weights_are_fp32_in_half_precision_too(base_folder: Path) -> None:
    params = PARAMS.model_copy(update={"bias": "all"})
    model = add_adapter(load_base("fp16", folder=base_folder), params, seed=1)
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}


@pytest.mark.slow
def test_lora_plus_takes_larger_steps_in_b_alone(base_folder: Path) -> None:
    changed = {"num_train_epochs": 1, "per_device_train_batch_size": 40, "warmup_steps": 0}
    plain, _ = run(base_folder, **changed)
    faster, _ = run(base_folder, loraplus_lr_ratio=4.0, **changed)
    larger = dict(faster.named_parameters())
    of_a, of_b = (
        [(weight, larger[name]) for name, weight in plain.named_parameters() if part in name]
        for part in ("lora_A", "lora_B")
    )
    assert len(of_a) == len(of_b) > 0
    assert all(torch.equal(other, weight) for weight, other in of_a)
    for weight, other in of_b:  # zero before its one step
        assert torch.allclose(other, 4 * weight, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", get_args(SchedulerName))
def test_every_scheduler_of_transformers_runs(base_folder: Path, name: str) -> None:
    needs = {
        "cosine_with_min_lr": {"min_lr_rate": 0.1},
        "cosine_warmup_with_min_lr": {"min_lr_rate": 0.1},
        "warmup_stable_decay": {"num_decay_steps": 5},
        "reduce_lr_on_plateau": {"patience": 0, "threshold": 10.0},
        "greedy": {"patience": 0, "threshold": 10.0, "min_lr": 1e-4, "factor": 0.5},
    }
    _, points = run(
        base_folder,
        lr_scheduler_type=name,
        lr_scheduler_kwargs=needs.get(name, {}),
        warmup_steps=2.0,
        logging_steps=1,
        eval_steps=2.0,
    )
    rates = [point.learning_rate for point in points if point.curve == "train"]
    assert len(rates) == 10
    assert (len(set(rates)) == 1) == (name == "constant")
    if name in ("reduce_lr_on_plateau", "greedy"):  # the loss never falls by ten nats
        changes = [n for n, (one, two) in enumerate(pairwise(rates), start=1) if one != two]
        assert changes and all(n % 2 == 0 for n in changes)  # only where it was measured
        assert rates[-1] < rates[0]


@pytest.mark.slow
def test_a_scheduler_without_what_it_needs_is_refused(base_folder: Path) -> None:
    with pytest.raises(InputError, match=r"train.lr_scheduler_kwargs \{\} do not fit .*min_lr"):
        run(base_folder, lr_scheduler_type="cosine_with_min_lr")


@pytest.mark.slow
def test_training_stops_when_the_loss_no_longer_falls_and_keeps_the_best(base_folder: Path) -> None:
    changed = {"lr": 1.0, "lr_scheduler_type": "constant", "eval_steps": 1.0, "logging_steps": 3}
    model, points = run(base_folder, early_stopping_patience=2, num_train_epochs=4, **changed)
    validation = [point for point in points if point.curve == "validation"]
    lowest = min(validation, key=lambda point: point.loss)
    assert lowest.step < 18
    assert validation[-1].step == lowest.step + 2 == points[-1].step
    kept = mean_loss(model, ROWS, PARAMS, pad_id=0)
    assert kept == pytest.approx(lowest.loss, abs=1e-6)
    last, points = run(base_folder, load_best_model_at_end=False, **changed)
    assert mean_loss(last, ROWS, PARAMS, pad_id=0) == pytest.approx(points[-2].loss, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changed",
    [
        {"lora_dropout": 0.1, "neftune_noise_alpha": 5.0},
        {"optim": "paged_adamw_8bit", "quantization": "nf4"},
        {"precision": "fp16", "gradient_accumulation_steps": 2},
        {"use_dora": True, "loraplus_lr_ratio": 16.0},
        {"init_lora_weights": "pissa_niter_4"},
        {"lr_scheduler_type": "reduce_lr_on_plateau", "lr": 0.3, "early_stopping_patience": 3},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_resumed_run_equals_an_undisturbed_one(
    base_folder: Path, tmp_path: Path, changed: dict[str, Any]
) -> None:
    rhythm = {"save_steps": 3.0, "eval_steps": 2.0, "logging_steps": 2}
    params = PARAMS.model_copy(update=rhythm | changed)
    whole, points = run(base_folder, **rhythm, **changed)
    for taken in (1, 3, 5):  # points after which the run is given up
        arguments = (ROWS, ROWS, params, 1, 0, Checkpoints(tmp_path / "run"))
        list(islice(train(adapted(base_folder, params), *arguments), taken))
    resumed = adapted(base_folder, params)
    assert Checkpoints(tmp_path / "run").latest() is not None
    assert list(train(resumed, *arguments)) == points
    assert torch.equal(weights(resumed), weights(whole))


def in_two_processes(work: Callable[[int], None]) -> None:
    """Calls `work` with the rank in each of two processes, which find each other on loopback."""
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    children = []
    for rank in range(2):
        if child := os.fork():
            children.append(child)
            continue
        try:
            signal.alarm(60)  # a process whose fellow has failed would wait for ever
            ranks = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
            os.environ |= meeting | ranks
            AcceleratorState._reset_state(reset_partial_state=True)
            work(rank)
            os._exit(0)
        finally:
            os._exit(1)
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert ends == [0, 0]


@pytest.mark.slow
def test_two_machines_go_on_together_from_the_checkpoint_of_the_first(
    base_folder: Path, tmp_path: Path
) -> None:
    params = PARAMS.model_copy(update={"save_steps": 2.0, "logging_steps": 1})

    def work(name: str, taken: int | None) -> Callable[[int], None]:
        def train_on(rank: int) -> None:
            own = Checkpoints(tmp_path / f"machine-{rank}" / name)
            model = adapted(base_folder, params)
            arguments = (ROWS, ROWS, params, 1, 0, own)
            points = list(islice(train(model, *arguments), taken))
            torch.save((points, weights(model)), tmp_path / f"{name}-{rank}")

        return train_on

    in_two_processes(work("whole", None))
    in_two_processes(work("run", 4))
    assert (tmp_path / "machine-0/run/step-00000002").is_dir()
    assert not (tmp_path / "machine-1/run").exists()
    in_two_processes(work("run", None))
    points, trained = torch.load(tmp_path / "whole-0", weights_only=False)
    assert points[-1].step == 6
    for rank in range(2):
        same, found = torch.load(tmp_path / f"run-{rank}", weights_only=False)
        assert same == points
        assert torch.equal(found, trained)
