"""Writes a folder that runs as a Gradio Space: its page, the code that it imports, both models.

medtune export space FOLDER
"""

import ast
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medtune.disclaimer import DISCLAIMER
from medtune.export import folders
from medtune.export.folders import check_folder
from medtune.export.hub import REPOSITORY
from medtune.export.run_files import read_run_params
from medtune.modeling.adapters import ADAPTER
from medtune.modeling.adapters import FILES as ADAPTER_FILES
from medtune.modeling.loading import BASE, require
from medtune.runtime.atomic_files import replacing, write_json
from medtune.runtime.errors import InputError

PAGE = Path(__file__).with_name("space_app.py")  # read here, run in the Space
ROOT = PAGE.parents[2]
SETTINGS = "space.json"
LOCK, APP_LOCK = Path("requirements.txt"), Path("requirements-app.txt")
# The packages that the page imports and Gradio does not bring.
PACKAGES = ("peft", "pyarrow", "torch", "transformers")
CPU_BUILDS = "--extra-index-url https://download.pytorch.org/whl/cpu"
BASE_FILES = ("config.json", "generation_config.json", "*.safetensors", "*.index.json")
PLACE = re.compile(rf"({REPOSITORY.pattern})(?:@([^/@]+))?", re.ASCII)
MARK = "Written by `medtune export space`, which replaces this folder whenever it runs."
CARD = """---
title: Medical question-answer cards
sdk: gradio
sdk_version: {gradio}
python_version: "{python}"
app_file: app.py
short_description: A small language model before and after fine-tuning
---

# Medical question-answer cards

A page that asks a small language model the same question before and after its fine-tuning on
question-answer cards. {disclaimer}

`app.py` is the page, `space.json` its settings, `medtune/` the code that makes the answers.

To run it here: `pip install gradio=={gradio} -r requirements.txt`, then `python app.py`.

{mark}
"""


def export(folder: Path, adapter: str | None, base: str | None) -> None:
    """Replaces the folder; raises InputError if it has anything else in it.

    `adapter` and `base` name repositories of a hub, as owner/name or owner/name@revision. Without
    them, the adapter is copied into the Space, and the base model comes from the hub if
    the run took it from there, otherwise it is copied too.
    """
    check_folder(folder, "README.md", MARK, folders.SPACE, "space")
    params = read_run_params(Path())
    model = params.download.model
    if base is None and model.startswith("hub://"):
        base = model.removeprefix("hub://")
    places = {"adapter": adapter, "base": base}
    settings = {name: _place(name, repository) for name, repository in places.items()}
    with replacing(folder) as temporary:
        temporary.mkdir()
        if adapter is None:
            _copy(ADAPTER, ADAPTER_FILES, temporary / "adapter", "train")
        if base is None:
            _copy(BASE, BASE_FILES, temporary / "base", "download@model")
        run = {"evaluate": params.evaluate.model_dump(), "seed": params.seed}
        write_json(temporary / SETTINGS, settings | run)
        _write_code(temporary)
        _write_texts(temporary)


def pinned(package: str, lock: Path = LOCK) -> str:
    """Returns the version of a package in a lock file."""
    found = re.search(rf"^{re.escape(package)}==(\S+)", lock.read_text(encoding="utf-8"), re.M)
    if not found:
        raise InputError(f"{lock} pins no {package}: restore it with `git checkout {lock}`")
    return found[1]


def modules_of(program: Path, root: Path = ROOT) -> list[Path]:
    """Returns the files of medtune that a program imports, directly or through others, sorted."""
    found: set[Path] = set()
    waiting = [program]
    while waiting:
        new = {
            path
            for name in _imported(waiting.pop())
            for path in _files_of(root, name.split("."))
            if path not in found
        }
        found |= new
        waiting += sorted(new)
    return sorted(found)


def _imported(program: Path) -> Iterator[str]:
    """Yields the names that a file imports from medtune, also within functions."""
    for node in ast.walk(ast.parse(program.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("medtune"):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("medtune"))


def _files_of(root: Path, parts: list[str]) -> Iterator[Path]:
    """Yields the module of a dotted name and the packages around it."""
    for n in range(1, len(parts) + 1):
        path = root.joinpath(*parts[:n])
        yield from (p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file())


def _place(name: str, repository: str | None) -> dict[str, Any]:
    """Returns where the page finds a model: a folder of the Space, or a repository of a hub."""
    if repository is None:
        return {"folder": name}
    match = PLACE.fullmatch(repository)
    if not match:
        raise InputError(f"--{name} must be owner/name or owner/name@revision, got {repository}")
    return {"repository": match[1]} | ({"revision": match[2]} if match[2] else {})


def _copy(source: Path, patterns: tuple[str, ...], target: Path, stage: str) -> None:
    """Copies a model's files, as files: DVC may have linked them to its cache."""
    require(source / patterns[0], stage)
    target.mkdir()
    for path in sorted({path for pattern in patterns for path in source.glob(pattern)}):
        shutil.copyfile(path, target / path.name)


def _write_code(folder: Path) -> None:
    shutil.copyfile(PAGE, folder / "app.py")
    for path in modules_of(PAGE):
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    if Path("LICENSE").is_file():
        shutil.copyfile("LICENSE", folder / "LICENSE")


def _write_texts(folder: Path) -> None:
    pins = [f"{package}=={pinned(package)}" for package in PACKAGES]
    text = "\n".join([CPU_BUILDS, *pins]) + "\n"
    (folder / "requirements.txt").write_text(text, encoding="utf-8")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    gradio = pinned("gradio", APP_LOCK)
    card = CARD.format(gradio=gradio, python=python, mark=MARK, disclaimer=DISCLAIMER)
    (folder / "README.md").write_text(card, encoding="utf-8")
