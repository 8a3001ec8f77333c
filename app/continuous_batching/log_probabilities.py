"""Log-probabilities of the tokens of given texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PART = 128  # tokens whose log-probabilities are computed together: 25 MB for 49,152 words


@dataclass(frozen=True)
class TokenScores:
    """Log-probabilities of a text, in nats.

    `own` has one for each token but the first, which nothing predicts. `likeliest` has, for what
    follows each token, the likeliest ids with theirs, best first.
    """

    own: list[float]
    likeliest: list[list[tuple[int, float]]]


def token_scores(model: Any, texts: Sequence[list[int]], likeliest: int) -> list[TokenScores]:
    """Returns the scores of texts (token ids), which go through the model together.

    `likeliest` is the number of ids at each position, at least 1.
    """
    import torch

    from medtune.modeling.forward import padded_logits

    width = max(len(ids) for ids in texts)
    padded = torch.tensor([ids + [0] * (width - len(ids)) for ids in texts], device=model.device)
    lengths = torch.tensor([len(ids) for ids in texts], device=model.device)[:, None]
    mask = torch.arange(width, device=model.device) < lengths  # (texts, width)
    with torch.inference_mode():
        logits = padded_logits(model, padded, mask, mask.flatten().nonzero()[:, 0])
        rows = zip(texts, logits.split([len(ids) for ids in texts]), strict=True)
        return [_scores(ids, row, likeliest) for ids, row in rows]


def _scores(ids: list[int], logits: "torch.Tensor", likeliest: int) -> TokenScores:
    """Takes the logits (tokens, vocabulary) of one text."""
    import torch

    own: list[float] = []
    named: list[list[tuple[int, float]]] = []
    for start in range(0, len(ids), PART):
        part = logits[start : start + PART]
        log_probabilities = part.log_softmax(dim=-1)
        values, tokens = (best.tolist() for best in log_probabilities.topk(likeliest, dim=-1))
        named += [list(zip(*pair, strict=True)) for pair in zip(tokens, values, strict=True)]
        targets = torch.tensor(ids[start + 1 : start + 1 + len(part)], device=logits.device).long()
        found = log_probabilities[: len(targets)].gather(1, targets[:, None])  # (targets, 1)
        own += found[:, 0].tolist()
    return TokenScores(own, named)
