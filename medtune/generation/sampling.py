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

    def __init__(self, penalty: float, prompt_width: int, count: torch.Tensor) -> None:
        self.penalty, self.prompt_width, self.count = penalty, prompt_width, count

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Maps scores (rows, vocabulary).

        `input_ids` (rows, prompt_width + new) are the prompt and the answer, of which there are
        `count` (1,) tokens so far.
        """
        answers = input_ids[:, self.prompt_width :]
        is_taken = torch.arange(answers.shape[1], device=scores.device) < self.count  # (new,)
        return scores.scatter_add(1, answers, (-self.penalty * is_taken).expand_as(answers))


class Sampler:
    """Chooses the next token of each row: the likeliest, or one drawn at random.

    Draws use the row's own random numbers, so that they do not depend on the batch. All that
    changes is in tensors of fixed shapes, as a CUDA graph needs it.
    """

    def __init__(
        self,
        prompts: Sequence[list[int]],
        params: Evaluate,
        seeds: Sequence[Any],
        device: torch.device | str,
    ) -> None:
        width, new = max(len(ids) for ids in prompts), params.max_new_tokens
        # (rows, width + new) prompt and answer so far. The first id of a row fills the rest of it,
        # so that the repetition penalty counts no token that the row does not have.
        filled = [[ids[0]] * (width - len(ids)) + ids + [ids[0]] * new for ids in prompts]
        self.ids, self.width = torch.tensor(filled, device=device), width
        self.count = torch.zeros(1, dtype=torch.long, device=device)  # (1,) tokens of each answer
        self.processors: Any = LogitsProcessorList()
        if params.repetition_penalty != 1:
            self.processors.append(RepetitionPenaltyLogitsProcessor(params.repetition_penalty))
        if params.frequency_penalty:
            penalty = FrequencyPenalty(params.frequency_penalty, width, self.count)
            self.processors.append(penalty)
        self.uniforms = None  # without a temperature, decoding is greedy
        if params.temperature > 0:
            uniforms = np.stack([np.random.default_rng(seed).random(new) for seed in seeds])
            self.uniforms = torch.tensor(uniforms, device=device)  # (rows, new) in [0, 1)
            self.processors.append(TemperatureLogitsWarper(params.temperature))
            if params.top_p < 1:
                self.processors.append(TopPLogitsWarper(params.top_p))

    @property
    def is_plain(self) -> bool:
        """Whether the next token is the likeliest one, whatever came before."""
        return self.uniforms is None and not self.processors

    @property
    def answers(self) -> torch.Tensor:
        """The new ids (rows, new); the first `count` of each row have been chosen."""
        return self.ids[:, self.width :]

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Maps logits (rows, vocabulary) in fp32 to the next ids (rows,)."""
        logits = self.processors(self.ids, logits)
        if self.uniforms is None:
            tokens = likeliest_ids(logits)
        else:
            # By the inverse of the cumulative distribution: one random number for each token.
            cumulative = torch.softmax(logits.double(), dim=-1).cumsum(dim=-1)
            drawn = self.uniforms.index_select(1, self.count) * cumulative[:, -1:]  # (rows, 1)
            tokens = torch.searchsorted(cumulative, drawn, right=True)[:, 0]
        self.answers.index_copy_(1, self.count, tokens[:, None])
        self.count += 1
        return tokens

    def keep(self, rows: Sequence[int]) -> None:
        """Keeps only these rows, in this order."""
        self.ids = self.ids[rows]
        if self.uniforms is not None:
            self.uniforms = self.uniforms[rows]


def likeliest_ids(logits: torch.Tensor) -> torch.Tensor:
    """Returns the first of the likeliest ids (rows,) of logits (rows, vocabulary) in fp32.

    numpy uses a CPU's vector units for that: 200 rows of 49,152 take 2 instead of 18 ms.
    """
    if logits.device.type == "cpu":
        return torch.from_numpy(logits.numpy().argmax(axis=-1))
    return logits.argmax(dim=-1)
