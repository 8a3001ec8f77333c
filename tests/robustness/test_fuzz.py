"""Damaged files end in records or in an InputError, whatever the damage.

Hypothesis draws a seed for each case, from which the file and its damage follow; a failure shows
the seed that repeats it. A long run of some minutes, with other seeds:

    python -m pytest tests/robustness/test_fuzz.py --fuzz-cases 20000 --hypothesis-seed 1
"""

import json
import random
import resource
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from unittest import mock

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medtune.cards.readers import read_records
from medtune.cards.records import Record
from medtune.config.loading import load_params
from medtune.config.schema import Clean, Columns
from medtune.runtime.errors import InputError
from medtune.sources.pypi import unpack
from stages import clean as stage
from tests.ontology_files import mondo_terms
from tests.robustness.damaged_files import compressed, damaged, make_file

MONDO = "MONDO-ontology-v2026-05-05.json.zst"
ONTOLOGIES = ("hp.obo", "phenotype.hpoa", MONDO)  # which are read together
NAMES = ("a.csv", "a.tsv", "a.json", "a.jsonl", "a.parquet", "a.arrow", *ONTOLOGIES, "a.whl")
TIME_LIMIT_MS = 20_000
MEMORY_BYTES = 4 * 2**30  # of address space, beyond what the process has already


@pytest.fixture(autouse=True)
def limited_memory() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = psutil.Process().memory_info().vms + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def read(name: str, draw: random.Random, clean: Clean) -> list[Record]:
    """Writes a damaged file and reads it, or unpacks it; raises InputError where it is refused."""
    other = make_file(draw.choice(NAMES), draw)
    content = damaged(make_file(name, draw), other, draw)
    if name == MONDO and draw.random() < 0.75:
        content = compressed(damaged(json.dumps(mondo_terms()).encode(), other, draw))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if name in ONTOLOGIES:
            readers = ["ontologies"] if name == MONDO else ["hpo", "ontologies"]
            clean = clean.model_copy(update={"reader": draw.choice(readers)})
            for companion in ONTOLOGIES:
                (folder / companion).write_bytes(make_file(companion, draw))
        else:
            columns = Columns(question="q", answer="a", kind=None, topic=None)
            reader = draw.choice(["columns", "auto"])
            named = columns if reader == "columns" else None
            clean = clean.model_copy(update={"reader": reader, "columns": named})
        (folder / name).write_bytes(content)
        if name == "a.whl":
            unpack(folder / name, "cards", "pypi://cards==1/cards", folder)
            return []
        return list(read_records(folder, clean))


def clean_records(records: list[Record], clean: Clean) -> None:
    """Runs the stage on these records in the place of data/raw."""
    with (
        tempfile.TemporaryDirectory() as folder,
        chdir(folder),
        mock.patch.object(stage, "load_params", lambda *_: clean),
        mock.patch.object(stage, "read_records", lambda *_: iter(records)),
    ):
        stage.main()


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_ends_in_records_or_an_input_error(
    name: str, request: pytest.FixtureRequest
) -> None:
    cases, seeded = map(request.config.getoption, ("--fuzz-cases", "--hypothesis-seed"))
    clean = load_params("clean")
    outcomes: Counter[str] = Counter()
    records: list[Record] = []

    @settings(max_examples=cases, deadline=TIME_LIMIT_MS, derandomize=seeded is None)
    @given(seed=st.integers(0, 2**63))
    def check(seed: int) -> None:
        try:
            found = read(name, random.Random(seed), clean)
            outcomes["read"] += 1
        except InputError:
            outcomes["refused"] += 1
        except Exception as error:
            error.add_note(f"again: read({name!r}, random.Random({seed}), clean)")
            raise
        else:
            records.extend(found)

    check()
    if records:
        clean_records(records, clean)
    print(name, dict(outcomes), len(records), "records")
    assert outcomes["read"] > cases / 20 and outcomes["refused"] > cases / 20
