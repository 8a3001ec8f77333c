"""The notebook, executed as a reader would, on the smoke preset."""

import socket
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.projects import copy_project

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks/quickstart.ipynb"
# Stands in for the installation: the environment of the tests, marked as installed.
LINK = """
from pathlib import Path

Path(".venv").mkdir()
for part in ("bin", "lib", "pyvenv.cfg"):
    Path(".venv", part).symlink_to(Path({environment!r}, part))
for stamp in ("run", "app"):
    Path(".venv", stamp).touch()
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def cell_with(notebook: nbformat.NotebookNode, text: str) -> int:
    (number,) = [n for n, cell in enumerate(notebook.cells) if text in cell.source]
    return number


def set_parameter(notebook: nbformat.NotebookNode, old: str, new: str) -> None:
    cell = notebook.cells[cell_with(notebook, old)]
    cell.source = cell.source.replace(old, new)


def printed(notebook: nbformat.NotebookNode) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.text for output in outputs if output.output_type == "stream")


def test_notebook_is_committed_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)


def test_notebook_runs_from_the_clone_to_the_chat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # the kernel would not show what processes print
    (tmp_path / "repository").mkdir()
    copy_project(tmp_path / "repository")
    reader = tmp_path / "reader"
    reader.mkdir()
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    set_parameter(notebook, 'REPOSITORY = ""', f'REPOSITORY = "{tmp_path / "repository"}"')
    set_parameter(notebook, 'PRESET = "default"', 'PRESET = "smoke"')
    set_parameter(notebook, "PORT = 8000", f"PORT = {free_port()}")
    link = nbformat.v4.new_code_cell(LINK.format(environment=sys.prefix))
    notebook.cells.insert(cell_with(notebook, '"git", "clone"') + 1, link)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(reader)}}).execute()
    shown = [cell.get("outputs", []) for cell in notebook.cells]
    kinds = {kind for outputs in shown for output in outputs for kind in output.get("data", {})}
    assert {"image/png", "text/html"} <= kinds
    text = printed(notebook)
    assert "perplexity" in text and "base:" in text and "finetuned:" in text
