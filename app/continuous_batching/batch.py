"""A running batch of answers: questions join and leave it between two tokens, for the chat.

The answer to a question depends on its prompt, settings and seed, not on the other rows. Greedy
answers equal those of medtune.generation.generate, up to rounding.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from app.continuous_batching.cache import ContinuousCache, enable_continuous_batching
from app.continuous_batching.log_probabilities import TokenScores, token_scores
from medtune.config.schema import Evaluate
from medtune.generation.cache_choice import make_cache
from medtune.generation.sampling import Sampler, likeliest_ids
from medtune.modeling.forward import ModelInputs


class ContinuousBatch:
    """A batch of `model`. `select` is called before the model runs and may switch its adapter.

    `prefix` (token ids) is what most prompts begin with; it is computed only once.
    """

    def __init__(
        self,
        model: Any,
        select: Callable[[], object] = lambda: None,
        prefix: Sequence[int] = (),
    ) -> None:
        self.model, self.select = model, select
        self.is_continuous = enable_continuous_batching(model)
        self.cache: Any = ContinuousCache(model) if self.is_continuous else None
        self.clear()
        if prefix and self.is_continuous:
            self._save_prefix(list(prefix))

    @property
    def is_open(self) -> bool:
        """Whether rows may join now. Other models take new rows only when they have none left."""
        return self.is_continuous or not self.samplers

    def clear(self) -> None:
        """Drops all rows."""
        self.samplers: list[Sampler | None] = []  # of each row; None is greedy
        # The newest token of each row.
        self.tokens = torch.empty(0, dtype=torch.long, device=self.model.device)  # (rows,)
        if self.is_continuous:
            self.cache.clear()
        # The next passes, if they are not continuous.
        self.prefill: Iterator[ModelInputs] | None = None

    def join(
        self, prompts: Sequence[list[int]], params: Sequence[Evaluate], seeds: Sequence[Any]
    ) -> None:
        """Adds rows after the present ones. `step` must be called before `keep`."""
        assert self.is_open
        for ids, settings, seed in zip(prompts, params, seeds, strict=True):
            sampler = Sampler([ids], settings, [seed], self.model.device)
            self.samplers.append(None if sampler.is_plain else sampler)
        new = [settings.max_new_tokens for settings in params]
        if self.is_continuous:
            longest = max(len(ids) + count for ids, count in zip(prompts, new, strict=True))
            self.cache.join(prompts, longest)
        else:
            self.cache = make_cache(self.model, prompts, max(new))
            self.prefill = self.cache.prefill_inputs()

    @torch.inference_mode()
    def step(self) -> list[int]:
        """Returns the next token of each row; for rows that have just joined, the first."""
        self.select()
        passes = self.prefill or [self.cache.next_inputs(self.tokens)]
        logits = torch.cat([self.cache.next_logits(inputs) for inputs in passes])
        self.tokens, self.prefill = likeliest_ids(logits), None
        for row, sampler in enumerate(self.samplers):
            if sampler:
                self.tokens[row] = sampler(logits[row : row + 1])[0]
        return self.tokens.tolist()

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> list[int]:
        """Drops all rows but these. Returns the old number of each row, in its new order."""
        if not rows:
            self.clear()
            return []
        order = self.cache.keep(rows)
        self.samplers = [self.samplers[row] for row in order]
        self.tokens = self.tokens[order]
        return order

    def score(self, texts: Sequence[list[int]], likeliest: int) -> list[TokenScores]:
        """Returns log-probabilities of texts (token ids), which are no rows of the batch."""
        self.select()
        return token_scores(self.model, texts, likeliest)

    @torch.inference_mode()
    def _save_prefix(self, prefix: list[int]) -> None:
        self.select()
        self.cache.join([prefix], len(prefix))
        self.cache.next_logits(self.cache.next_inputs(self.tokens))
        self.cache.save_prefix(prefix)
        self.clear()
