"""The model that all arms train: a folder, or random weights in a published model's shape."""

from pathlib import Path
from urllib.parse import parse_qsl

from medtune.modeling.loading import load_base, require
from medtune.runtime.errors import InputError
from medtune.sources.conversion import write_random_llama

RANDOM = "random://llama?"


def model_folder(model: str, scratch: Path) -> Path:
    """The folder of a model; `random://llama?…` is made in `scratch` and wants a vocab_size.

    medtune's own `random://` source has a vocabulary of bytes; here it is as large as asked, for
    the head is a good part of the work. Weights are saved in fp32, embeddings and head tied.
    """
    if not model.startswith(RANDOM):
        require(Path(model) / "config.json", "download@model")
        return Path(model)
    fields = dict(parse_qsl(model.removeprefix(RANDOM)))
    if wrong := [f"{key}={value}" for key, value in fields.items() if not value.isdecimal()]:
        raise InputError(f"--model: {', '.join(wrong)} must be a whole number")
    if "vocab_size" not in fields:
        raise InputError(f"--model {model} has no vocab_size: add it, such as &vocab_size=32000")
    vocab_size = int(fields.pop("vocab_size"))
    folder = scratch / "base"
    write_random_llama(folder, **{key: int(value) for key, value in fields.items()})
    loaded = load_base("fp32", folder=folder)
    loaded.resize_token_embeddings(vocab_size, mean_resizing=False)
    loaded.save_pretrained(folder)
    return folder
