"""The file of the Mondo Disease Ontology that the package cellxgene-ontology-guide carries."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from medtune.runtime.errors import InputError

FILE_NAME = re.compile(r"MONDO-ontology-v(\d{4}-\d{2}-\d{2})\.json\.zst")
HUMAN_DISEASE = "MONDO:0700096"
MAX_BYTES = 2**28  # unpacked; the release of May 2026 has 17 MB
BLOCK = 2**20  # bytes that are unpacked at a time
# Errors of a file that is cut, no JSON, or JSON of another layout.
DAMAGES = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError),
    *(OverflowError, RecursionError),
)
AGAIN = "fetch it again with dvc repro -f download@dataset"


@dataclass(frozen=True)
class MondoDisease:
    """A human disease. `ancestors` maps ids to distances; those at distance 1 are the parents."""

    id: str
    label: str
    definition: str
    synonyms: tuple[str, ...]
    ancestors: dict[str, int]

    @property
    def parents(self) -> list[str]:
        return sorted(ancestor for ancestor, steps in self.ancestors.items() if steps == 1)


def read_mondo(folder: Path) -> tuple[str, dict[str, MondoDisease]]:
    """Returns the release and the human diseases by id, without obsolete ones."""
    releases = {
        match[1]: path for path in folder.iterdir() if (match := FILE_NAME.match(path.name))
    }
    if len(releases) != 1:
        raise InputError(
            f"{folder} has {len(releases)} files MONDO-ontology-v….json.zst: the ontologies reader "
            "needs one from cellxgene-ontology-guide, as in the default download.dataset"
        )
    [(release, path)] = releases.items()
    try:
        with pa.input_stream(str(path), compression="zstd") as stream:
            content = bytearray()
            while len(content) <= MAX_BYTES and (block := stream.read(BLOCK)):
                content += block
        if len(content) > MAX_BYTES:
            raise InputError(f"{path} unpacks to more than {MAX_BYTES} bytes: refused")
        terms = json.loads(content)
        known = {
            each: _disease(each, term) for each, term in terms.items() if not term["deprecated"]
        }
    except DAMAGES:
        raise InputError(f"{path} is damaged or has another layout: {AGAIN}") from None
    return release, {
        term_id: disease for term_id, disease in known.items() if HUMAN_DISEASE in disease.ancestors
    }


def _disease(term_id: str, term: dict[str, Any]) -> MondoDisease:
    ancestors = {str(ancestor): int(steps) for ancestor, steps in term["ancestors"].items()}
    label, definition = str(term["label"]), str(term.get("description", ""))
    synonyms = tuple(map(str, term.get("synonyms", ())))
    "".join((term_id, label, definition, *synonyms)).encode()  # refuses halves of surrogate pairs
    return MondoDisease(term_id, label, definition, synonyms, ancestors)
