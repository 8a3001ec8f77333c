"""Answers on a GPU: a step of all rows is recorded as a CUDA graph and replayed.

Starting the operations of a step takes the CPU ten times as long as the GPU needs for them; a graph
starts them all at once. All that changes from step to step is in tensors on the GPU: the newest
tokens, their positions, the column of the cache that is written next, and the sampler's state. The
CPU looks at the tokens every CHECK_EVERY steps only. Rows that have ended run on, unread, until
half of them have.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch

from medtune.generation.kv_cache import SharedPrefixCache
from medtune.generation.sampling import Sampler

logger = logging.getLogger("medtune")

CHECK_EVERY = 8  # steps; each look waits for the GPU


class DecodingSteps:
    """The state of decoding on a device; `step` reads and writes these tensors in place."""

    def __init__(
        self,
        model: Any,
        cache: SharedPrefixCache,
        tokens: torch.Tensor,
        ends: set[int],
        sampler: Sampler,
    ) -> None:
        """Starts with the first new token (N,) of each row of a cache that holds the prompts."""
        self.model, self.cache, self.sampler = model, cache, sampler
        self.ends = torch.tensor(sorted(ends), dtype=torch.long, device=tokens.device)
        columns = torch.arange(cache.capacity, device=tokens.device)
        self.tokens = tokens.clone()  # (N,)
        self.positions = cache.positions.clone()  # (N,) of the tokens before them
        self.column = columns[cache.length : cache.length + 1].clone()  # (1,)
        self.mask = (cache.key_mask & (columns < cache.length))[:, None, None]  # (N, 1, 1, C)
        for layer in cache.slot_layers:
            for buffer in layer.buffers:  # NaN would spoil attention even where it is hidden
                buffer[:, :, cache.length :] = 0
        self.ended = torch.isin(tokens, self.ends)  # (N,)

    @property
    def tensors(self) -> list[torch.Tensor]:
        rows = [self.tokens, self.positions, self.mask, self.ended]
        return [*rows, self.column, self.sampler.ids, self.sampler.count]

    def step(self) -> None:
        """Appends one token to each row."""
        self.positions += 1
        self.mask.index_fill_(3, self.column, True)
        self.cache.column = self.column
        inputs = {
            "input_ids": self.tokens[:, None],
            "position_ids": self.positions[:, None],
            "attention_mask": self.mask,
        }
        self.tokens.copy_(self.sampler(self.cache.next_logits(inputs)))
        self.ended |= torch.isin(self.tokens, self.ends)
        self.column += 1

    def keep(self, rows: Sequence[int]) -> list[int]:
        """Drops all rows but these. Returns the old number of each row, in its new order."""
        self.cache.length = int(self.column)
        order = self.cache.keep(rows)
        self.sampler.keep(order)
        self.tokens, self.positions = self.tokens[order], self.positions[order]
        self.mask, self.ended = self.mask[order], self.ended[order]
        return order

    def recorded(self) -> Callable[[], None]:
        """Returns a function that does what `step` does."""
        before = [tensor.clone() for tensor in self.tensors]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # prepares libraries, which cannot be recorded
            self.step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self.step()
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            logger.warning(f"a step of this model cannot be recorded, which is slower: {error}")
            return self.step
        finally:
            for tensor, old in zip(self.tensors, before, strict=True):
                tensor.copy_(old)
        return graph.replay


def decoded_answers(
    steps: DecodingSteps, max_new_tokens: int, on_token: Callable[[], object] = lambda: None
) -> list[list[int]]:
    """Returns each row's new ids, up to and including its first end token, if there is one."""
    is_gpu = steps.tokens.is_cuda
    answers: list[list[int]] = [[] for _ in steps.tokens]
    running = list(range(len(answers)))  # running[row] is the number of the row's answer
    step = steps.recorded() if is_gpu and max_new_tokens > 1 else steps.step
    for count in range(1, max_new_tokens + 1):
        on_token()
        is_last = count == max_new_tokens
        if is_last or count % CHECK_EVERY == 0:
            ended = steps.ended.tolist()
            alive = [row for row, done in enumerate(ended) if not done]
            is_last = is_last or not alive
            if is_last or 2 * len(alive) <= len(running):
                new = steps.sampler.answers[:, :count].tolist()
                for row, answer in enumerate(running):
                    answers[answer] = new[row]
                if is_last:
                    break
                running = [running[row] for row in steps.keep(alive)]
                step = steps.recorded() if is_gpu else steps.step
        step()
    ends = set(steps.ends.tolist())
    return [_until_end(ids, ends) for ids in answers]


def _until_end(ids: list[int], ends: set[int]) -> list[int]:
    stop = next((n for n, token in enumerate(ids) if token in ends), len(ids))
    return ids[: stop + 1]
