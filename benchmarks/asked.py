"""The ways of the project and of transformers to answer prompts (token ids) greedily."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.engines import Ids
from medtune.config.loading import load_params
from medtune.config.schema import Evaluate
from medtune.modeling.loading import load_base, load_tokenizer
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.modeling.token_files import PROMPT_FORMAT, TOKENS, read_tokens
from medtune.runtime.errors import InputError


@dataclass
class Asked:
    """A model, what it is asked, and how long an answer may get."""

    model: Any
    params: Evaluate
    ends: set[int]

    def transformers(self, prompts: Ids) -> Ids:
        """The answers of `generate` to one batch, padded on the left."""
        import torch

        width = max(len(ids) for ids in prompts)
        padded = torch.tensor([[0] * (width - len(ids)) + ids for ids in prompts])
        lengths = torch.tensor([len(ids) for ids in prompts])
        mask = (torch.arange(width) >= (width - lengths)[:, None]).long()
        device = self.model.device
        output = self.model.generate(
            padded.to(device), attention_mask=mask.to(device), **self.settings()
        )
        return [self.ended(ids) for ids in output[:, width:].tolist()]

    def settings(self) -> dict[str, Any]:
        return {
            "max_new_tokens": self.params.max_new_tokens,
            "do_sample": False,
            "eos_token_id": sorted(self.ends),
            "pad_token_id": 0,
        }

    def ended(self, ids: list[int]) -> list[int]:
        """Up to the first end token."""
        stop = next((n for n, token in enumerate(ids) if token in self.ends), len(ids))
        return ids[: stop + 1]

    def one_by_one(self, prompts: Ids, _: int) -> Ids:
        return [self.transformers([ids])[0] for ids in prompts]

    def unsorted(self, prompts: Ids, size: int) -> Ids:
        batches = [prompts[i : i + size] for i in range(0, len(prompts), size)]
        return [ids for batch in batches for ids in self.transformers(batch)]

    def sorted(self, prompts: Ids, size: int) -> Ids:
        order = sorted(range(len(prompts)), key=lambda n: len(prompts[n]))
        answers = self.unsorted([prompts[n] for n in order], size)
        return [answers[order.index(n)] for n in range(len(prompts))]

    def continuous(self, prompts: Ids, _: int) -> Ids:
        from transformers import GenerationConfig

        config = GenerationConfig(**self.settings())
        outputs = self.model.generate_batch(prompts, generation_config=config)
        answers = sorted(outputs.values(), key=lambda output: int(output.request_id.split("_")[-1]))
        if any(output.error for output in answers):
            raise InputError(f"continuous batching failed: {answers[0].error}")
        return [self.ended(output.generated_tokens) for output in answers]

    def ours(self, prompts: Ids, _: int) -> Ids:
        from medtune.generation.generate import generate
        from medtune.modeling.collation import by_length

        answers: dict[int, list[int]] = {}
        for numbers in by_length([len(ids) for ids in prompts], self.params.batch_size):
            rows = generate(self.model, [prompts[n] for n in numbers], self.params, self.ends)
            answers |= dict(zip(numbers, rows, strict=True))
        return [answers[n] for n in range(len(prompts))]


def load(folder: Path) -> Asked:
    from medtune.generation.generate import end_ids

    params = load_params("evaluate").model_copy(
        update={"temperature": 0.0, "repetition_penalty": 1.0}
    )
    model = load_base(folder=folder)
    encoder = PromptEncoder(load_tokenizer(folder), PromptFormat.load(PROMPT_FORMAT))
    return Asked(model, params, end_ids(model, encoder))


def questions(count: int) -> Ids:
    """The prompts of the first test and validation cards."""
    tables = [read_tokens(TOKENS / f"{split}.arrow") for split in ("test", "validation")]
    rows = [row for table in tables for row in table.to_pylist()]
    if count > len(rows):
        raise InputError(f"--questions is {count}, but there are {len(rows)} cards to ask")
    return [row["input_ids"][: row["prompt_length"]] for row in rows[:count]]
