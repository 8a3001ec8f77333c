"""A batch as one row: no padding, and what all its rows begin with only once.

Every card begins with the same template and system prompt. A batch goes through the decoder as
[beginning | rest of row 1 | rest of row 2 | …], each token at the position that it has in its own
row. All layers but attention work token by token and notice nothing; attention is told apart here.
Losses and gradients stay what they are, to rounding. A row may also branch, as a question does in
its options: [beginning | rest of question 1 | its option 1 | its option 2 | … | question 2 …].
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from medtune.modeling.collation import IGNORED

ATTENTION = "sdpa_one_row"


def allow_one_row(model: Any) -> bool:
    """Has `hidden_states` take batches as one row, if the model can; returns whether it can.

    Attention must be torch's own and see the whole row. NEFTune's noise depends on a row's length.
    """
    config = model.config.get_text_config()
    if (
        config._attn_implementation == "sdpa"
        and model._can_set_attn_implementation()
        and not model._is_stateful
        and not getattr(config, "sliding_window", None)
        and set(getattr(config, "layer_types", None) or ()) <= {"full_attention"}
        and not getattr(model.get_input_embeddings(), "neftune_noise_alpha", None)
    ):
        model.set_attn_implementation(ATTENTION)
    return _is_allowed(model)


def _is_allowed(model: Any) -> bool:
    return model.config.get_text_config()._attn_implementation == ATTENTION


def hidden_states(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The decoder's last hidden states (batch, last, dim): `last` of `seq` positions of each row.

    Those left out come before any that predicts a supervised token. `batch` is right-padded; what
    stands for padding is 0.
    """
    ids, real, decoder = batch["input_ids"], batch["attention_mask"].bool(), model.get_decoder()
    if len(ids) == 1 or not _is_allowed(model):
        return decoder(input_ids=ids, attention_mask=real, use_cache=False).last_hidden_state
    shared = 0 if _draws_noise(model) else _shared_length(ids, batch["labels"])
    own = real[:, shared:]
    return spread_out(_states_of_rests(decoder, ids, real.long() - 1, shared), own)


def branch_states(
    model: Any, trunks: Sequence[list[int]], branches: Sequence[Sequence[list[int]]]
) -> torch.Tensor:
    """The decoder's last hidden states (tokens, dim) of the tokens of all branches, in their order.

    A token of branches[n][m] sees trunks[n], which is not empty, and its branch so far.
    """
    if not _is_allowed(model):  # a row for each branch
        trunks = [trunk for trunk, own in zip(trunks, branches, strict=True) for _ in own]
        branches = [[branch] for own in branches for branch in own]
    rows, numbers = [], []
    for trunk, own in zip(trunks, branches, strict=True):
        rows.append(torch.tensor([*trunk, *chain(*own)]))
        lengths = torch.tensor([len(trunk), *map(len, own)])
        numbers.append(torch.arange(len(lengths)).repeat_interleave(lengths))
    ids = pad_sequence(rows, batch_first=True).to(model.device)
    branch = pad_sequence(numbers, batch_first=True, padding_value=-1).to(model.device)
    decoder = model.get_decoder()
    if not _is_allowed(model):
        output = decoder(input_ids=ids, attention_mask=branch >= 0, use_cache=False)
        return output.last_hidden_state[branch > 0]
    shared = int(((ids == ids[0]) & (branch == 0)).all(dim=0).cumprod(dim=0).sum())
    rests = branch[:, shared:]
    return _states_of_rests(decoder, ids, branch, shared)[rests[rests >= 0] > 0]


def _states_of_rests(
    decoder: Any, ids: torch.Tensor, branch: torch.Tensor, shared: int
) -> torch.Tensor:
    """The last hidden states (tokens, dim) of what follows the `shared` first tokens of each row.

    `branch` (rows, seq) is -1 for padding, 0 for tokens that all later ones of their row see, and
    else the number of a branch, whose tokens see those and each other.
    """
    places, rests = torch.arange(ids.shape[1], device=ids.device), branch[:, shared:]
    own = rests >= 0
    seen = (branch[:, None] == 0) | (branch[:, None] == rests[:, :, None])
    # What the rest of a row sees of the whole row; padding, which is no token, its first place.
    mask = seen & (places <= places[shared:, None]) & own[:, :, None] | (places == 0)
    positions = mask.sum(dim=2)[own] - 1  # each token stands behind those that it sees
    output = decoder(
        input_ids=torch.cat([ids[0, :shared], ids[:, shared:][own]])[None],
        position_ids=torch.cat([places[:shared], positions])[None],
        attention_mask=mask[:, None],
        use_cache=False,
    )
    return output.last_hidden_state[0, shared:]


def spread_out(tokens: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Puts tokens (n, …) where places (rows, rest) are true, row by row: (rows, rest, …)."""
    padded = tokens.new_zeros((*places.shape, *tokens.shape[1:]))
    padded[places] = tokens
    return padded


def _draws_noise(model: Any) -> bool:
    """Whether a token would meet other noise in each row, were it not in all of them at once."""
    if not model.training:
        return False
    dropouts = (module.p for module in model.modules() if isinstance(module, torch.nn.Dropout))
    return bool(getattr(model.config.get_text_config(), "attention_dropout", 0) or any(dropouts))


def _shared_length(ids: torch.Tensor, labels: torch.Tensor) -> int:
    """How many tokens all rows begin with, none of them supervised or predicting one that is."""
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

    A mask (rows, 1, rest, shared + rest) that is not as long as there are queries is that of rows
    in one, from here or from medtune.generation.kv_cache. Tokens stand where a place sees itself.
    """
    if attention_mask is None or attention_mask.shape[2] == query.shape[2]:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    shared = attention_mask.shape[3] - attention_mask.shape[2]
    own = attention_mask[:, 0].diagonal(shared, 1, 2)

    def beginning(states: torch.Tensor) -> torch.Tensor:
        return states[:, :, :shared]

    def rests(states: torch.Tensor) -> torch.Tensor:
        """(1, heads, shared + tokens, dim) → (rows, heads, rest, dim)"""
        return spread_out(states[0, :, shared:].transpose(0, 1), own).transpose(1, 2)

    def whole(states: torch.Tensor) -> torch.Tensor:
        return torch.cat([beginning(states).expand(len(own), -1, -1, -1), rests(states)], dim=2)

    output, _ = sdpa_attention_forward(
        module, rests(query), whole(key), whole(value), attention_mask, **options
    )
    output = output[own][None]
    if shared:
        first, _ = sdpa_attention_forward(
            module, beginning(query), beginning(key), beginning(value), None, **options
        )
        output = torch.cat([first, output], dim=1)
    return output, None


AttentionInterface.register(ATTENTION, _attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
