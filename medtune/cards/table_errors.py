"""One-line errors about tables that cannot be read."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from medtune.runtime.errors import InputError

FETCH_AGAIN = "fetch it again with dvc repro -f download@dataset"
FIX_SOURCE = "fix it at the source (download.dataset), then run dvc repro -f download@dataset"
# Gets a file and the names of its columns; returns those to read or raises InputError.
Choose = Callable[[Path, Sequence[str]], Sequence[str]]
HEADED = (".csv", ".tsv", ".xlsx", ".xlsm")  # tables whose first row names the columns
NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")
MAX_NAMES = 50
MAX_NAME = 80  # characters


class MissingColumnsError(InputError):
    """A table lacks the requested `columns`."""

    def __init__(self, message: str, columns: Sequence[str]) -> None:
        super().__init__(message)
        self.columns = columns


def listed(names: Iterable[str]) -> str:
    """Joins names with commas: at most 50 names, and 80 characters of each."""
    names = iter(names)
    shown = islice(names, MAX_NAMES)
    text = ", ".join(name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}…" for name in shown)
    more = sum(1 for _ in names)
    return text + (f" and {more} more" if more else "")


def lacks_header(path: Path, found: Sequence[str]) -> bool:
    """Returns whether the names of the columns read like a card, in a file that has them first."""
    return path.suffix.lower() in HEADED and any(map(_is_no_name, found))


def _is_no_name(column: str) -> bool:
    is_long, is_question = len(column.split()) > 3, column.endswith(("?", "？", "؟"))
    return is_long or is_question or NUMBER.fullmatch(column) is not None


def check_columns(path: Path, found: Sequence[str], columns: Sequence[str]) -> None:
    """Raises InputError if `found` lacks one of `columns` or has it twice."""
    missing = [column for column in columns if column not in found]
    if missing:
        remedy = "choose the clean.reader that fits, or name the columns in clean.columns"
        if lacks_header(path, found):
            remedy += "; if this is a card, write a row with the names of the columns above it"
        only = listed(map(repr, found))
        raise MissingColumnsError(
            f"{path} has no column {listed(map(repr, missing))}, only {only}: {remedy}", missing
        )
    if any(found.count(column) > 1 for column in columns):
        raise InputError(f"{path} has two columns of the same name ({listed(found)}): {FIX_SOURCE}")


def require(columns: Sequence[str]) -> Choose:
    """Returns a function that chooses these columns of every file that has them all."""

    def choose(path: Path, found: Sequence[str]) -> Sequence[str]:
        check_columns(path, found, columns)
        return columns

    return choose


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns the operating system's errors in reading a file into an InputError."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # raised by pyarrow
            raise
        raise InputError(f"{path} can't be read ({error.strerror}): {FETCH_AGAIN}") from None
