"""Names the adapter that an exported model holds, so that no other one's scores are added to it."""

import hashlib
from pathlib import Path

WEIGHTS = "adapter_model.safetensors"
FIELD, NAME = "medtune", "adapter_md5"  # in the front matter of a merged model's card
GGUF_KEY = f"{FIELD}.{NAME}"


def adapter_md5(folder: Path) -> str:
    """Returns the hash of an adapter's weights, as dvc.lock records it."""
    with (folder / WEIGHTS).open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def md5_in_card(card: Path) -> str | None:
    """Returns the adapter that a merged model's card names, if it does."""
    from huggingface_hub import ModelCard

    if not card.is_file():
        return None
    named = ModelCard(card.read_text(encoding="utf-8")).data.get(FIELD)
    return named.get(NAME) if isinstance(named, dict) else None


def text_in_gguf(path: Path, key: str) -> str | None:
    """Returns a text of a GGUF file's metadata; None without the key or for another file."""
    from gguf import GGUFReader

    try:
        field = GGUFReader(path).fields.get(key)
    except (ValueError, IndexError):  # what the reader raises for a file that is not GGUF
        return None
    return str(field.contents()) if field else None
