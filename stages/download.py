"""Fetches the base model or the data set that params.yaml names.

Reads download.model or download.dataset of params.yaml.
Writes models/base/ (safetensors and tokenizer) or data/raw/ (the files as they are).

    python -m stages.download model
    python -m stages.download dataset
"""

import logging
import shutil
import sys
from pathlib import Path

from medtune.conversion import write_checkpoint
from medtune.errors import InputError
from medtune.files import replacing
from medtune.params import load_params
from medtune.sources import Target, fetch
from medtune.stage import run

logger = logging.getLogger("medtune")

OUTPUTS: dict[Target, Path] = {"model": Path("models/base"), "dataset": Path("data/raw")}


def read_target(arguments: list[str]) -> Target:
    for target in OUTPUTS:
        if arguments == [target]:
            return target
    raise InputError(f"download takes model or dataset, got {' '.join(arguments) or 'nothing'}")


def main() -> None:
    target = read_target(sys.argv[1:])
    uri = load_params(f"download.{target}")
    output = OUTPUTS[target]
    with replacing(output) as partial:
        if target == "model":
            fetched = partial / ".fetched"
            fetch(uri, target, fetched)
            write_checkpoint(fetched, partial)
            shutil.rmtree(fetched)
        else:
            fetch(uri, target, partial)
        sizes = [path.stat().st_size for path in partial.rglob("*") if path.is_file()]
    logger.info("%s → %d files, %.1f MB in %s", uri, len(sizes), sum(sizes) / 1e6, output)


if __name__ == "__main__":
    run("_".join(["download", *sys.argv[1:]]), main)
