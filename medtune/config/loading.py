"""Reads and checks params.yaml; errors name the key, its value and the remedy."""

import difflib
from functools import reduce
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.error import YAMLError

from medtune.config.schema import Params
from medtune.runtime.errors import InputError
from medtune.runtime.params_file import PARAMS_FILE, UNDO, can_undo

MOST_LEVELS = 20  # of lists and mappings in each other; the deepest file of the project has 7
LONGEST = 200  # characters of a key or value in a message
OTHER_NAMES = {  # that other libraries have for a parameter
    "learning_rate": "lr",
    "optimizer": "optim",
    "epochs": "num_train_epochs",
    "num_epochs": "num_train_epochs",
    "batch_size": "per_device_train_batch_size",
    "lora_r": "r",
    "rank": "r",
    "max_seq_length": "max_length_tokens",
}


class ShallowComposer(Composer):
    """Refuses deep nesting, for which ruamel.yaml takes minutes before Python's stack ends."""

    levels = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.levels += 1
        if self.levels > MOST_LEVELS:
            raise ComposerError(
                problem=f"more than {MOST_LEVELS} levels of lists and mappings",
                problem_mark=self.parser.peek_event().start_mark,
            )
        node = super().compose_node(parent, index)
        self.levels -= 1
        return node


def read_yaml(path: Path) -> Any:
    """Reads YAML 1.2 and keeps its comments; `1e-05`, as DVC writes it, is a number."""
    try:
        yaml = YAML(typ="rt")
        yaml.Composer = ShallowComposer
        return yaml.load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: restore it with `git checkout {path}`") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{path}{where} is not valid YAML: {_shortened(problem)}") from None
    except (
        KeyError,
        TypeError,
        ValueError,
    ) as error:  # what ruamel.yaml lets through: !!bool maybe
        raise InputError(f"{path} is not valid YAML: {_shortened(str(error))}") from None


def validate(content: Any, source: Path = PARAMS_FILE) -> Params:
    """Checks the whole file; raises one InputError that lists every problem, value and remedy."""
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(explained(error, content, Params))
        raise InputError(f"{problems} ({source})") from None


def read_params() -> Params:
    """Reads and checks params.yaml; an error says how to undo changes to the file."""
    try:
        return validate(read_yaml(PARAMS_FILE))
    except InputError as error:
        if can_undo():
            raise InputError(f"{error}; {UNDO}") from None
        raise


def load_params(*names: str) -> Any:
    """Returns the named parts of params.yaml after checking the whole file.

    A name is a section (`train`), a value (`seed`) or a dotted path (`download.model`). For one
    name, returns its value; for several, a tuple in their order.
    """
    params = read_params()
    values = tuple(reduce(getattr, name.split("."), params) for name in names)
    return values[0] if len(values) == 1 else values


def explained(error: ValidationError, content: Any, schema: Any) -> list[str]:
    """Returns one line for each wrong key, with its value and what is allowed."""
    problems: dict[str, list[Any]] = {}
    for problem in error.errors():
        problems.setdefault(_key(problem["loc"], content), []).append(problem)
    return [_explain(key, branches, schema) for key, branches in problems.items()]


def _key(location: tuple[Any, ...], content: Any) -> str:
    """Returns the dotted key in the file, without pydantic's names for branches of a union."""
    parts, node = [], content
    for part in location:
        if isinstance(node, dict):
            node = node.get(part)
        elif isinstance(node, list) and isinstance(part, int):
            node = node[part]
        else:
            continue
        parts.append(str(part))
    return _shortened(".".join(parts)) or "the file"


def _shown(value: Any) -> str:
    try:
        return _shortened(repr(value))
    except ValueError:  # Python prints no integer of more than 4300 digits
        return "a number that is too long to print"


def _shortened(text: str) -> str:
    """Returns a text that fits on one line, without control characters."""
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"


def _explain(key: str, problems: list[Any], schema: Any) -> str:
    """Returns one line for all problems of a key; pydantic reports one per branch of a union."""
    problem = problems[0]
    kind, value = problem["type"], problem["input"]
    if kind == "extra_forbidden":
        return f"{key} is unknown{_suggestion(key, schema)}"
    if kind == "missing":
        return f"{key} is missing: add it, or restore the file with `git checkout params.yaml`"
    if kind == "value_error":
        return f"{key}: {problem['ctx']['error']}"
    wanted = " or ".join(p["msg"].removeprefix("Input should be ") for p in problems)
    return f"{key} must be {wanted}, got {_shown(value)}"


def _suggestion(key: str, schema: Any) -> str:
    *sections, name = key.split(".")
    model = schema
    for section in sections:
        annotation = model.model_fields[section].annotation
        model = next((arm for arm in get_args(annotation) if arm is not NoneType), annotation)
    known = list(model.model_fields)
    meant = OTHER_NAMES.get(name)
    near = [meant] if meant in known else difflib.get_close_matches(name, known, n=1)
    return f": did you mean {near[0]}?" if near else f": known keys are {', '.join(known)}"
