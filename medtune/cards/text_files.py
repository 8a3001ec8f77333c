"""Reads text files line by line in a stated encoding; no encoding is guessed."""

import codecs
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medtune.cards.table_errors import FIX_SOURCE, readable
from medtune.runtime.errors import InputError

MAX_CHARACTERS = 2**25  # of a line and of a cell; no card is longer
BLOCK_BYTES = 2**20
PACKED_STARTS = {  # the first bytes of a file that is compressed
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"PK\x03\x04": "a ZIP archive, as Excel workbooks are",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf": "7z",
    b"Rar!": "RAR",
}


def read_lines(path: Path, encoding: str) -> Iterator[str]:
    """Yields the lines with their endings: LF, CR LF or CR, which JSON strings must escape."""
    with open_text(path, encoding) as file:
        number = 1
        while line := file.readline(MAX_CHARACTERS + 1):
            if len(line) > MAX_CHARACTERS:
                raise InputError(
                    f"{path}, line {number} is longer than {MAX_CHARACTERS} characters, more "
                    f"than any card: {FIX_SOURCE}"
                )
            yield line
            number += 1


@contextmanager
def open_text(path: Path, encoding: str) -> Iterator[io.TextIOWrapper]:
    """Opens a text file; one that begins with the byte order mark of UTF-8 is read as UTF-8.

    Raises InputError that names the first byte that the encoding does not have.
    """
    try:
        with readable(path), path.open("rb") as file:
            start = file.read(5)
            for first_bytes, kind in PACKED_STARTS.items():
                if start.startswith(first_bytes):
                    raise InputError(
                        f"{path} is compressed ({kind}): unpack it, and name what was in it "
                        "in download.dataset"
                    )
            found = json.detect_encoding(start[:4])
            file.seek(len(codecs.BOM_UTF8) if found == "utf-8-sig" else 0)
            if found == "utf-8-sig":
                encoding = "utf-8"
            elif found != "utf-8" and _is_single_byte(encoding):
                raise InputError(
                    f"{path} is not {encoding.upper()} but {found.upper()}: save it as UTF-8, or "
                    f"set clean.encoding to {found[:6]}"
                )
            yield io.TextIOWrapper(file, encoding=encoding, newline="")
    except UnicodeError:
        remedy = "save it as UTF-8, or name its encoding in clean.encoding (often cp1252)"
        if _is_single_byte(encoding) and codecs.lookup(encoding).name != "utf-8":
            remedy = "name another encoding in clean.encoding, or save it as UTF-8"
        place = _find_bad_byte(path, encoding)
        raise InputError(f"{path} is not {encoding.upper()} at byte {place}: {remedy}") from None


def _is_single_byte(encoding: str) -> bool:
    """Returns whether the encoding writes ASCII as ASCII, unlike UTF-16 and UTF-32."""
    return "a".encode(encoding) == b"a"


def _find_bad_byte(path: Path, encoding: str) -> int:
    decoder = codecs.getincrementaldecoder(encoding)()
    with path.open("rb") as file:
        while True:
            start = file.tell() - len(decoder.getstate()[0])
            block = file.read(BLOCK_BYTES)
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                return start + error.start
            except UnicodeError:  # UTF-16 without its byte order mark
                return 0
            assert block, f"the file was not {encoding} a moment ago"
