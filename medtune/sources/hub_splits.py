"""Finds the files of one subset and split of a data set on a hub, by the rules of `datasets`."""

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from medtune.runtime.errors import InputError
from medtune.runtime.paths import check_member


def find_split(
    repository: object, paths: Sequence[str], card: str, subset: str, split: str
) -> set[str]:
    """Returns the `paths` of a split, or those of all splits if `split` is empty.

    `card` is the repository's README.md, whose header may define subsets and splits; names of files
    say the rest ("data/train-00000-of-00002.parquet"). `datasets` judges empty files of these
    names, so that it loads nothing and the files are downloaded and checked as all others are.
    """
    with TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve() / "data"
        for path in paths:
            check_member(repository, path, path)
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).touch()
        if card.startswith("---"):
            _refuse_addresses(repository, card)
            (folder / "README.md").write_text(card, encoding="utf-8")
        splits = _list_splits(repository, folder, subset)
    if split and split not in splits:
        raise InputError(f"{repository} has no split {split}, only {', '.join(splits)}")
    found = {path for name, files in splits.items() if split in ("", name) for path in files}
    return found & set(paths)


def _refuse_addresses(repository: object, card: str) -> None:
    """Raises InputError if the header names data that lies elsewhere, where nothing is pinned."""
    from huggingface_hub import DatasetCard

    try:
        configs = DatasetCard(card).data.to_dict().get("configs")
    except Exception as error:  # YAML has many; huggingface_hub adds its own
        first_line = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{repository} has a README.md whose header can't be read ({first_line}): name the "
            "folder of the files in place of a split"
        ) from None
    if "://" in json.dumps(configs, default=str):
        raise InputError(
            f"{repository} keeps its data elsewhere, at an address that its README.md names: "
            "choose another data set"
        )


def _list_splits(repository: object, folder: Path, subset: str) -> dict[str, list[str]]:
    """Returns the paths of each split, relative to the folder."""
    import datasets

    is_folder = bool(subset) and (folder / subset).is_dir()
    subsets: list[str] = []
    try:
        subsets = datasets.get_dataset_config_names(str(folder))
        is_named = subset in subsets or not is_folder
        builder = datasets.load_dataset_builder(
            str(folder),
            name=subset if subset and is_named else None,
            data_dir=None if is_named else subset,
            cache_dir=str(folder.with_name("cache")),
        )
    except (ValueError, OSError) as error:
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        first_line = first_line.replace(str(folder), "the repository")
        raise InputError(
            f"{repository}: datasets can't tell which files are meant ({first_line}): choose one "
            f"of its subsets ({', '.join(subsets) or 'none found'}) or folders, as in "
            "hub://owner/name@revision/subset?split=train"
        ) from None
    files: Any = builder.config.data_files or {}
    root = folder.as_posix() + "/"
    return {str(split): [str(path).removeprefix(root) for path in files[split]] for split in files}
