"""What is wrong with params.yaml, in words that name the key as the file has it."""

import difflib
from types import NoneType
from typing import Any, get_args

from pydantic import ValidationError


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
