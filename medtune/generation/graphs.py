"""Greedy answers on a GPU: a step of all rows is recorded as a CUDA graph and replayed.

Starting the operations of a step takes the CPU ten times as long as the GPU needs for them; a graph
starts them all at once. All that changes from step to step is in tensors on the GPU: the newest
tokens, their positions, and the column of the cache that is written next. The CPU looks at the
tokens every CHECK_EVERY steps only. Rows that have ended run on, unread, until half of them have.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch

from medtune.generation.kv_cache import SharedPrefixCache

logger = logging.getLogger("medtune")

CHECK_EVERY = 8  # steps; each look waits for the GPU


class GreedySteps:
    """The state of greedy decoding on a device; `step` reads and writes these tensors in place."""

    def __init__(
        self,
        model: Any,
        cache: SharedPrefixCache,
        tokens: torch.Tensor,
        ends: set[int],
        frequency_penalty: float = 0.0,
    ) -> None:
        """Starts with the first new token (N,) of each row of a cache that holds the prompts."""
        self.model, self.cache = model, cache
        self.ends = torch.tensor(sorted(ends), dtype=torch.long, device=tokens.device)
        columns = torch.arange(cache.capacity, device=tokens.device)
        self.tokens = tokens.clone()  # (N,)
        self.positions = cache.positions.clone()  # (N,) of the tokens before them
        self.column = columns[cache.length : cache.length + 1].clone()  # (1,)
        self.mask = (cache.key_mask & (columns < cache.length))[:, None, None]  # (N, 1, 1, C)
        for layer in cache.slot_layers:
            for buffer in layer.buffers:  # NaN would spoil attention even where it is hidden
                buffer[:, :, cache.length :] = 0
        steps = cache.capacity - cache.length
        self.answers = tokens.new_zeros((len(tokens), steps))  # (N, steps)
        self.answers[:, 0] = tokens
        self.count = torch.ones(1, dtype=torch.long, device=tokens.device)  # (1,) of answer columns
        self.ended = torch.isin(tokens, self.ends)  # (N,)
        self.frequency_penalty = frequency_penalty
        vocabulary = model.get_output_embeddings().weight.shape[0] if frequency_penalty else 0
        # (N, vocabulary) what the tokens of the answers so far take from the next logits.
        self.penalties = torch.zeros(len(tokens), vocabulary, device=tokens.device)
        self._penalize()

    @property
    def tensors(self) -> list[torch.Tensor]:
        rows = [self.tokens, self.positions, self.mask, self.answers, self.ended, self.penalties]
        return [*rows, self.column, self.count]

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
        logits = self.cache.next_logits(inputs)
        if self.frequency_penalty:
            logits = logits - self.penalties
        self.tokens.copy_(logits.argmax(dim=-1))
        self._penalize()
        self.answers.index_copy_(1, self.count, self.tokens[:, None])
        self.ended |= torch.isin(self.tokens, self.ends)
        self.column += 1
        self.count += 1

    def keep(self, rows: Sequence[int]) -> list[int]:
        """Drops all rows but these. Returns the old number of each row, in its new order."""
        self.cache.length = int(self.column)
        order = self.cache.keep(rows)
        self.tokens, self.positions = self.tokens[order], self.positions[order]
        self.mask, self.answers = self.mask[order], self.answers[order]
        self.ended, self.penalties = self.ended[order], self.penalties[order]
        return order

    def _penalize(self) -> None:
        """Counts the newest token of each row."""
        if self.frequency_penalty:
            newest = self.tokens[:, None]
            penalties = self.penalties.gather(1, newest) + self.frequency_penalty
            self.penalties.scatter_(1, newest, penalties)

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


def greedy_answers(
    steps: GreedySteps, max_new_tokens: int, on_token: Callable[[], object] = lambda: None
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
                new = steps.answers[:, :count].tolist()
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
