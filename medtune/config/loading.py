"""Reads and checks params.yaml; each problem is named by its key, value and remedy."""

import difflib
import subprocess
from functools import reduce
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from medtune.config.schema import Params
from medtune.runtime.errors import InputError
from medtune.runtime.paths import in_queued_experiment

PARAMS_FILE = Path("params.yaml")


def read_yaml(path: Path) -> Any:
    """Reads YAML 1.2 with comments kept: `1e-05`, as DVC writes it, is a number."""
    try:
        return YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: restore it with `git checkout {path}`") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{path}{where} is not valid YAML: {problem}") from None


def validate(content: Any, source: Path = PARAMS_FILE) -> Params:
    """Checks the whole file; raises one InputError that lists every problem, value and remedy."""
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(explained(error, content, Params))
        raise InputError(f"{problems} ({source})") from None


def read_params() -> Params:
    """Reads and checks params.yaml; an error says how to undo what was changed in it.

    `dvc exp run -S` writes a value into the file and leaves it there when a stage refuses it.
    """
    try:
        return validate(read_yaml(PARAMS_FILE))
    except InputError as error:
        if in_queued_experiment() or not _is_changed(PARAMS_FILE):
            raise
        raise InputError(
            f"{error}; `git checkout {PARAMS_FILE}` undoes all changes in the file"
        ) from None


def _is_changed(path: Path) -> bool:
    """Whether a file differs from the last commit; no without git. DVC stages it while it runs."""
    command = ["git", "status", "--porcelain", "--untracked-files=no", "--", str(path)]
    try:
        return bool(subprocess.run(command, capture_output=True, check=False).stdout)
    except OSError:
        return False


def load_params(*names: str) -> Any:
    """Returns the named parts of params.yaml, and no other, after checking the whole file.

    A name is a section (`train`), a value (`seed`) or a dotted path (`download.model`). One name
    gives its value, several give a tuple in their order.
    """
    params = read_params()
    values = tuple(reduce(getattr, name.split("."), params) for name in names)
    return values[0] if len(values) == 1 else values


def explained(error: ValidationError, content: Any, schema: Any) -> list[str]:
    """One line for each wrong key: its value, and what it may be."""
    problems: dict[str, list[Any]] = {}
    for problem in error.errors():
        problems.setdefault(_key(problem["loc"], content), []).append(problem)
    return [_explain(key, branches, schema) for key, branches in problems.items()]


def _key(location: tuple[Any, ...], content: Any) -> str:
    """The dotted key in the file; pydantic's names for the branches of a union are left out."""
    parts, node = [], content
    for part in location:
        if isinstance(node, dict):
            node = node.get(part)
        elif isinstance(node, list) and isinstance(part, int):
            node = node[part]
        else:
            continue
        parts.append(str(part))
    return ".".join(parts) or "the file"


def _explain(key: str, problems: list[Any], schema: Any) -> str:
    """One line for the problems of one key; of a union, pydantic reports one for each branch."""
    problem = problems[0]
    kind, value = problem["type"], problem["input"]
    if kind == "extra_forbidden":
        return f"{key} is unknown{_suggestion(key, schema)}"
    if kind == "missing":
        return f"{key} is missing: add it, or restore the file with `git checkout params.yaml`"
    if kind == "value_error":
        return f"{key}: {problem['ctx']['error']}"
    wanted = " or ".join(p["msg"].removeprefix("Input should be ") for p in problems)
    return f"{key} must be {wanted}, got {value!r}"


def _suggestion(key: str, schema: Any) -> str:
    *sections, name = key.split(".")
    model = schema
    for section in sections:
        annotation = model.model_fields[section].annotation
        model = next((arm for arm in get_args(annotation) if arm is not NoneType), annotation)
    known = list(model.model_fields)
    near = difflib.get_close_matches(name, known, n=1)
    return f": did you mean {near[0]}?" if near else f": known are {', '.join(known)}"
