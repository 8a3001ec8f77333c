"""`medtune preset`: settings by name, written into params.yaml, and sweeps as DVC experiments.

A preset is presets/NAME.yaml: keys of params.yaml, and under `sweep` a list of configurations such
as {train.lr: 1.0e-4, train.r: 8}. Other keys get the values of presets/default.yaml, so the result
does not depend on the preset written before.
"""

import difflib
import glob
import io
import json
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from medtune.commands.experiments import queue_experiments
from medtune.config.allowed_values import as_list
from medtune.config.loading import read_yaml, validate
from medtune.runtime.errors import InputError
from medtune.runtime.params_file import PARAMS_FILE

EXAMPLES = (
    "medtune preset --list",
    "medtune preset med-llama --dry-run",
    "medtune preset med-llama --queue",
    "medtune preset default",
)
PRESETS = Path("presets")
DEFAULT = "default"
ABSENT = object()
SHORT_NAMES = {
    "num_train_epochs": "epochs",
    "per_device_train_batch_size": "batch",
    "gradient_accumulation_steps": "accumulation",
}


@dataclass(frozen=True)
class Preset:
    """Settings of the whole pipeline: `values` holds all of params.yaml as {dotted key: value}."""

    name: str
    description: str
    values: dict[str, Any]
    sweep: list[dict[str, Any]]


def names() -> list[str]:
    """Returns the names of all presets, the default first."""
    found = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    if DEFAULT not in found or not PARAMS_FILE.exists():
        raise InputError(
            f"{PRESETS}/{DEFAULT}.yaml or {PARAMS_FILE} is missing in this folder: "
            "run the command in the root of the project"
        )
    return sorted(found, key=lambda name: name != DEFAULT)


def complete_names(incomplete: str) -> list[str]:
    return sorted(path.stem for path in PRESETS.glob(f"{glob.escape(incomplete)}*.yaml"))


def load(name: str) -> Preset:
    """Reads a preset and checks it and its sweep; raises InputError that names the file."""
    if name not in names():
        near = ", ".join(difflib.get_close_matches(name, names(), n=3))
        hint = f"did you mean {near}? " if near else ""
        raise InputError(f"preset {name} is unknown: {hint}`medtune preset --list` shows all")
    path = PRESETS / f"{name}.yaml"
    content = _read_mapping(path)
    sweep = content.pop("sweep", None) or []
    if not (isinstance(sweep, list) and all(isinstance(row, dict) and row for row in sweep)):
        raise InputError(f"sweep must be a list of {{dotted key: value}}, got {sweep!r} ({path})")
    default_path = PRESETS / f"{DEFAULT}.yaml"
    default = _flat(_read_mapping(default_path))
    validate(_put({}, default), default_path)
    values = default | _flat(content)
    for configuration in [{}, *sweep]:
        validate(_put({}, values | configuration), path)
    if content.get("preset") != name:
        raise InputError(f"preset must be {name}, the name of the file ({path})")
    comment = re.match(r"# *(.+)", path.read_text(encoding="utf-8"))
    return Preset(name, comment[1] if comment else "", values, sweep)


def write(preset: Preset, dry_run: bool = False) -> list[str]:
    """Writes the preset into params.yaml, keeping its comments; returns a line per changed key."""
    from medtune.runtime.atomic_files import replacing

    content = _read_mapping(PARAMS_FILE)
    before = _flat(content)
    _put(content, preset.values)
    validate(content)
    if not dry_run and (text := _dump(content)) != PARAMS_FILE.read_text(encoding="utf-8"):
        with replacing(PARAMS_FILE) as temporary:
            temporary.write_text(text, encoding="utf-8")
    changes = [(key, before.get(key, ABSENT), value) for key, value in preset.values.items()]
    return [f"{key}: {_text(old)} → {_text(new)}" for key, old, new in changes if old != new]


def queue_commands(preset: Preset) -> list[list[str]]:
    """Returns the arguments of `dvc` that queue the sweep, one experiment per configuration."""
    if not preset.sweep:
        raise InputError(
            f"preset {preset.name} has no sweep: list one in {PRESETS}/{preset.name}.yaml"
        )
    commands = []
    for configuration in preset.sweep:
        command = ["exp", "run", "--queue", "--name", _experiment_name(preset.name, configuration)]
        for key, value in configuration.items():
            # Without quotes, DVC takes a comma for a sweep and an equals sign for a key.
            text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else _text(value)
            command += ["-S", f"{key}={text}"]
        commands.append(command)
    return commands


def preset(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="A file of presets/, without .yaml.",
            autocompletion=complete_names,
        ),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show all presets.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")
    ] = False,
    queue_: Annotated[
        bool, typer.Option("--queue", help="Queue the preset's sweep as DVC experiments.")
    ] = False,
) -> None:
    """Write a preset into params.yaml, or list the presets."""
    if list_:
        print_list()
        return
    if name is None:
        raise InputError("no preset is named: `medtune preset --list` shows all")
    loaded = load(name)
    commands = queue_commands(loaded) if queue_ else []
    changes = write(loaded, dry_run)
    print("\n".join(changes) or f"{PARAMS_FILE} is already preset {name}")
    if dry_run:
        for command in commands:
            print(shlex.join(["dvc", *command]))
    elif queue_:
        queue_experiments(commands)


def print_list() -> None:
    for each in map(load, names()):
        print(f"{each.name}: {each.description}")
        print(f"  model  {each.values['download.model']}")
        for uri in as_list(each.values["download.dataset"]):
            print(f"  data   {uri}")


def _read_mapping(path: Path) -> Any:
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold keys such as `train:`, got {content!r}")
    return content


def _flat(content: dict[str, Any]) -> dict[str, Any]:
    """Joins sections and their keys with dots: {"train": {"lr": 1}} is {"train.lr": 1}.

    Unlike experiments.flat it keeps a mapping within a section as one value, which a preset
    replaces as a whole; the keys within some, such as compare.fail_if_worse, have dots too.
    """
    flat = {}
    for name, section in content.items():
        if isinstance(section, dict):
            flat.update({f"{name}.{key}": value for key, value in section.items()})
        else:
            flat[name] = section
    return flat


def _put(content: Any, values: dict[str, Any]) -> Any:
    """Sets values by dotted key, in place; the comments of replaced values stay."""
    for key, value in values.items():
        *parents, last = key.split(".")
        mapping = content
        for parent in parents:
            if not isinstance(mapping.get(parent), dict):
                mapping[parent] = CommentedMap()
            mapping = mapping[parent]
        mapping[last] = _inline(value)
    return content


def _inline(value: Any) -> Any:
    """Returns a copy that is written on one line, without the comments of its file."""
    if not isinstance(value, dict | list):
        return value
    copy = CommentedMap(value) if isinstance(value, dict) else CommentedSeq(value)
    copy.fa.set_flow_style()
    return copy


def _dump(content: Any) -> str:
    yaml = YAML(typ="rt")
    yaml.width = sys.maxsize
    # ruamel writes nothing for None; params.yaml has null.
    yaml.representer.add_representer(
        type(None),
        lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null"),
    )
    stream = io.StringIO()
    yaml.dump(content, stream)
    return stream.getvalue()


def _text(value: Any) -> str:
    """Returns a value as params.yaml writes it: `5.0e-5`, `null`, `[q_proj, v_proj]`."""
    if value is ABSENT:
        return "absent"
    return _dump({"": _inline(value)}).split(": ", 1)[1].rstrip("\n")


def _experiment_name(preset: str, configuration: dict[str, Any]) -> str:
    """Returns a name such as `smoke-lr1.0e-2`, of characters that a Git reference may have."""
    last = {key.rsplit(".", 1)[-1]: _text(value) for key, value in configuration.items()}
    name = "-".join([preset, *(SHORT_NAMES.get(key, key) + text for key, text in last.items())])
    return re.sub(r"[^\w.-]+", "_", name).rstrip("_.")
