"""llama.cpp reads the exported file and answers as the trained model does, token by token."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import torch

from medtune.export.gguf import export_gguf
from medtune.export.merged import merge
from tests.chat_tokenizers import TINYLLAMA_TEMPLATE, llama32, sentencepiece, smollm2, tinyllama
from tests.medtune.export.conftest import MakeRun
from tests.medtune.export.test_gguf import LLAMA3_ROPE

llama_cpp = pytest.importorskip("xllamacpp", reason="is in requirements-dev.txt")
pytestmark = pytest.mark.slow
QUESTION = "How is Marfan  syndrome inherited? 1234 5\n\n Naïve β-cell's 38.5 °C  99"
NEW_TOKENS = 40


def prefixed(folder: Path) -> Any:
    """As published before transformers 4.34: a blank behind every control token, too."""
    return sentencepiece(folder, TINYLLAMA_TEMPLATE, "PreTrainedTokenizerFast")


CASES = {
    "tied": ("llama", smollm2, {"tie_word_embeddings": True}),
    "biases": ("llama", smollm2, {"attention_bias": True, "mlp_bias": True, "bias": "all"}),
    "llama 3": ("llama", llama32, {"rope_parameters": LLAMA3_ROPE}),
    "mistral": ("mistral", smollm2, {}),
    "tinyllama": ("llama", tinyllama, {}),
    "prefixed": ("mistral", prefixed, {}),
    "qwen 2": ("qwen2", smollm2, {}),
}


@pytest.fixture(params=CASES, ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Any:
    return CASES[request.param]


@pytest.fixture
def tokenizer(case: Any, tmp_path: Path) -> Any:
    return case[1](tmp_path / "tokenizer")


def served(path: Path) -> Callable[..., Any]:
    """Returns a function that asks llama.cpp's server, which rounds nothing to fp16.

    The server runs in this process, and ends with the function.
    """
    params = llama_cpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx, params.n_gpu_layers = 512, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_type_k = params.cache_type_v = llama_cpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = llama_cpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.use_jinja, params.fit_params, params.warmup, params.verbosity = True, False, False, -1
    server = llama_cpp.Server(params)

    def ask(address: str, **body: Any) -> Any:
        header = {"Content-Type": "application/json"}
        request = Request(server.listening_address + address, json.dumps(body).encode(), header)
        with urlopen(request) as answer:
            return json.load(answer)

    return ask


def test_llama_cpp_makes_the_same_prompt_and_the_same_greedy_answer(
    case: Any, make_run: MakeRun
) -> None:
    kind, _, changes = case
    make_run(kind, hidden_size=64, initializer_range=0.2, **changes)
    merged = merge(Path())
    prompt = merged.encoder.question_ids(QUESTION)
    options: dict[str, Any] = {"eos_token_id": merged.end_ids, "pad_token_id": 0}
    ours = merged.model.generate(
        torch.tensor([prompt]), max_new_tokens=NEW_TOKENS, do_sample=False, **options
    )
    ask = served(export_gguf(Path(), Path("out"), "f32"))
    messages = [{"role": "user", "content": QUESTION}]
    text = ask("/apply-template", messages=messages)["prompt"]
    made = ask("/tokenize", content=text, add_special=True, parse_special=True)["tokens"]
    assert made == prompt
    greedy: dict[str, Any] = {"temperature": 0, "n_predict": NEW_TOKENS, "return_tokens": True}
    theirs = ask("/completion", prompt=prompt, **greedy)["tokens"]
    answer = ours[0, len(prompt) :].tolist()
    assert theirs == answer[: len(theirs)]  # llama.cpp knows further ends, such as <|endoftext|>
    assert len(theirs) > 10
