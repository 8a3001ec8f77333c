"""Refuses files that do not have the sha256 of their URI; hub.py checks the hub's own hashes."""

import hashlib
from pathlib import Path

from medtune.runtime.errors import InputError


def check_file(name: str, path: Path, expected: str) -> None:
    """Raises InputError, which calls the file `name`, if its sha256 is not `expected`."""
    with path.open("rb") as file:
        check_digest(name, hashlib.file_digest(file, "sha256").hexdigest(), expected)


def check_digest(name: str, found: str, expected: str) -> None:
    """Raises InputError if two sha256 differ."""
    if found != expected:
        raise InputError(
            f"{name} has sha256 {found}, expected {expected}: refused; "
            "if this file is the right one, write its sha256 in the source"
        )
