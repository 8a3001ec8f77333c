"""Plans a training run: the cards of each optimiser step, and of each forward pass in it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from medtune.config.schema import Train
from medtune.modeling.loading import device

AUTO_BYTES = 6 * 2**30  # for the activations of a pass: what a T4 has left beside a model of 1B


def row_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """Returns the numbers of `count` rows, shuffled.

    The order depends only on the arguments, so that a resumed run sees the same batches.
    """
    return np.random.default_rng([seed, epoch]).permutation(count)


def training_order(count: int, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Returns the numbers of an epoch's rows cut into batches; the last may be smaller."""
    rows = row_order(count, seed, epoch).tolist()
    return [rows[i : i + batch_size] for i in range(0, count, batch_size)]


class Plan(Sequence[list[list[int]]]):
    """The cards of each forward pass of each step, over all epochs and processes.

    Only the order of the cards is held in memory; a step is cut from it when it is read.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        params: Train,
        seed: int,
        processes: int = 1,
        budget: int | None = None,
    ) -> None:
        self.lengths, self.budget = lengths, budget
        self.pass_size = params.per_device_train_batch_size
        self.step_size = self.pass_size * params.gradient_accumulation_steps * processes
        epochs = range(params.num_train_epochs)
        self.orders = [row_order(len(lengths), seed, epoch) for epoch in epochs]
        self.steps_per_epoch = math.ceil(len(lengths) / self.step_size)

    def __len__(self) -> int:
        return len(self.orders) * self.steps_per_epoch

    def __getitem__(self, step: Any) -> Any:
        if isinstance(step, slice):
            return [self[n] for n in range(*step.indices(len(self)))]
        epoch, number = divmod(range(len(self))[step], self.steps_per_epoch)
        start = number * self.step_size
        cards = self.orders[epoch][start : start + self.step_size].tolist()
        passes = [cards[i : i + self.pass_size] for i in range(0, len(cards), self.pass_size)]
        return within_budget(passes, self.lengths, self.budget)


def token_budget(params: Train, config: Any, longest: int, processes: int) -> int | None:
    """Returns how many tokens a pass may take; None keeps `per_device_train_batch_size` cards.

    `auto` depends on the recipe, the model's config and the longest card, never on free memory. It
    is None on a CPU, where larger passes gain nothing; with several processes, which divide the
    batches; and with NEFTune, whose noise depends on the length to which a batch is padded.
    """
    if params.tokens_per_pass != "auto":
        return params.tokens_per_pass
    if device() == "cpu" or processes > 1 or params.neftune_noise_alpha is not None:
        return None
    text = config.get_text_config()
    feed_forward = getattr(text, "intermediate_size", None)
    intermediate = feed_forward if isinstance(feed_forward, int) else 4 * text.hidden_size
    sizes = (text.hidden_size, intermediate, text.num_hidden_layers, text.vocab_size)
    return max(auto_tokens(params, *sizes), params.per_device_train_batch_size * longest)


def auto_tokens(params: Train, hidden: int, intermediate: int, layers: int, words: int) -> int:
    """Returns how many tokens fit AUTO_BYTES.

    In half precision a layer keeps about 12 vectors of the hidden size for each token and 6 of the
    feed-forward size, and the loss three fp32 numbers for each word of the vocabulary.
    """
    layer = 2 * (12 * hidden + 6 * intermediate)
    kept = 1 if params.gradient_checkpointing else layers
    return AUTO_BYTES // (kept * layer + layers * 2 * hidden + 12 * words)


def within_budget(
    passes: list[list[int]], lengths: Sequence[int], budget: int | None
) -> list[list[int]]:
    """Cuts the cards of a step anew: each pass takes as many as fit, and at least one.

    >>> within_budget([[0, 1], [2, 3]], lengths=[5, 5, 5, 20], budget=15)
    [[0, 1, 2], [3]]
    """
    if budget is None:
        return passes
    cut: list[list[int]] = []
    left = 0
    for card in (card for cards in passes for card in cards):
        if not cut or lengths[card] > left:
            cut.append([])
            left = budget
        cut[-1].append(card)
        left -= lengths[card]
    return cut
