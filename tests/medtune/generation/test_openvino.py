import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from medtune.config.loading import load_params
from medtune.config.schema import Evaluate
from medtune.generation import openvino
from medtune.generation.engines import ENGINES, find_engine
from medtune.generation.generate import generate
from medtune.generation.openvino import answer_all
from medtune.modeling.adapters import load_adapter
from medtune.modeling.loading import load_base
from medtune.modeling.prompts import PromptEncoder
from medtune.runtime.errors import InputError
from tests.tiny_models import as_if_trained, random_model, some_ends

PARAMS: Evaluate = load_params("evaluate").model_copy(update={"max_new_tokens": 12})
PROMPTS = [[257, *range(n, n + 3 + n % 5)] for n in range(30, 50)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "repetition", "frequency"),
    [
        ("llama", 9.0, 0.0),
        ("llama", 1.0, 0.5),
        ("llama", 1.0, -0.5),
        ("gemma3_text", 9.0, 0.0),
        ("qwen3", 1.0, 0.5),
        ("gpt_neox", 9.0, 0.0),
    ],
)
def test_greedy_answers_equal_those_of_the_engine_medtune(
    encoder: PromptEncoder,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    repetition: float,
    frequency: float,
) -> None:
    params = PARAMS.model_copy(
        update={"repetition_penalty": repetition, "frequency_penalty": frequency}
    )
    model = random_model(kind)
    monkeypatch.setattr(openvino, "load_base", lambda precision: model)
    ends = some_ends(model, PROMPTS, params)
    expected = generate(model, PROMPTS, params, ends)
    answers = answer_all(encoder, PROMPTS, params, 0, ends)
    assert [answer.text for answer in answers] == [encoder.decode(ids) for ids in expected]
    assert [answer.tokens for answer in answers] == [len(ids) for ids in expected]
    assert [answer.stopped for answer in answers] == [ids[-1] in ends for ids in expected]


def lowered(model: Any) -> Any:
    """Gives all tokens negative logits, of which OpenVINO's penalty alone would raise some."""
    head = model.get_output_embeddings()
    head.bias = torch.nn.Parameter(torch.full((300,), -1000.0))
    return model


@pytest.mark.slow
def test_a_frequency_penalty_lowers_negative_logits_too(
    encoder: PromptEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = lowered(random_model("llama", tie_word_embeddings=False))
    monkeypatch.setattr(openvino, "load_base", lambda precision: model)
    expected = generate(model, PROMPTS[:4], PARAMS, {0})
    answers = answer_all(encoder, PROMPTS[:4], PARAMS, 0, {0})
    assert [answer.text for answer in answers] == [encoder.decode(ids) for ids in expected]


@pytest.fixture
def adapter(base_folder: Path, tmp_path: Path) -> Path:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    config = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear")
    as_if_trained(get_peft_model(load_base(folder=base_folder), config)).save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_adapter_answers_if_there_is_one(
    encoder: PromptEncoder, base_folder: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = load_base(folder=base_folder)
    monkeypatch.setattr(openvino, "load_base", lambda precision: load_base(folder=base_folder))
    without = generate(base, PROMPTS, PARAMS, {0})
    expected = generate(load_adapter(base, adapter), PROMPTS, PARAMS, {0})
    answers = answer_all(encoder, PROMPTS, PARAMS, 0, {0}, adapter)
    assert [answer.text for answer in answers] == [encoder.decode(ids) for ids in expected]
    assert expected != without


@pytest.mark.slow
def test_each_answer_is_sampled_by_itself_with_a_temperature(
    encoder: PromptEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_model("llama")
    monkeypatch.setattr(openvino, "load_base", lambda precision: model)
    params = PARAMS.model_copy(update={"temperature": 2.0})
    prompts = [*PROMPTS, *PROMPTS]
    engine = openvino.load_engine(prompts, params)
    monkeypatch.setattr(openvino, "load_engine", lambda *_: engine)
    once, again, other = (
        [answer.text for answer in answer_all(encoder, prompts, params, seed, {0})]
        for seed in (1, 1, 100)
    )
    assert once == again != other
    assert once[: len(PROMPTS)] != once[len(PROMPTS) :]


@pytest.mark.slow
def test_prompts_may_have_one_token_share_a_long_beginning_or_be_missing(
    encoder: PromptEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_model("llama")
    monkeypatch.setattr(openvino, "load_base", lambda precision: model)
    prompts = [[5], *([*range(100, 200), n] for n in range(40)), [*range(100, 200)] * 30]
    expected = generate(model, prompts, PARAMS, {0})
    answers = answer_all(encoder, prompts, PARAMS, 0, {0})
    assert [answer.text for answer in answers] == [encoder.decode(ids) for ids in expected]
    assert answer_all(encoder, [], PARAMS, 0, {0}) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "reason"),
    [("mamba", "not all of its layers attend to 20 tokens"), ("bloom", "TorchScript")],
)
def test_a_model_that_cannot_be_converted_is_refused(
    encoder: PromptEncoder, monkeypatch: pytest.MonkeyPatch, kind: str, reason: str
) -> None:
    monkeypatch.setattr(openvino, "load_base", lambda precision: random_model(kind))
    message = (
        rf"OpenVINO cannot run a model of type {kind} \(.*{reason}.*\): set evaluate.engine to"
    )
    with pytest.raises(InputError, match=message):
        answer_all(encoder, PROMPTS, PARAMS, 0, {0})


def test_a_window_that_is_shorter_than_prompt_and_answer_is_refused(
    encoder: PromptEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_model("mistral", sliding_window=16)
    monkeypatch.setattr(openvino, "load_base", lambda precision: model)
    with pytest.raises(InputError, match="not all of its layers attend to 20 tokens"):
        answer_all(encoder, PROMPTS, PARAMS, 0, {0})


@pytest.mark.slow
def test_a_model_that_answers_otherwise_once_converted_is_refused(
    encoder: PromptEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert, other = openvino.convert, random_model("llama", num_hidden_layers=1)
    monkeypatch.setattr(openvino, "load_base", lambda precision: random_model("llama"))
    monkeypatch.setattr(openvino, "convert", lambda model, *rest: convert(other, *rest))
    with pytest.raises(InputError, match="its answers begin with other tokens"):
        answer_all(encoder, PROMPTS, PARAMS, 0, {0})


@pytest.mark.parametrize(
    ("engine", "missing", "remedy"),
    [("openvino", "openvino_genai", "pip install openvino-genai"), ("vllm", "vllm", "pip install")],
)
def test_an_engine_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, engine: str, missing: str, remedy: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    params = PARAMS.model_copy(update={"engine": engine})
    with pytest.raises(InputError, match=rf"evaluate\.engine is {engine}, which is not .*{remedy}"):
        find_engine(params)


def test_what_openvino_cannot_do_is_refused_before_the_model_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    params = PARAMS.model_copy(update={"engine": "openvino"})
    with pytest.raises(
        InputError, match=r"one penalty, got two: set evaluate\.frequency_penalty to"
    ):
        find_engine(params.model_copy(update={"repetition_penalty": 1.2}))
    monkeypatch.setattr(openvino, "device", lambda: "cuda")
    with pytest.raises(InputError, match="computes on the CPU, but this machine has a GPU"):
        find_engine(params)


def test_all_engines_are_known_to_the_parameters() -> None:
    names = get_args(Evaluate.model_fields["engine"].annotation)
    assert set(names) == {"medtune", *ENGINES}
    assert find_engine(PARAMS) is None


@pytest.mark.slow
def test_conversions_are_not_reported_to_the_makers_of_openvino(
    encoder: PromptEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "load_base", lambda precision: random_model("llama"))
    answer_all(encoder, PROMPTS[:1], PARAMS, 0, {0})
    assert "openvino_telemetry" not in sys.modules
