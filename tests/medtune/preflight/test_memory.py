import json
from pathlib import Path

import pytest

from medtune.config.loading import read_yaml, validate
from medtune.config.schema import Params
from medtune.modeling.adapters import add_adapter
from medtune.modeling.loading import load_base
from medtune.preflight import memory as check_memory
from medtune.preflight.memory import (
    count_parameters,
    layer_count,
    peak_bytes,
    write_slice,
)
from medtune.runtime.errors import InputError

JOB = {
    "rows": [40, 60],
    "loss_starts": [20, 30],
    "likelihood": [60] * 16,
    "prompts": [20, 30, 30],
    "cached": 60,
    "beginning": 10,
}


@pytest.fixture
def params() -> Params:
    return validate(read_yaml(Path("params.yaml")))


def test_parameters_are_counted_without_weights(
    base_folder: Path, params: Params, tmp_path: Path
) -> None:
    real = add_adapter(load_base(folder=base_folder), params.train, 0).get_nb_trainable_parameters()
    (tmp_path / "config.json").write_bytes((base_folder / "config.json").read_bytes())
    assert count_parameters(tmp_path, params.train) == real


def test_slice_has_the_first_layers_of_the_model(base_folder: Path, tmp_path: Path) -> None:
    assert layer_count(base_folder) == 2
    write_slice(base_folder, 1, tmp_path / "one")
    assert layer_count(tmp_path / "one") == 1
    whole, one = load_base(folder=base_folder), load_base(folder=tmp_path / "one")
    assert set(one.state_dict()) == {n for n in whole.state_dict() if "layers.1." not in n}


def test_memory_grows_by_a_layer_with_every_layer(
    base_folder: Path, params: Params, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = json.loads((base_folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 30}))
    # Two slices of train, then two of evaluate, whose two phases grow at different rates.
    marks = [[100], [160], [7, 1], [13, 43]]
    monkeypatch.setattr(check_memory, "_measure", lambda jobs: marks[: len(jobs)])
    assert peak_bytes(tmp_path, JOB) == {"train": 160 + 22 * 10, "evaluate": 43 + 22 * 7}


def test_model_of_few_layers_is_measured_as_a_whole(base_folder: Path, params: Params) -> None:
    peaks = peak_bytes(base_folder, {**JOB, "train": params.train.model_dump()})
    assert all(2**27 < peak < 2**31 for peak in peaks.values())


def test_slice_that_does_not_run_says_why(base_folder: Path, params: Params) -> None:
    wrong = params.train.model_copy(update={"target_modules": ["query"]}).model_dump()
    with pytest.raises(InputError, match=r"do not run: train\.target_modules names query"):
        peak_bytes(base_folder, {**JOB, "train": wrong})
