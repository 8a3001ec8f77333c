"""Records forward and backward passes on a GPU as CUDA graphs, and replays them.

A pass over a few cards is some thousand small operations, and to start them one by one takes the
CPU several times as long as the GPU needs for them. A graph starts them all at once. It repeats
exactly what was recorded, in the same memory: each size of a pass has its own graph, and smaller
passes are filled up to the next size. The filling is a separate sequence, without loss.

Graphs need a model that takes packed rows, one process and no checkpointing.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from medtune.modeling.collation import Cards, common_prefix_length
from medtune.modeling.flash import flash_dtype
from medtune.modeling.loading import to_device
from medtune.modeling.neftune import noise_size, sized_noise
from medtune.modeling.shared_prefix import (
    CONTEXT,
    PADDING,
    PackedRow,
    draws_noise,
    flash_row,
    masked_row,
    shares_prefixes,
)
from medtune.modeling.token_files import row_lengths

logger = logging.getLogger("medtune")

SIZES_PER_OCTAVE = 8  # between a number of tokens and twice as many
LEAST_USES = 2  # a size that the plan has less often runs without a graph

Losses = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Size:
    """The shape of a graph: passes of `rows` cards that are filled up to these numbers."""

    rows: int
    prefix: int
    tokens: int  # of the packed row with its filling
    targets: int  # supervised tokens
    longest: int  # keys of a row, or of the filling
    dtype: torch.dtype | None  # of medtune.modeling.flash; None is attention with a mask


@dataclass(frozen=True)
class Inputs:
    """The tensors that a pass reads."""

    row: PackedRow
    indices: torch.Tensor  # (targets,) of the states that predict
    targets: torch.Tensor  # (targets,) what they predict
    weights: torch.Tensor  # (targets,) of their losses; 0 for filling
    noise: torch.Tensor  # (1,) size of NEFTune's noise

    @property
    def tensors(self) -> list[torch.Tensor]:
        row = self.row
        found = [
            row.input_ids,
            row.position_ids,
            row.attention_mask,
            *row.layout.tensors().values(),
        ]
        return [*found, self.indices, self.targets, self.weights, self.noise]


def rounded_up(count: int) -> int:
    """Rounds up to the next size; at least one token is filling.

    >>> [rounded_up(count) for count in (15, 16, 100, 1000, 1030)]
    [16, 18, 104, 1024, 1152]
    """
    step = max(1, 2 ** (count.bit_length() - 1) // SIZES_PER_OCTAVE)
    return (count // step + 1) * step


def shared_prefix(cards: Cards) -> int:
    """Counts the tokens that all cards begin with and that predict no supervised token."""
    shared = common_prefix_length(cards.input_ids)
    return max(0, min(shared, min(row_lengths(cards.input_ids)) - 1, min(cards.loss_start) - 1))


def plan_sizes(
    passes: Iterable[Sequence[int]], cards: Cards, prefix: int, dtype: torch.dtype | None
) -> dict[tuple[int, int], Size]:
    """Returns the sizes that get a graph, by rows and tokens; they depend on the plan alone."""
    lengths, counts = row_lengths(cards.input_ids), cards.supervised_counts()
    all_uses = Counter[tuple[int, int]]()
    targets: dict[tuple[int, int], int] = {}
    for numbers in passes:
        key = _key([lengths[n] for n in numbers], prefix)
        all_uses[key] += 1
        targets[key] = max(targets.get(key, 0), sum(counts[n] for n in numbers))
    longest = max(lengths)
    return {
        (rows, tokens): Size(
            rows=rows,
            prefix=prefix,
            tokens=tokens,
            targets=targets[rows, tokens],
            longest=max(longest, prefix + tokens // SIZES_PER_OCTAVE + 1),
            dtype=dtype,
        )
        for (rows, tokens), uses in sorted(all_uses.items())
        if uses >= LEAST_USES
    }


def _key(lengths: Sequence[int], prefix: int) -> tuple[int, int]:
    return len(lengths), rounded_up(prefix + sum(length - prefix for length in lengths))


def filled(model: Any, cards: Cards, size: Size) -> Inputs:
    """Packs cards into one row, filled up to a size, on the model's device."""
    ids, prefix = cards.input_ids, size.prefix
    packed, indices, targets = list(ids[0][:prefix]), list[int](), list[int]()
    for card, learned in zip(ids, cards.supervised(), strict=True):
        first = len(packed) - prefix  # column n of the card is first + n
        packed += card[prefix:]
        for columns in learned:
            indices += range(first + columns.start - 1, first + columns.stop - 1)
            targets += card[columns.start : columns.stop]
    lengths = [len(card) - prefix for card in ids] + [size.tokens - len(packed)]
    packed += [0] * (size.tokens - len(packed))
    rest = size.targets - len(targets)
    weights = [1.0] * len(targets) + [0.0] * rest
    noise = [noise_size(model.get_input_embeddings(), max(map(len, ids)))]
    others = (indices + [size.tokens - 1] * rest, targets + [0] * rest, weights, noise)
    if size.dtype:
        sequences = (torch.tensor(packed), prefix, torch.tensor(lengths))
        row = flash_row(model, *sequences, size.dtype, size.longest)
    else:
        parts = torch.tensor(packed[prefix:]).split(lengths)
        padded = torch.zeros((len(parts), size.longest), dtype=torch.long)
        padded[:, :prefix] = torch.tensor(packed[:prefix])
        segments = torch.full_like(padded, PADDING)
        for part, ids_of_row, segments_of_row in zip(parts, padded, segments, strict=True):
            ids_of_row[prefix : prefix + len(part)] = part
            segments_of_row[: prefix + len(part)] = CONTEXT
        row = masked_row(model, padded, segments, prefix)
    return Inputs(row, *(to_device(torch.tensor(values), model.device) for values in others))


class Graphs:
    """The graphs of a training run.

    `autocast` opens the context in which the model runs. `scaled` scales a loss, as fp16 needs it.
    """

    def __init__(
        self,
        model: Any,
        passes: Iterable[Sequence[int]],
        cards: Cards,
        autocast: Callable[[], Any],
        scaled: Callable[[torch.Tensor], torch.Tensor],
    ) -> None:
        self.model, self.cards, self.autocast, self.scaled = model, cards, autocast, scaled
        self.trained = [weight for weight in model.parameters() if weight.requires_grad]
        self.graphs: dict[Size, tuple[torch.cuda.CUDAGraph, Inputs, Losses]] = {}
        self.sizes: dict[tuple[int, int], Size] = {}
        self.prepared: dict[tuple[int, ...], tuple[Size, Inputs] | None] = {}
        self.prefix = 0
        self.pool: Any = None  # memory that all graphs share, because only one runs at a time
        model.train()
        if not shares_prefixes(model) or _checkpoints(model):
            return
        with autocast():
            dtype = flash_dtype(model)
        self.prefix = 0 if draws_noise(model) else shared_prefix(cards)
        self.sizes = plan_sizes(passes, cards, self.prefix, dtype)
        # A graph adds to the gradients in place. In one tensor they are cleared at once.
        counts = [weight.numel() for weight in self.trained]
        self.gradients = torch.zeros(sum(counts), device=model.device)
        for weight, gradient in zip(self.trained, self.gradients.split(counts), strict=True):
            weight.grad = gradient.view_as(weight)

    def prepare(self, passes: Iterable[Sequence[int]]) -> None:
        """Lays out the next passes over cards, best while the GPU is busy with the last ones."""
        if self.sizes:
            self.prepared = {tuple(numbers): self._inputs(numbers) for numbers in passes}

    def _inputs(self, numbers: Sequence[int]) -> tuple[Size, Inputs] | None:
        cards = self.cards.chosen(numbers)
        size = self.sizes.get(_key(row_lengths(cards.input_ids), self.prefix))
        return (size, filled(self.model, cards, size)) if size else None

    def run(self, numbers: Sequence[int], scale: float) -> torch.Tensor | None:
        """Adds the gradients of scale · the summed loss of these cards, and returns this sum.

        Returns None, and does nothing, if the pass has no graph.
        """
        key = tuple(numbers)
        prepared = self.prepared.pop(key) if key in self.prepared else self._inputs(numbers)
        if prepared is None or not self.sizes:
            return None
        size, inputs = prepared
        if size not in self.graphs:
            try:
                self.graphs[size] = self._recorded(inputs)
            except torch.cuda.OutOfMemoryError:
                raise
            except RuntimeError as error:
                logger.warning(f"passes of this model cannot be recorded, which is slower: {error}")
                self.sizes = {}
                return None
        graph, recorded, (loss, recorded_scale) = self.graphs[size]
        for tensor, new in zip(recorded.tensors, inputs.tensors, strict=True):
            tensor.copy_(new)
        recorded_scale.fill_(scale)
        graph.replay()
        return loss

    def clear_gradients(self) -> None:
        self.gradients.zero_()

    def _recorded(self, inputs: Inputs) -> tuple[torch.cuda.CUDAGraph, Inputs, Losses]:
        noise, gradients = torch.cuda.get_rng_state(), self.gradients.clone()
        scale = torch.zeros((), device=self.model.device)
        graph = torch.cuda.CUDAGraph()
        try:
            if not self.graphs:  # the first pass also prepares libraries, which is not recorded
                stream = torch.cuda.Stream()
                stream.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(stream):
                    self._pass(inputs, scale)
                torch.cuda.current_stream().wait_stream(stream)
                torch.cuda.empty_cache()
            with torch.cuda.graph(graph, pool=self.pool):
                loss = self._pass(inputs, scale)
        finally:
            self.gradients.copy_(gradients)
            torch.cuda.set_rng_state(noise)  # a resumed run records at another step
        self.pool = graph.pool()
        return graph, inputs, (loss, scale)

    def _pass(self, inputs: Inputs, scale: torch.Tensor) -> torch.Tensor:
        with self.autocast(), sized_noise(self.model, inputs.noise):
            logits = inputs.row.logits(self.model, inputs.indices)
            losses = cross_entropy(logits, inputs.targets, reduction="none") * inputs.weights
        loss = losses.sum()
        self.scaled(loss * scale).backward()
        return loss.detach()


def _checkpoints(model: Any) -> bool:
    """Whether activations are recomputed, for which a pass cannot be recorded."""
    return any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
