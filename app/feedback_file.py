"""Keeps what readers say, a line each."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def append_line(path: Path, content: Mapping[str, Any]) -> None:
    """Appends a line of JSON to a file, and flushes it to the disk. Raises OSError.

    One call writes the whole line, so that lines of several users do not mix. A link in the file's
    place, which could lead to any other file, is not followed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(content, ensure_ascii=False) + "\n"
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    file = os.open(path, flags, 0o600)
    try:
        os.write(file, line.encode(errors="replace"))
        os.fsync(file)
    finally:
        os.close(file)
