"""Attention of packed sequences without a GPU, one sequence after the other."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from medtune.modeling.flash import Sequences


def by_hand(sequences: Sequences, *states: torch.Tensor) -> torch.Tensor:
    """What `Sequences.attend` returns, one sequence after the other."""
    query, key, value = (state[0].transpose(0, 1) for state in states[:3])  # (P + T, H, E)
    keys, values = key[sequences.sources], value[sequences.sources]
    ends, outputs = (sequences.query_ends, sequences.key_ends), []
    for n in range(len(sequences.query_ends) - 1):
        queries, of_keys = (slice(*cut[n : n + 2]) for cut in ends)
        own = (query[queries], keys[of_keys], values[of_keys])
        rows, columns = len(own[0]), len(own[1])
        mask = torch.ones(rows, columns, dtype=torch.bool).tril(columns - rows)
        heads = (state.transpose(0, 1) for state in own)
        output = scaled_dot_product_attention(*heads, mask, scale=states[3], enable_gqa=True)
        outputs.append(output.transpose(0, 1))
    return torch.cat(outputs)[None]


def use_attention_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets models run packed sequences in fp32 on a CPU."""
    monkeypatch.setattr(Sequences, "attend", by_hand)
    monkeypatch.setattr("medtune.modeling.shared_prefix.flash_dtype", lambda _: torch.float32)
