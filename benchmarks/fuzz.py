"""Feeds mutated files to the readers and to clean: only records or an InputError may come out.

Every case is made from the seed and its number alone, so that a finding (an exception, a crash of
the process, a hang or too much memory) can be repeated; its file is kept in .hypothesis/fuzz/.

    python -m benchmarks.fuzz --cases 200000
    python -m benchmarks.fuzz --seed 3 --case 4711      # one case again, with its traceback
"""

import argparse
import math
import multiprocessing
import random
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import chdir, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from benchmarks.corpus import make_file, mutate
from medtune.cards.readers import read_records
from medtune.cards.records import Record
from medtune.config.loading import load_params
from medtune.config.schema import Clean, Columns
from medtune.runtime.errors import InputError
from medtune.sources.pypi import unpack
from stages import clean as stage

ONTOLOGY = ("hp.obo", "phenotype.hpoa")
NAMES = ("a.csv", "a.tsv", "a.json", "a.jsonl", "a.parquet", "a.arrow", *ONTOLOGY, "a.whl")
KEPT = Path(".hypothesis/fuzz")
TIME_LIMIT_S = 20
MEMORY_BYTES = 4 * 2**30  # of address space, beyond what a process is forked with
CASES = 1000  # of a process
CLEANED_TOGETHER = 500  # cases


@dataclass(frozen=True)
class Case:
    name: str
    files: dict[str, bytes]


def make_case(seed: int, number: int) -> Case:
    draw = random.Random(f"{seed}:{number}")
    name = draw.choice(NAMES)
    other = make_file(draw.choice(NAMES), draw)
    return Case(name, make_companions(name) | {name: mutate(make_file(name, draw), other, draw)})


def make_companions(name: str) -> dict[str, bytes]:
    """The files that a file is read with."""
    pair = ONTOLOGY if name in ONTOLOGY else ()
    return {file: make_file(file, random.Random(0)) for file in pair}


def read_case(case: Case, folder: Path, clean: Clean) -> Iterator[Record]:
    """Writes a case into an empty folder and yields its records; raises InputError if refused."""
    for name, content in case.files.items():
        (folder / name).write_bytes(content)
    if case.name == "a.whl":
        unpack(folder / case.name, "cards", "pypi://cards==1/cards", folder)
        return
    if len(case.files) == 1:
        columns = Columns(question="q", answer="a", kind=None, topic=None)
        clean = clean.model_copy(update={"reader": "columns", "columns": columns})
    yield from read_records(folder, clean)


def clean_records(records: list[Record], clean: Clean) -> None:
    """Runs the stage on these records in place of data/raw."""
    with (
        tempfile.TemporaryDirectory() as folder,
        chdir(folder),
        mock.patch.object(stage, "load_params", lambda *_: clean),
        mock.patch.object(stage, "read_records", lambda *_: iter(records)),
        suppress(InputError),  # none can be kept
    ):
        stage.main()


def run_case(case: Case, clean: Clean) -> tuple[str, list[Record]]:
    """Returns "read" or "refused", and the records until then."""
    records: list[Record] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            records.extend(read_case(case, Path(folder), clean))
        except InputError:
            return "refused", records
    return "read", records


def keep(seed: int, number: int, what: str) -> str:
    """Writes the files of a finding, and returns what to say of it."""
    folder = KEPT / f"{seed}-{number}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in make_case(seed, number).files.items():
        (folder / name).write_bytes(content)
    return f"case {number} of seed {seed}: {what}, kept in {folder}"


def work(seed: int, numbers: range, current: Any, results: Any) -> None:
    """Runs cases in a process of its own; `current` is the number of the one that is run."""
    limit = psutil.Process().memory_info().vms + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    clean, counts, findings = load_params("clean"), Counter[str](), []
    waiting: dict[int, list[Record]] = {}  # by the number of their case
    for number in numbers:
        current.value = number
        case = make_case(seed, number)
        try:
            outcome, waiting[number] = run_case(case, clean)
        except Exception:
            findings.append(keep(seed, number, traceback.format_exc()))
            continue
        found = len(waiting[number])
        counts.update({f"{case.name} {outcome}": 1, f"{case.name} records": found})
        counts["records"] += found
        if len(waiting) >= CLEANED_TOGETHER or number == numbers[-1]:
            findings += [keep(seed, *finding) for finding in find_faults(waiting, clean)]
            waiting = {}
    results.send((counts, findings))


def find_faults(waiting: dict[int, list[Record]], clean: Clean) -> Iterator[tuple[int, str]]:
    """Cleans the records of all cases together; where that fails, yields the cases to blame."""
    try:
        clean_records([record for records in waiting.values() for record in records], clean)
    except Exception:
        for number, records in waiting.items():
            try:
                clean_records(records, clean)
            except Exception:
                yield number, traceback.format_exc()


def fuzz(seed: int, cases: int, limit_s: float = math.inf) -> tuple[Counter[str], list[str]]:
    """Runs the first cases of a seed, until time is up; returns the counts and the findings."""
    counts, findings = Counter[str](), []
    current = multiprocessing.Value("q")
    start, end_s = 0, time.perf_counter() + limit_s
    while start < cases and time.perf_counter() < end_s:
        numbers = range(start, min(start + CASES, cases))
        receiver, sender = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.Process(target=work, args=(seed, numbers, current, sender))
        process.start()
        sender.close()
        try:
            new_counts, new_findings = _receive(process, receiver, current)
            counts += new_counts
            findings += new_findings
            start = numbers.stop
        except EOFError:
            process.join()
            what = f"the process ended with {process.exitcode}"
            findings.append(keep(seed, current.value, what))
            start = current.value + 1
        except TimeoutError as error:
            findings.append(keep(seed, current.value, str(error)))
            start = current.value + 1
    counts["cases"] = start
    return counts, findings


def _receive(process: multiprocessing.Process, receiver: Any, current: Any) -> Any:
    """Waits for what a process sends; raises EOFError if it died, TimeoutError if it hung."""
    before = None
    while not receiver.poll(TIME_LIMIT_S):
        if current.value == before:
            process.kill()
            process.join()
            raise TimeoutError(f"no end within {TIME_LIMIT_S} s")
        before = current.value
    return receiver.recv()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, default=math.inf, help="ends earlier, after these")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="run this one alone")
    arguments = parser.parse_args()
    if arguments.case is not None:
        case, clean = make_case(arguments.seed, arguments.case), load_params("clean")
        outcome, records = run_case(case, clean)
        clean_records(records, clean)
        print(f"{case.name}: {outcome}, {len(records)} records")
        return
    start = time.perf_counter()
    counts, findings = fuzz(arguments.seed, arguments.cases, arguments.minutes * 60)
    elapsed_s = time.perf_counter() - start
    print("file              read  refused  records")
    for name in NAMES:
        row = (counts[f"{name} {what}"] for what in ("read", "refused", "records"))
        print(f"{name:14}", *(f"{count:>8}" for count in row))
    print(
        f"{counts['cases']} cases of seed {arguments.seed} in {elapsed_s:.0f} s "
        f"({counts['cases'] / elapsed_s:.0f}/s), {counts['records']} records, "
        f"{len(findings)} findings"
    )
    print(*findings, sep="\n")
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
