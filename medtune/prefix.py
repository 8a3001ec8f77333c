"""The beginning that all rows of a batch have in common, run once for all of them.

Every card begins with the same template and system prompt. A batch then goes through the decoder as
one row, [beginning | rest of row 1 | rest of row 2 | …], each token at the position that it has in
its own row. All layers but attention work token by token and notice nothing; attention is told
apart here. Losses and gradients stay what they are, to rounding.
"""

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from medtune.batches import IGNORED

ATTENTION = "sdpa_shared_prefix"


def share_prefix(model: Any, training: bool) -> bool:
    """Has a shared beginning run once from now on, if the model allows it; returns whether it does.

    Attention must be torch's own and see the whole row. In training nothing random may happen to a
    token, which would otherwise meet the same noise in each row.
    """
    config = model.config.get_text_config()
    if (
        config._attn_implementation == "sdpa"
        and model._can_set_attn_implementation()
        and not model._is_stateful
        and not getattr(config, "sliding_window", None)
        and set(getattr(config, "layer_types", None) or ()) <= {"full_attention"}
        and not (training and _draws_noise(model, config))
    ):
        model.set_attn_implementation(ATTENTION)
    return _shares(model)


def _draws_noise(model: Any, config: Any) -> bool:
    dropouts = (module.p for module in model.modules() if isinstance(module, torch.nn.Dropout))
    neftune = getattr(model.get_input_embeddings(), "neftune_noise_alpha", 0)
    return bool(getattr(config, "attention_dropout", 0) or any(dropouts) or neftune)


def _shares(model: Any) -> bool:
    return model.config.get_text_config()._attn_implementation == ATTENTION


def hidden_states(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The decoder's last hidden states (batch, last, dim): `last` of `seq` positions of each row.

    Those left out come before any that predicts a supervised token. `batch` is right-padded.
    """
    ids, decoder = batch["input_ids"], model.get_decoder()
    shared = _shared_length(ids, batch["labels"]) if _shares(model) else 0
    if shared == 0:
        mask = batch["attention_mask"]
        return decoder(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    rows, length = ids.shape
    rest = length - shared
    positions = torch.arange(length, device=ids.device)
    mask = positions <= positions[shared:, None]  # what the rest of a row sees of the whole row
    output = decoder(
        input_ids=torch.cat([ids[0, :shared], ids[:, shared:].flatten()])[None],
        position_ids=torch.cat([positions[:shared], positions[shared:].repeat(rows)])[None],
        attention_mask=mask[None, None],
        use_cache=False,
    )
    return output.last_hidden_state[0, shared:].unflatten(0, (rows, rest))


def _shared_length(ids: torch.Tensor, labels: torch.Tensor) -> int:
    """How many tokens all rows begin with, none of them supervised or predicting one that is."""
    if len(ids) == 1:
        return 0
    needed = (labels[:, 1:] != IGNORED).any(dim=0)
    same = (ids == ids[0]).all(dim=0)[:-1]
    return int((same & ~needed).cumprod(dim=0).sum())


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """torch's attention on query, key, value, each (batch, heads, seq, dim).

    A mask (1 or rows, 1, rest, shared + rest) that has fewer queries than there are is that of
    rows which share a beginning, here or in medtune.row_cache.
    """
    if attention_mask is None or attention_mask.shape[2] == query.shape[2]:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    rest = attention_mask.shape[2]
    shared = attention_mask.shape[3] - rest

    def beginning(states: torch.Tensor) -> torch.Tensor:
        return states[:, :, :shared]

    def rests(states: torch.Tensor) -> torch.Tensor:
        """(1, heads, shared + rows · rest, dim) → (rows, heads, rest, dim)"""
        return states[0, :, shared:].unflatten(1, (-1, rest)).transpose(0, 1)

    def whole(states: torch.Tensor) -> torch.Tensor:
        own = rests(states)
        return torch.cat([beginning(states).expand(len(own), -1, -1, -1), own], dim=2)

    output, _ = sdpa_attention_forward(
        module, rests(query), whole(key), whole(value), attention_mask, **options
    )
    output = output.flatten(0, 1)[None]
    if shared:
        first, _ = sdpa_attention_forward(
            module, beginning(query), beginning(key), beginning(value), None, **options
        )
        output = torch.cat([first, output], dim=1)
    return output, None


AttentionInterface.register(ATTENTION, _attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
