"""Finds out how a model can run: every way must give the logits of the model's own forward pass.

A few short rows go through the model one by one, without padding and without a cache. What comes
out is right for any architecture. A faster way is taken only if it gives the same logits for the
same rows, up to rounding.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self
from weakref import WeakSet

import torch
from torch.nn.utils.rnn import pad_sequence

from medtune.modeling.collation import padded
from medtune.modeling.forward import padded_logits, row_logits, unwrapped
from medtune.modeling.shared_prefix import ATTENTION, pack, shares_prefixes
from medtune.runtime.errors import InputError, in_one_line

logger = logging.getLogger("medtune")

PREFIX, LONGEST, SHORT, OTHER = 3, 9, 7, 8  # tokens of the probe's rows, and that all begin with
# Largest difference from the right logits, as a part of their size. In fp32 it holds at each
# position; otherwise at three of five, because rounding may choose another expert of a mixture.
TOLERANCE, HALF_TOLERANCE, HALF_POSITIONS = 1e-3, 0.1, 0.6

_checked: WeakSet[Any] = WeakSet()  # models whose way has been chosen


@dataclass(frozen=True)
class Probe:
    """Rows of token ids, and the logits (length, vocabulary) in fp32 that each must give.

    The second row is the beginning of the first. The third shares PREFIX with them.
    """

    rows: list[list[int]]
    logits: list[torch.Tensor]
    is_exact: bool  # whether the model calculates in fp32

    @classmethod
    def of(cls, model: Any) -> Self:
        """Runs the rows one at a time; raises InputError if the model is not a causal one."""
        try:
            rows = _probe_rows(model.get_input_embeddings().weight.shape[0])
            logits = [row_logits(model, ids) for ids in rows]
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:  # each architecture has its own way to ask for more
            fact = f"does not run on token ids alone ({in_one_line(error)})"
            raise _refusal(model, fact) from None
        is_exact = model.dtype == torch.float32 and not getattr(model, "is_quantized", False)
        probe = cls(rows, logits, is_exact)
        if objection := probe.objection(lambda: (logits[1], logits[0][:SHORT])):
            raise _refusal(model, f"looks at the tokens that it is to predict ({objection})")
        return probe

    def objection(self, way: Callable[[], tuple[torch.Tensor, torch.Tensor]]) -> str | None:
        """Returns why a way may not be taken, or None if it gives the right logits.

        `way` returns what it finds and what is right, each (positions, vocabulary).
        """
        try:
            found, expected = way()
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:  # whatever an architecture does with what it does not know
            return in_one_line(error)
        size = (expected - expected.mean(dim=1, keepdim=True)).norm(dim=1)
        parts = (found - expected).norm(dim=1) / size.clamp(min=1e-6)
        part = float(parts.max() if self.is_exact else parts.quantile(HALF_POSITIONS))
        limit = TOLERANCE if self.is_exact else HALF_TOLERANCE
        return None if part <= limit else f"the logits differ by {part:.2g} of their size"


def enable_prefix_sharing(model: Any) -> bool:
    """Lets the model take packed rows if it can; returns whether it does.

    Raises InputError if not even a padded batch gives what the model itself gives. Calling it again
    changes nothing.
    """
    model = unwrapped(model)
    if model not in _checked:
        with at_rest(model):
            _choose(model)
        _checked.add(model)
    return shares_prefixes(model)


def _probe_rows(words: int) -> list[list[int]]:
    """Returns the rows of a Probe for a vocabulary of so many words."""
    first = min(10, words // 2)  # special tokens tend to have the lowest ids
    ids = [first + 37 * n % (words - first) for n in range(LONGEST + OTHER - PREFIX)]
    return [ids[:LONGEST], ids[:SHORT], ids[:PREFIX] + ids[LONGEST:]]


def _refusal(model: Any, fact: str) -> InputError:
    kind = model.config.model_type
    return InputError(f"a model of type {kind} {fact}: choose another download.model")


def _choose(model: Any) -> None:
    probe = Probe.of(model)
    batch = padded(probe.rows, [PREFIX + 1] * len(probe.rows), pad_id=0)
    expected = pad_sequence(probe.logits, batch_first=True).flatten(0, 1)  # as the batch's columns

    def in_padded_rows() -> tuple[torch.Tensor, torch.Tensor]:
        columns = batch["attention_mask"].flatten().nonzero()[:, 0].to(model.device)
        found = padded_logits(model, batch["input_ids"], batch["attention_mask"], columns)
        return found, expected[columns]

    def in_a_packed_row() -> tuple[torch.Tensor, torch.Tensor]:
        row, columns = pack(model, batch)
        tokens = torch.arange(len(columns), device=model.device)
        return row.logits(model, tokens), expected[columns.to(model.device)]

    if _may_share_prefixes(model):
        before = model.config.get_text_config()._attn_implementation
        model.set_attn_implementation(ATTENTION)
        objection = probe.objection(in_a_packed_row)
        if objection is None:
            return
        model.set_attn_implementation(before)
        logger.info(f"batches are padded, which is slower, because of packed rows {objection}")
    if objection := probe.objection(in_padded_rows):
        raise _refusal(model, f"cannot run several rows together: of padded rows {objection}")


def _may_share_prefixes(model: Any) -> bool:
    """Whether it is worth a try. A short row shows nothing of layers that see a part of a row."""
    config = model.config.get_text_config()
    return (
        config._attn_implementation == "sdpa"
        and model._can_set_attn_implementation()
        and not model._is_stateful
        and not getattr(config, "sliding_window", None)
        and set(getattr(config, "layer_types", None) or ()) <= {"full_attention"}
    )


@contextmanager
def at_rest(model: Any) -> Iterator[None]:
    """Within this context the model answers as in evaluation, without dropout and gradients."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)
