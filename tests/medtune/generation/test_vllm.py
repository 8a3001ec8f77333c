"""The calls to vLLM, recorded by a module in its place, because vLLM needs a GPU."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from medtune.config.loading import load_params
from medtune.config.schema import Evaluate
from medtune.generation.vllm import answer_all
from medtune.modeling.prompts import PromptEncoder
from medtune.runtime.errors import InputError

PARAMS: Evaluate = load_params("evaluate")
Calls = dict[str, Any]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    seen: Calls = {}

    class LLM:
        def __init__(self, **options: Any) -> None:
            seen["engine"] = options

        def generate(self, prompts: list[Any], sampling: Any, lora_request: Any) -> list[Any]:
            seen.update(prompts=prompts, sampling=sampling, lora=lora_request)
            rows = [[*prompt["prompt_token_ids"][:2], 2] for prompt in prompts]
            rows[-1][-1] = 70
            return [SimpleNamespace(outputs=[SimpleNamespace(token_ids=row)]) for row in rows]

    vllm, lora, request = (ModuleType(n) for n in ("vllm", "vllm.lora", "vllm.lora.request"))
    vllm.LLM, vllm.SamplingParams = LLM, dict  # type: ignore[attr-defined]
    request.LoRARequest = lambda *arguments: arguments  # type: ignore[attr-defined]
    for module in (vllm, lora, request):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return seen


def test_vllm_gets_the_same_prompts_and_stops_at_the_same_tokens(
    calls: Calls, encoder: PromptEncoder
) -> None:
    answers = answer_all(encoder, [[65, 66, 67], [68, 69]], PARAMS, seed=4, ends={2, 5})
    assert calls["prompts"] == [{"prompt_token_ids": [65, 66, 67]}, {"prompt_token_ids": [68, 69]}]
    assert calls["sampling"]["stop_token_ids"] == [2, 5]
    assert calls["sampling"]["temperature"] == PARAMS.temperature
    assert calls["sampling"]["max_tokens"] == PARAMS.max_new_tokens
    assert calls["engine"] == {"model": "models/base", "seed": 4} and calls["lora"] is None
    assert [answer.stopped for answer in answers] == [True, False]
    assert [answer.tokens for answer in answers] == [3, 3]


@pytest.mark.parametrize(("rank", "max_rank"), [(4, 8), (16, 16), (48, 64)])
def test_max_lora_rank_is_the_next_value_that_vllm_accepts(
    calls: Calls, encoder: PromptEncoder, tmp_path: Path, rank: int, max_rank: int
) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": rank}))
    answer_all(encoder, [[65, 66]], PARAMS, 4, {2}, tmp_path)
    assert calls["engine"] | {"enable_lora": True, "max_lora_rank": max_rank} == calls["engine"]
    assert calls["lora"] == ("adapter", 1, str(tmp_path))


def test_an_adapter_of_too_high_a_rank_is_refused(
    calls: Calls, encoder: PromptEncoder, tmp_path: Path
) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 600}))
    with pytest.raises(InputError, match="up to rank 512, but this one has 600"):
        answer_all(encoder, [[65, 66]], PARAMS, 4, {2}, tmp_path)
