"""Answers whose rows join and leave between two tokens: for whoever is asked now and then.

What a row is answered depends on its prompt, its settings and its seed, not on the others; greedy
answers are those of medtune.generation.generate.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from medtune.config.schema import Evaluate
from medtune.generation.generate import Chooser, last_states
from medtune.generation.kv_cache import PaddedCache, Pass
from medtune.modeling.losses import head_logits
from medtune.serving.cache import OpenCache, allow_open_rows


class OpenBatch:
    """A batch of `model`; `select` is called before each use and may switch its adapter.

    `beginning`: the ids that most prompts begin with, which are then computed only once.
    """

    def __init__(
        self,
        model: Any,
        select: Callable[[], object] = lambda: None,
        beginning: Sequence[int] = (),
    ) -> None:
        self.model, self.select = model, select
        self.takes_any = allow_open_rows(model)
        self.cache: Any = OpenCache(model) if self.takes_any else None
        self.clear()
        if beginning and self.takes_any:
            self._remember(list(beginning))

    @property
    def is_open(self) -> bool:
        """Whether rows may join now: a model that sees a part of a row wants an empty batch."""
        return self.takes_any or not self.choosers

    def clear(self) -> None:
        self.new: list[list[int]] = []  # prompts of rows that have joined since the last step
        self.room = 0  # tokens that the longest of them may come to
        self.choosers: list[Chooser | None] = []  # None: greedy
        self.tokens = torch.empty(0, dtype=torch.long, device=self.model.device)
        if self.takes_any:
            self.cache.clear()

    def join(
        self, prompts: Sequence[list[int]], params: Sequence[Evaluate], seeds: Sequence[Any]
    ) -> None:
        """Adds rows behind those there are; none may leave before the next step."""
        for ids, own, seed in zip(prompts, params, seeds, strict=True):
            is_greedy = own.temperature == 0 and own.repetition_penalty == 1
            self.choosers.append(None if is_greedy else Chooser([ids], own, [seed]))
            self.room = max(self.room, len(ids) + own.max_new_tokens)
        self.new += prompts

    @torch.inference_mode()
    def step(self) -> list[int]:
        """Returns the next token of each row, the first one of those that have joined."""
        self.select()
        inputs = self._next_pass()
        logits = head_logits(self.model, last_states(self.model, self.cache, inputs))
        self.tokens = logits.argmax(dim=-1)
        for row, choose in enumerate(self.choosers):
            if choose:
                self.tokens[row] = choose(logits[row : row + 1])[0]
        self.new, self.room = [], 0
        return self.tokens.tolist()

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> list[int]:
        """Keeps these rows; returns them in the order in which they now stand."""
        if not rows:
            self.clear()
            return []
        order = self.cache.keep(rows)
        self.choosers = [self.choosers[row] for row in order]
        self.tokens = self.tokens[order]
        return order

    def _next_pass(self) -> Pass:
        if self.takes_any:
            return self.cache.next_pass(self.tokens, self.new, self.room)
        if not self.new:
            return self.cache.next_pass(self.tokens)
        self.cache = PaddedCache(self.model, self.new, self.room)
        (inputs,) = self.cache.first_passes()
        return inputs

    @torch.inference_mode()
    def _remember(self, beginning: list[int]) -> None:
        self.select()
        inputs = self.cache.next_pass(self.tokens, [beginning], len(beginning))
        last_states(self.model, self.cache, inputs)
        self.cache.remember(beginning)
        self.clear()
