"""Downloads the base model, the data set or multiple-choice questions named in params.yaml.

Reads download.<target> of params.yaml. Writes models/base/ (safetensors and tokenizer), data/raw/
or data/choices/<set>/ (the unchanged files; an empty folder if params.yaml says null).

    python -m stages.download model
    python -m stages.download dataset
    python -m stages.download choices_medical
    python -m stages.download choices_general
"""

import logging
import shutil
import sys
from pathlib import Path

from medtune.config.allowed_values import as_list
from medtune.config.loading import load_params
from medtune.runtime.atomic_files import replacing
from medtune.runtime.errors import InputError
from medtune.runtime.stage import run
from medtune.sources.conversion import write_checkpoint
from medtune.sources.fetch import fetch, fetch_all

logger = logging.getLogger("medtune")

OUTPUTS = {
    "model": Path("models/base"),
    "dataset": Path("data/raw"),
    "choices_medical": Path("data/choices/medical"),
    "choices_general": Path("data/choices/general"),
}


def read_target(arguments: list[str]) -> str:
    if len(arguments) == 1 and arguments[0] in OUTPUTS:
        return arguments[0]
    got = " ".join(arguments) or "nothing"
    raise InputError(f"download takes one of {', '.join(OUTPUTS)}, got {got}")


def main() -> None:
    target = read_target(sys.argv[1:])
    source = load_params(f"download.{target}")
    uris = as_list(source)
    output = OUTPUTS[target]
    with replacing(output) as partial:
        if target == "model":
            fetched = partial / ".fetched"
            fetch(source, "model", fetched)
            write_checkpoint(fetched, partial)
            shutil.rmtree(fetched)
        else:
            partial.mkdir()
            fetch_all(uris, "dataset", partial)
        sizes = [path.stat().st_size for path in partial.rglob("*") if path.is_file()]
    named = " and ".join(uris) or "no source"
    logger.info("%s → %d files, %.1f MB in %s", named, len(sizes), sum(sizes) / 1e6, output)


if __name__ == "__main__":
    run("_".join(["download", *sys.argv[1:]]), main)
