import json
from pathlib import Path

import pytest

from app.feedback_file import append_line


def test_lines_are_appended_in_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "new/votes.jsonl"
    for number in (1, 2):
        append_line(path, {"µ": number})
    lines = path.read_text(encoding="utf-8").splitlines()
    assert list(map(json.loads, lines)) == [{"µ": 1}, {"µ": 2}]
    assert path.stat().st_mode & 0o077 == 0


def test_a_link_in_the_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "votes.jsonl"
    target.touch()
    link.symlink_to(target)
    with pytest.raises(OSError, match="symbolic"):
        append_line(link, {"a": 1})
    assert target.read_bytes() == b""
