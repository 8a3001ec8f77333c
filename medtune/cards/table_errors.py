"""What is said of a table that cannot be read, in one line however much it holds."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from medtune.runtime.errors import InputError

FETCH_AGAIN = "fetch it again with dvc repro -f download@dataset"
MEND = "mend it at the source that download.dataset names, then dvc repro -f download@dataset"
MAX_NAMES = 50
MAX_NAME = 80  # characters


class MissingColumnsError(InputError):
    """A table lacks `columns` that it was asked for."""

    def __init__(self, message: str, columns: Sequence[str]) -> None:
        super().__init__(message)
        self.columns = columns


def listed(names: Iterable[str]) -> str:
    """Joins names with commas: no more than 50, and 80 characters of each."""
    names = iter(names)
    shown = islice(names, MAX_NAMES)
    text = ", ".join(name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}…" for name in shown)
    more = sum(1 for _ in names)
    return text + (f" and {more} more" if more else "")


def check_columns(path: Path, found: Sequence[str], columns: Sequence[str]) -> None:
    """Raises InputError where `found` lacks one of `columns`, or has it twice."""
    missing = [column for column in columns if column not in found]
    if missing:
        raise MissingColumnsError(
            f"{path} has no column {listed(map(repr, missing))}, it has "
            f"{listed(map(repr, found))}: choose the clean.reader that fits, or name the columns "
            "in clean.columns",
            missing,
        )
    if any(found.count(column) > 1 for column in columns):
        raise InputError(f"{path} names two columns alike ({listed(found)}): {MEND}")


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns what the operating system has against reading a file into an InputError."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # one of pyarrow's
            raise
        raise InputError(f"{path} can't be read ({error.strerror}): {FETCH_AGAIN}") from None
