"""Collects facts about a run: files, versions, changed parameters, the tokens its loss covers."""

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from medtune.config.allowed_values import SPLITS
from medtune.config.loading import read_yaml
from medtune.report.redaction import public_sources
from medtune.runtime.atomic_files import read_arrow, read_table
from medtune.runtime.errors import InputError

DEFAULT = Path("presets/default.yaml")
BASE = Path("models/base")
TOKENS = Path("data/tokens")
ADAPTER_WEIGHTS = Path("models/adapter/adapter_model.safetensors")
TOKENIZER = Path("models/adapter/tokenizer.json")
GENERAL = {name: Path(f"data/predictions/{name}_general.parquet") for name in ("base", "finetuned")}
PACKAGES = ("torch", "transformers", "peft", "tokenizers", "rouge-score", "sacrebleu")
EXAMPLES = 3

KindCounts = Mapping[str, Mapping[str, int]]  # cards of each kind, by split


@dataclass(frozen=True)
class InputFile:
    path: str
    size_mb: float
    sha256: str


@dataclass(frozen=True)
class Token:
    """A token's text; `learned` if the loss covers it, `control` if the template put it there.

    If a character consists of several tokens, `ids` holds all of them.
    """

    text: str
    learned: bool
    control: bool
    ids: tuple[int, ...]


@dataclass(frozen=True)
class RunFacts:
    """What a run was made from. `changed` holds (key, default preset's value, this run's value)."""

    changed: list[tuple[str, Any, Any]]
    files: list[InputFile]
    examples: dict[str, list[Token]]
    general: list[dict[str, Any]]


def read_run(params: Mapping[str, Mapping[str, Any]]) -> RunFacts:
    """Reads what the metrics do not contain; `params` are each section's, without private parts."""
    base = [input_file(path, "download@model") for path in sorted(BASE.glob("*.safetensors"))]
    tokens = [input_file(TOKENS / f"{split}.arrow", "tokenize") for split in SPLITS]
    return RunFacts(
        changed=changed_params(params),
        files=[*base, input_file(ADAPTER_WEIGHTS, "train"), *tokens],
        examples=loss_examples(read_arrow(TOKENS / "train.arrow", "tokenize")),
        general=general_answers(),
    )


def changed_params(params: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Any, Any]]:
    """Returns the parameters that differ from the default preset, in the order of the stages."""
    default = read_yaml(DEFAULT)
    changed = []
    for section, values in params.items():
        for key, value in values.items():
            usual = default[section].get(key)
            if section == "download" and usual is not None:
                usual = public_sources(usual)
            if value != usual:
                changed.append((f"{section}.{key}", usual, value))
    return changed


def versions() -> dict[str, str]:
    """Returns the versions of Python and of PACKAGES."""
    return {
        "python": platform.python_version(),
        **{name: version(name).partition("+")[0] for name in PACKAGES},
    }


def input_file(path: Path, stage: str) -> InputFile:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run dvc repro {stage}") from None
    return InputFile(str(path), path.stat().st_size / 1e6, digest)


def loss_examples(tokens: pa.Table) -> dict[str, list[Token]]:
    """Returns the tokens of three training cards by id, each of another kind if possible."""
    from tokenizers import Tokenizer

    kinds = tokens["kind"]
    first = [pc.index(kinds, kind).as_py() for kind in kinds.unique()[:EXAMPLES]]
    others = [n for n in range(min(len(kinds), 2 * EXAMPLES)) if n not in first]
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    rows = [tokens.slice(n, 1).to_pylist()[0] for n in [*first, *others][:EXAMPLES]]
    return {row["id"]: token_texts(tokenizer, row) for row in rows}


def token_texts(tokenizer: Any, row: Mapping[str, Any]) -> list[Token]:
    """Returns the text of each token of a row; tokens that form one character are merged."""
    from tokenizers.decoders import DecodeStream

    masked = {n for span in row.get("masked_spans", ()) for n in range(*span)}
    added = tokenizer.get_added_tokens_decoder()
    special = {token_id: token.content for token_id, token in added.items() if token.special}
    stream = DecodeStream(skip_special_tokens=False)
    tokens: list[Token] = []
    pending: list[int] = []
    learned = False
    for n, token_id in enumerate(row["input_ids"]):
        text = stream.step(tokenizer, token_id) or ""
        before, learned = learned, n >= row["loss_start"] and n not in masked
        if pending and token_id in special:  # an answer was cut within a character
            broken = text.removesuffix(special[token_id])
            tokens.append(Token(broken, before, False, tuple(pending)))
            text, pending = special[token_id], []
        pending.append(token_id)
        if text:
            tokens.append(Token(text, learned, token_id in special, tuple(pending)))
            pending = []
    return tokens


def general_answers() -> list[dict[str, Any]]:
    """Returns both models' answers to questions outside the data, in the order asked, if any."""
    if not all(path.exists() for path in GENERAL.values()):
        return []
    tables = {model: pq.read_table(path).to_pylist() for model, path in GENERAL.items()}
    pairs = zip(*tables.values(), strict=True)
    return [{"question": b["question"], "base": b, "finetuned": f} for b, f in pairs]


def read_splits() -> KindCounts:
    """Returns the number of cards of each kind in each split."""
    counts = dict[str, dict[str, int]]()
    for name in SPLITS:
        kinds = read_table(Path(f"data/split/{name}.parquet"), "split", ["kind"])["kind"]
        counts[name] = {row["values"]: row["counts"] for row in kinds.value_counts().to_pylist()}
    return counts
