from pathlib import Path

from medtune.config.loading import read_yaml, validate
from medtune.config.schema import Params
from medtune.preflight.remedies import Stage, find_changes

PARAMS = validate(read_yaml(Path("params.yaml")))


def peaks(params: Params) -> dict[Stage, int]:
    train = params.train.per_device_train_batch_size * (5 - 3 * params.train.gradient_checkpointing)
    base = 100 if params.train.quantization == "none" else 30
    return {"train": train + base, "evaluate": params.evaluate.batch_size}


def test_a_smaller_batch_comes_first_and_keeps_the_cards_per_step() -> None:
    assert find_changes(PARAMS, "train", peaks, 120) == {
        "train.per_device_train_batch_size": "4",
        "train.gradient_accumulation_steps": "2",
    }
    assert find_changes(PARAMS, "evaluate", peaks, 120) == {"evaluate.batch_size": "100"}


def test_checkpointing_comes_before_quantization() -> None:
    assert find_changes(PARAMS, "train", peaks, 103) == {
        "train.per_device_train_batch_size": "1",
        "train.gradient_accumulation_steps": "8",
        "train.gradient_checkpointing": "true",
    }
    assert find_changes(PARAMS, "train", peaks, 99) == {"train.quantization": "nf4"}


def test_what_fits_needs_no_change_and_what_cannot_fit_has_none() -> None:
    assert find_changes(PARAMS, "train", peaks, 200) == {}
    assert find_changes(PARAMS, "train", peaks, 20) is None


def test_pissa_is_not_quantized() -> None:
    train = PARAMS.train.model_copy(update={"init_lora_weights": "pissa"})
    assert find_changes(PARAMS.model_copy(update={"train": train}), "train", peaks, 99) is None
