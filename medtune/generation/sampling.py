"""Chooses the next token of each row from its logits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from medtune.config.schema import Evaluate


class FrequencyPenalty(LogitsProcessor):
    """Subtracts `penalty` from a token's logit for each time that the answer already has it.

    As in the API of OpenAI and in vLLM. Unlike the repetition penalty it leaves the prompt alone,
    so that an answer may take its words from there.
    """

    def __init__(self, penalty: float, prompt_width: int) -> None:
        self.penalty, self.prompt_width = penalty, prompt_width

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Maps scores (rows, vocabulary); `input_ids` (rows, prompt_width + answer so far)."""
        answers = input_ids[:, self.prompt_width :]
        return scores.scatter_add(1, answers, scores.new_full(answers.shape, -self.penalty))


class Sampler:
    """Chooses the next token of each row: the likeliest, or one drawn at random.

    Draws use the row's own random numbers, so that they do not depend on the batch.
    """

    def __init__(
        self, prompts: Sequence[list[int]], params: Evaluate, seeds: Sequence[Any]
    ) -> None:
        width = max(len(ids) for ids in prompts)
        self.processors: Any = LogitsProcessorList()
        if params.repetition_penalty != 1:
            self.processors.append(RepetitionPenaltyLogitsProcessor(params.repetition_penalty))
        if params.frequency_penalty:
            self.processors.append(FrequencyPenalty(params.frequency_penalty, width))
        self.generators = None  # without a temperature, decoding is greedy
        if params.temperature > 0:
            self.generators = [np.random.default_rng(seed) for seed in seeds]
            self.processors.append(TemperatureLogitsWarper(params.temperature))
            if params.top_p < 1:
                self.processors.append(TopPLogitsWarper(params.top_p))
        # (rows, width) prompt and answer so far. The padding repeats the row's first id, so that
        # the repetition penalty counts no token that the row does not have.
        self.ids = torch.tensor([[ids[0]] * (width - len(ids)) + ids for ids in prompts])

    @property
    def is_greedy(self) -> bool:
        """Whether the next token depends only on the logits and on the answer so far."""
        others = [each for each in self.processors if not isinstance(each, FrequencyPenalty)]
        return self.generators is None and not others

    @property
    def is_plain(self) -> bool:
        """Whether the next token is the likeliest one, whatever came before."""
        return self.generators is None and not self.processors

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Maps logits (rows, vocabulary) in fp32 to the next ids (rows,)."""
        logits = self.processors(self.ids.to(logits.device), logits)
        if self.generators is None:
            tokens = logits.argmax(dim=-1)
        else:
            # By the inverse of the cumulative distribution: one random number for each token.
            cumulative = torch.softmax(logits.double(), dim=-1).cumsum(dim=-1)
            numbers = [[generator.random()] for generator in self.generators]
            drawn = torch.tensor(numbers, device=logits.device)  # (rows, 1) in [0, 1)
            tokens = torch.searchsorted(cumulative, drawn * cumulative[:, -1:], right=True)[:, 0]
        self.ids = torch.cat([self.ids, tokens[:, None].to(self.ids.device)], dim=1)
        return tokens

    def keep(self, rows: Sequence[int]) -> None:
        """Keeps only these rows, in this order."""
        self.ids = self.ids[rows]
        if self.generators is not None:
            self.generators = [self.generators[row] for row in rows]
