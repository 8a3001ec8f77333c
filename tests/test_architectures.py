"""Each causal language model of transformers runs as its own code does, or is refused."""

from pathlib import Path

import pytest

from tests.architectures import KINDS, outcome, table

DOCUMENT = Path("docs/architectures.md")
SAMPLE = {  # one of each kind of layer, cache and head
    "llama": ("packed", "shared prefix"),
    "mixtral": ("packed", "shared prefix"),
    "deepseek_v3": ("packed", "shared prefix"),
    "gemma3_text": ("padded", "padded"),
    "gemma4_text": ("padded", "padded"),
    "falcon_h1": ("padded", "padded"),
    "qwen3_next": ("padded", "padded"),
    "lfm2": ("padded", "padded"),
    "gpt2": ("packed", "shared prefix"),
    "bloom": ("padded", "padded"),
    "mamba": ("padded", "padded"),
    "recurrent_gemma": ("padded", "none"),
    "rwkv": ("padded", "none"),
    "xlstm": ("padded", "none"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SAMPLE)
def test_losses_gradients_and_answers_are_those_of_the_models_own_code(kind: str) -> None:
    found = outcome(kind)
    assert (found.status, found.batches, found.cache) == ("equal", *SAMPLE[kind]), found.reason


@pytest.mark.architectures
def test_the_table_of_all_architectures_is_up_to_date() -> None:
    outcomes = {kind: outcome(kind) for kind in KINDS}
    assert not [kind for kind, found in outcomes.items() if found.status == "WRONG"]
    assert table(outcomes) in DOCUMENT.read_text(encoding="utf-8")
