"""The notebook, executed as a reader would, on the smoke preset."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import warm_python
from tests.loopback_server import free_port

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks/quickstart.ipynb"
# Stands in for the installation and the first run: the environment of the tests, marked as
# installed, with commands that start at once, and the outputs of a smoke run.
LINK = """
import shutil
from pathlib import Path

for output in ("data", "models", "metrics", "plots", "reports", "dvc.lock", ".dvc/cache"):
    copy = shutil.copytree if Path({smoke!r}, output).is_dir() else shutil.copy
    shutil.rmtree(output, ignore_errors=True)
    copy(Path({smoke!r}, output), output)
Path(".venv/bin").mkdir(parents=True)
for part in ("lib", "pyvenv.cfg"):
    Path(".venv", part).symlink_to(Path({environment!r}, part))
for command in Path({environment!r}, "bin").iterdir():
    warm = Path({warm!r}, command.name)
    Path(".venv/bin", command.name).symlink_to(warm if warm.exists() else command)
for stamp in ("run", "app"):
    Path(".venv", stamp).touch()
"""


def cell_with(notebook: Any, text: str) -> int:
    (number,) = [n for n, cell in enumerate(notebook.cells) if text in cell.source]
    return number


def set_parameter(notebook: Any, old: str, new: str) -> None:
    cell = notebook.cells[cell_with(notebook, old)]
    cell.source = cell.source.replace(old, new)


def printed(notebook: Any) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.text for output in outputs if output.output_type == "stream")


def test_notebook_is_committed_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code and not any(cell["outputs"] for cell in code)


@pytest.mark.slow
def test_notebook_runs_from_the_clone_to_the_chat(
    smoke: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # the kernel would not show what processes print
    reader = tmp_path / "reader"
    reader.mkdir()
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    set_parameter(notebook, 'REPOSITORY = ""', f'REPOSITORY = "{smoke}"')
    set_parameter(notebook, 'PRESET = "default"', 'PRESET = "smoke"')
    set_parameter(notebook, "PORT = 8000", f"PORT = {free_port()}")
    folders = {"environment": sys.prefix, "smoke": str(smoke), "warm": str(warm_python.folder())}
    link = nbformat.v4.new_code_cell(LINK.format(**folders))
    notebook.cells.insert(cell_with(notebook, '"git", "clone"') + 1, link)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(reader)}}).execute()
    shown = [cell.get("outputs", []) for cell in notebook.cells]
    kinds = {kind for outputs in shown for output in outputs for kind in output.get("data", {})}
    assert {"image/png", "text/html"} <= kinds
    text = printed(notebook)
    assert "perplexity" in text and "base:" in text and "finetuned:" in text
