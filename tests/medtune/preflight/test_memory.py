"""The arithmetic against measured peaks, in GiB of a process on a CPU."""

import json
from pathlib import Path

import pytest

from medtune.config.loading import read_yaml, validate
from medtune.modeling.adapters import add_adapter
from medtune.modeling.loading import load_base
from medtune.preflight.memory import Decoder
from medtune.runtime.errors import InputError

PARAMS = validate(read_yaml(Path("params.yaml")))


def test_parameters_are_counted_without_weights(base_folder: Path, tmp_path: Path) -> None:
    trained, everything = add_adapter(
        load_base(folder=base_folder), PARAMS.train, 0
    ).get_nb_trainable_parameters()
    (tmp_path / "config.json").write_bytes((base_folder / "config.json").read_bytes())
    decoder = Decoder.read(tmp_path)
    assert (decoder.trained(PARAMS.train), decoder.parameters) == (trained, everything - trained)


def test_models_of_another_build_are_not_guessed(base_folder: Path, tmp_path: Path) -> None:
    config = json.loads((base_folder / "config.json").read_text())
    for other in ({"model_type": "gpt2", "n_embd": 64}, config | {"num_local_experts": 8}):
        (tmp_path / "config.json").write_text(json.dumps(other))
        with pytest.raises(InputError, match="only known for dense models"):
            Decoder.read(tmp_path)


def test_a_target_that_the_model_does_not_have_is_named(base_folder: Path) -> None:
    train = PARAMS.train.model_copy(update={"target_modules": ["query"]})
    with pytest.raises(InputError, match=r"target_modules names query, .* are down_proj, gate_pro"):
        Decoder.read(base_folder).trained(train)
