"""Completes the model card and the adapter's configuration for a repository of a model hub."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medtune.config.allowed_values import as_list
from medtune.disclaimer import DISCLAIMER
from medtune.export.hub import ADAPTER_CONFIG, CARD, Upload, UploadKind
from medtune.export.modelfile import MODELFILE
from medtune.export.provenance import FIELD
from medtune.report.licences import hub_name_of
from medtune.report.model_card import front_matter
from medtune.report.redaction import public_sources

IN_PROJECT = "Run this in the project's folder, after `dvc repro` or `dvc pull`:"
ANYWHERE = "Install transformers and peft, and run:"
LOCAL_ADAPTER, LOCAL_BASE = '"models/adapter"', '"models/base"'
EXPORTED = '"FOLDER"'  # a merged model, in its card
LIBRARIES: dict[UploadKind, str] = {"adapter": "peft", "merged model": "transformers"}
TAGS: dict[UploadKind, str] = {"adapter": "lora", "GGUF model": "gguf"}


@dataclass(frozen=True)
class Origin:
    """The run that a model comes from: its commit, if it has one, parameters and flat scores."""

    commit: str | None
    params: Mapping[str, Any]
    scores: Mapping[str, Any]
    adapter_md5: str | None = None

    @property
    def sources(self) -> dict[str, Any]:
        """The sources of model and data, without private parts."""
        sources = self.params["download"].items()
        return {name: public_sources(uri) for name, uri in sources if uri is not None}

    @property
    def base_model(self) -> str | None:
        """The repository of the base model on the hub, if it has one."""
        return hub_name_of(self.params["download"]["model"])

    @property
    def base_revision(self) -> str | None:
        """The revision of that repository, if the run took the model from there."""
        match = re.match("hub://[^@]+@([^/]+)", self.params["download"]["model"])
        return match[1] if match else None


def with_card(upload: Upload, repository: str, origin: Origin) -> Upload:
    """Returns the upload with a complete model card and, for an adapter, its base model's name."""
    files = dict(upload.files)
    card = _text(files[CARD]) if CARD in files else _new_card(upload, repository, origin)
    files[CARD] = completed_card(card, upload.kind, repository, origin).encode()
    if upload.kind == "adapter" and origin.base_model:
        files[ADAPTER_CONFIG] = _named_base(_text(files[ADAPTER_CONFIG]), origin).encode()
    return replace(upload, files=dict(sorted(files.items())))


def completed_card(card: str, kind: UploadKind, repository: str, origin: Origin) -> str:
    """Adds to a card what it lacks: fields of the front matter, where it comes from, how to load.

    A field that the card has stays as it is.
    """
    from huggingface_hub import ModelCard

    completed = ModelCard(card)
    fields = _fields(kind, origin)
    fields[FIELD] |= completed.data.get(FIELD) or {}
    for name, value in fields.items():
        if name == FIELD or completed.data.get(name) is None:
            completed.data[name] = value
    text = completed.text.replace(EXPORTED, json.dumps(repository))
    if kind == "adapter" and origin.base_model:
        text = text.replace(IN_PROJECT, ANYWHERE).replace(LOCAL_ADAPTER, json.dumps(repository))
        text = text.replace(LOCAL_BASE, json.dumps(origin.base_model))
    completed.text = f"{text.rstrip()}\n\n{_about(origin)}\n"
    return str(completed)


def _fields(kind: UploadKind, origin: Origin) -> dict[str, Any]:
    """Returns the front matter of a model; the scores are those of metrics/compare_scores.json."""
    from huggingface_hub import ModelCard

    metrics = {"compare_scores": origin.scores}
    made = ModelCard(f"---\n{front_matter({'download': origin.sources}, metrics)}\n---\n").data
    names = [hub_name_of(uri) for uri in as_list(origin.params["download"]["dataset"])]
    tags = [tag for tag in made.get("tags", []) if tag != TAGS["adapter"]]
    return {
        **made.__dict__,
        "base_model_relation": "adapter" if kind == "adapter" else "finetune",
        "datasets": [name for name in names if name] or None,
        "library_name": LIBRARIES.get(kind),
        "model_name": f"medtune {kind}",
        "tags": [*([TAGS[kind]] if kind in TAGS else []), *tags],
        FIELD: {
            **({"commit": origin.commit} if origin.commit else {}),
            "preset": origin.params["preset"],
            "seed": origin.params["seed"],
            "dataset": as_list(origin.sources["dataset"]),
        },
    }


def _about(origin: Origin) -> str:
    source = origin.sources["model"]
    about = (
        f"## Where it comes from\n\nmedtune, commit {origin.commit or 'not recorded'}, preset "
        f"{origin.params['preset']}, seed {origin.params['seed']}. The scores in the front matter "
        f"were measured with the adapter on the weights of `{source}`."
    )
    if origin.base_model and not source.startswith("hub://"):
        about += (
            f" Those of `{origin.base_model}` are the same model in another precision, so answers "
            "can differ."
        )
    return about


def _named_base(config: str, origin: Origin) -> str:
    """Returns an adapter's configuration with the name of its base model on the hub."""
    named = {"base_model_name_or_path": origin.base_model, "revision": origin.base_revision}
    return json.dumps(json.loads(config) | named, indent=2, sort_keys=True) + "\n"


def _new_card(upload: Upload, repository: str, origin: Origin) -> str:
    name = repository.rpartition("/")[2]
    return (
        f"---\n{{}}\n---\n\n# {name}\n\nA small language model, fine-tuned on medical "
        f"question-answer cards ({upload.kind}).\n\n> {DISCLAIMER}\n"
        + (_gguf_commands(upload, repository, origin) if upload.kind == "GGUF model" else "")
    )


def _gguf_commands(upload: Upload, repository: str, origin: Origin) -> str:
    name = repository.rpartition("/")[2]
    temperature = origin.params["evaluate"]["temperature"]
    lines = [f"hf download {repository} --local-dir {name} && cd {name}"]
    for file in upload.files:
        if file.endswith(".gguf"):
            lines.append(f"llama-server --model {shlex.quote(file)} --temp {temperature:g}")
    if MODELFILE in upload.files:
        lines.append(f"ollama create {name} -f {MODELFILE} && ollama run {name}")
    commands = "\n".join(lines)
    return (
        f"\n## How to run it\n\n```bash\n{commands}\n```\n\nA smaller type of file rounds the "
        "weights more, and its answers can differ from those that were scored.\n"
    )


def _text(file: Path | bytes) -> str:
    return file.decode() if isinstance(file, bytes) else file.read_text(encoding="utf-8")
