from pathlib import Path

import pytest

from medtune.export import folders
from medtune.export.folders import check_folder
from medtune.runtime.errors import InputError

MARK = "Written by a command."


@pytest.mark.parametrize(
    ("about", "patterns"),
    [("README.txt", folders.CARDS), ("README.md", folders.MERGED), ("README.md", folders.SPACE)],
    ids=["cards", "merged", "space"],
)
@pytest.mark.parametrize("other", ["notes.txt", "model.gguf", "more/"])
def test_a_folder_is_replaced_only_if_all_in_it_is_known(
    about: str, patterns: tuple[str, ...], other: str, tmp_path: Path
) -> None:
    for name in patterns:
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).touch()
    (tmp_path / about).write_text(f"# A title\n\n{MARK}")
    check_folder(tmp_path, about, MARK, patterns, "kind")
    (tmp_path / other).mkdir() if other.endswith("/") else (tmp_path / other).touch()
    line = rf"contains {other.rstrip('/')}, which was not written by medtune export kind: "
    with pytest.raises(InputError, match=line):
        check_folder(tmp_path, about, MARK, patterns, "kind")


def test_known_names_are_not_enough_without_the_mark(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(InputError, match=r"contains README\.md, which was not written by"):
        check_folder(tmp_path, "README.md", MARK, folders.MERGED, "merged")
