"""Knows the files of each exported folder, so that those of others are not replaced or uploaded."""

from collections.abc import Collection
from fnmatch import fnmatchcase
from pathlib import Path

from medtune.runtime.errors import InputError

# Patterns of names; one that ends in / stands for all that is below a folder.
CARDS = ("README.txt", "csv/", "jsonl/", "parquet/", "dataset/", "tables/", "figures/")
MERGED = (
    *("README.md", "config.json", "generation_config.json", "chat_template.jinja"),
    *("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json"),
    *("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.json", "merges.txt"),
)
SPACE = (
    *("README.md", "LICENSE", "app.py", "requirements.txt", "space.json"),
    *("medtune/", "adapter/", "base/", "__pycache__/"),
)


def is_known(name: str, patterns: Collection[str]) -> bool:
    """Returns whether a name, relative to the folder and with / for its folders, is one of these.

    >>> is_known("base/config.json", ["base/"]), is_known("base/config.json", ["*.json"])
    (True, False)
    """
    top, slash, _ = name.partition("/")
    return f"{top}/" in patterns if slash else any(fnmatchcase(name, each) for each in patterns)


def check_folder(
    folder: Path, about: str, mark: str, patterns: Collection[str], command: str
) -> None:
    """Refuses a folder that has anything in it that the command did not write.

    The command wrote the files with known names if the file `about` has the mark in it.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: name a folder")
    paths = sorted(folder.iterdir()) if folder.exists() else []
    file = folder / about
    made = file.is_file() and mark in file.read_text(encoding="utf-8", errors="replace")
    names = [f"{path.name}/" if path.is_dir() else path.name for path in paths]
    others = [name for name in names if not (made and is_known(name, patterns))]
    if others:
        raise InputError(
            f"{folder} contains {others[0].rstrip('/')}, which was not written by medtune export "
            f"{command}: name another folder, or move the file away"
        )
