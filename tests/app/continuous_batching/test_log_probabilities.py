from pathlib import Path
from typing import Any

import pytest
import torch

from app.continuous_batching import log_probabilities
from app.continuous_batching.batch import ContinuousBatch
from medtune.modeling.loading import load_base
from tests.tiny_models import random_model

TEXTS = [[257, *range(30, 30 + count)] for count in (0, 1, 8, 16, 17, 40)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_scores_are_those_of_each_text_alone(
    kind: str, base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_probabilities, "PART", 8)
    options = {"sliding_window": 4} if kind == "mistral" else {}
    make: Any = (lambda: load_base(folder=base_folder)) if kind == "llama" else None
    model, plain = ((make or (lambda: random_model(kind, **options)))() for _ in range(2))
    found = ContinuousBatch(model).score(TEXTS, likeliest=3)
    for ids, own in zip(TEXTS, found, strict=True):
        with torch.inference_mode():
            logits = plain(input_ids=torch.tensor([ids])).logits[0].float()
        right = logits.log_softmax(dim=-1)
        following = right[:-1].gather(1, torch.tensor(ids[1:]).long()[:, None])[:, 0]
        assert own.own == pytest.approx(following.tolist(), abs=1e-4)
        assert len(own.likeliest) == len(ids)
        for named, row in zip(own.likeliest, right, strict=True):
            assert [value for _, value in named] == pytest.approx(
                row.topk(3).values.tolist(), abs=1e-4
            )
            assert all(row[token] == pytest.approx(value, abs=1e-4) for token, value in named)
