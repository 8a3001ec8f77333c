"""Each family of chat templates gives the same prompts here and with transformers alone."""

import os
from pathlib import Path
from typing import Any

import pytest

from medtune.modeling.adapters import save_tokenizer
from medtune.modeling.chat_templates import FIXED_DATE
from medtune.modeling.loading import load_tokenizer
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.runtime.errors import InputError
from tests.chat_templates import CHATML, FAMILIES, LLAMA2, MISTRAL, QUESTION, TURNS, chatml, qwen3
from tests.chat_tokenizers import smollm2

SYSTEM = "Be brief."
ANSWER = "A joint disease."
PACKAGES = "MEDTUNE_TOKENIZERS"  # a folder with the vocabularies of REAL
REAL = {
    "llama3_1": (None, "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"),
    "gemma3": (None, "<end_of_turn>\n<start_of_turn>model\n"),
    "qwen3": (None, "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"),
    "llama2": (LLAMA2, " [/INST]"),
    "llama2-mistral": (MISTRAL, "[/INST]"),
}


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=[None, SYSTEM], ids=["no system prompt", "system prompt"])
def encoder(family: str, request: pytest.FixtureRequest, tmp_path: Path) -> PromptEncoder:
    form = PromptFormat("chat", request.param, close_thoughts=FAMILIES[family].thinks)
    return PromptEncoder(FAMILIES[family].make(tmp_path / "base"), form)


def saved(encoder: PromptEncoder, folder: Path) -> Any:
    """The tokenizer that a user of the adapter loads."""
    save_tokenizer(encoder, folder)
    return load_tokenizer(folder)


def ids_of(tokenizer: Any, encoder: PromptEncoder, *turns: Any, prompt: bool = True) -> list[int]:
    system = encoder.format.system_prompt
    first = [{"role": "system", "content": system}] if system else []
    return tokenizer.apply_chat_template(
        [*first, *turns], add_generation_prompt=prompt, return_dict=False
    )


def check(encoder: PromptEncoder, ending: str, folder: Path) -> None:
    """Compares the prompts, the learned answer and its end with what transformers renders."""
    prompt = encoder.prompt_ids(TURNS)
    text = encoder.tokenizer.decode(prompt)
    assert text.endswith(QUESTION + ending) and (encoder.format.system_prompt or "") in text
    tokenizer = saved(encoder, folder)
    assert ids_of(tokenizer, encoder, TURNS[-1]) == encoder.question_ids(QUESTION)
    assert ids_of(tokenizer, encoder, *TURNS) == prompt
    answered = [TURNS[-1], {"role": "assistant", "content": ANSWER}]
    whole = ids_of(tokenizer, encoder, *answered, prompt=False)
    comparable = not encoder.format.close_thoughts  # R1's template has no empty thought
    if encoder.format.system_prompt:  # Mistral's drops it once there is an answer
        comparable &= encoder.format.system_prompt in tokenizer.decode(whole)
    if comparable:
        learned = encoder.question_ids(QUESTION) + encoder.answer_ids(ANSWER)
        end = whole[len(learned) :] or [encoder.tokenizer.eos_token_id]
        assert whole[: len(learned)] == learned and encoder.end_id in end
    again = PromptEncoder(tokenizer, PromptFormat.load(folder / "prompt.json"))
    assert again.prompt_ids(TURNS) == prompt
    assert again.answer_ids(ANSWER) == encoder.answer_ids(ANSWER)
    assert again.end_id == encoder.end_id


def test_the_saved_tokenizer_makes_the_trained_ids_with_transformers_alone(
    encoder: PromptEncoder, family: str, tmp_path: Path
) -> None:
    check(encoder, FAMILIES[family].ending, tmp_path / "adapter")


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_vocabularies_make_the_trained_ids_with_transformers_alone(
    name: str, tmp_path: Path
) -> None:
    if PACKAGES not in os.environ:
        pytest.skip(f"{PACKAGES} names no folder with real vocabularies: see .ci/run")
    tokenizer = load_tokenizer(Path(os.environ[PACKAGES]) / name.partition("-")[0])
    template, ending = REAL[name]
    tokenizer.chat_template = template or tokenizer.chat_template
    encoder = PromptEncoder(tokenizer, PromptFormat("chat", SYSTEM))
    check(encoder, ending, tmp_path / "adapter")


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.thinks])
def test_a_template_that_can_only_think_is_refused(name: str, tmp_path: Path) -> None:
    tokenizer = FAMILIES[name].make(tmp_path / "base")
    with pytest.raises(InputError, match=r"thought \(<think>\).* tokenize\.close_thoughts to true"):
        PromptEncoder(tokenizer, PromptFormat("chat", None))
    PromptEncoder(tokenizer, PromptFormat("question_answer", None))


def test_thoughts_stay_on_where_the_params_turn_them_on(tmp_path: Path) -> None:
    form = PromptFormat("chat", None, None, {"enable_thinking": True})
    encoder = PromptEncoder(FAMILIES["qwen3"].make(tmp_path / "base"), form)
    text = encoder.tokenizer.decode(encoder.question_ids(QUESTION))
    assert text.endswith("<|im_start|>assistant\n")
    tokenizer = saved(encoder, tmp_path / "adapter")
    assert ids_of(tokenizer, encoder, TURNS[-1]) == encoder.question_ids(QUESTION)
    assert PromptFormat.load(tmp_path / "adapter/prompt.json") == form
    opens = FAMILIES["qwen3.6"].make(tmp_path / "opens")
    with pytest.raises(InputError, match="answers would be learned as thoughts"):
        PromptEncoder(opens, form)


def test_the_saved_template_still_takes_settings(tmp_path: Path) -> None:
    encoder = PromptEncoder(FAMILIES["qwen3.6"].make(tmp_path / "base"), PromptFormat("chat", None))
    options = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": True}
    text = saved(encoder, tmp_path / "adapter").apply_chat_template([TURNS[-1]], **options)
    assert text.endswith("<|im_start|>assistant\n<think>\n")


@pytest.mark.parametrize(
    ("name", "date"),
    [
        ("llama-3.2", FIXED_DATE),
        ("smollm3", "26 July 2024"),
        ("gpt-oss", "2024-07-26"),
        ("granite-3", "July 26, 2024"),
    ],
)
def test_the_date_is_fixed_in_the_form_of_the_template(
    name: str, date: str, tmp_path: Path
) -> None:
    encoder = PromptEncoder(FAMILIES[name].make(tmp_path / "base"), PromptFormat("chat", None))
    assert date in encoder.tokenizer.decode(encoder.question_ids(QUESTION))


def test_settings_that_the_template_does_not_use_are_refused(tmp_path: Path) -> None:
    form = PromptFormat("chat", None, None, {"enable_thinkng": False})
    with pytest.raises(InputError, match="sets enable_thinkng, which the model's chat template"):
        PromptEncoder(qwen3("''")(tmp_path / "base"), form)


def test_of_several_templates_the_default_is_needed(tmp_path: Path) -> None:
    tokenizer = chatml({"rag": CHATML, "tool_use": CHATML})(tmp_path / "base")
    with pytest.raises(InputError, match=r"no default chat template, only rag, tool_use: "):
        PromptEncoder(tokenizer, PromptFormat("chat", None))
    encoder = PromptEncoder(tokenizer, PromptFormat("question_answer", None))
    assert tokenizer.decode(encoder.question_ids(QUESTION)) == f"Question: {QUESTION}\nAnswer:"


@pytest.mark.parametrize(
    ("template", "system", "message"),
    [
        (
            "{{ messages[0].nothing.more }}",
            None,
            "rejects these messages .*question_answer$",
        ),
        ("{{ 'a' + 1 }}", None, "rejects these messages"),
        ("{% for %}", None, "rejects these messages"),
        ("Hello.", None, "leaves out the question: set tokenize.prompt_style to question_answer"),
        ("{{ messages[-1].content }}", SYSTEM, "leaves out the system prompt: set tokenize.system"),
        ("{{ messages[-1].content + strftime_now(form) }}", None, "today's date in a form"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused_with_a_remedy(
    template: str, system: str | None, message: str, tmp_path: Path
) -> None:
    tokenizer = smollm2(tmp_path / "base")
    tokenizer.chat_template = template
    with pytest.raises(InputError, match=message):
        PromptEncoder(tokenizer, PromptFormat("chat", system))


def test_a_template_that_needs_nothing_stays_as_it_is(tmp_path: Path) -> None:
    tokenizer = smollm2(tmp_path / "base")
    template = tokenizer.chat_template
    assert PromptEncoder(tokenizer, PromptFormat("chat", SYSTEM)).template == template
    encoder = PromptEncoder(tokenizer, PromptFormat("chat", SYSTEM))
    assert saved(encoder, tmp_path / "adapter").chat_template == template


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("<think>\nIt swells.\n</think>\n\nA joint disease.", (ANSWER, True)),
        ("It swells.\n</think>\n\nA joint disease.", (ANSWER, True)),
        ("<think>\n\n</think>\n\nA joint disease.", (ANSWER, False)),
        ("<think>\nIt swells and", ("", True)),
        (ANSWER, (ANSWER, False)),
    ],
)
def test_a_thought_is_taken_from_an_answer_and_noticed(
    written: str, left: tuple[str, bool], tmp_path: Path
) -> None:
    encoder = PromptEncoder(FAMILIES["qwen3"].make(tmp_path / "base"), PromptFormat("chat", None))
    assert encoder.without_thought(written) == left
    plain = PromptEncoder(smollm2(tmp_path / "plain"), PromptFormat("chat", None))
    assert plain.without_thought(written) == (written, False)


def test_decoding_does_not_stop_at_a_thought_though_its_tokens_are_special(tmp_path: Path) -> None:
    tokenizer = FAMILIES["magistral"].make(tmp_path / "base")
    encoder = PromptEncoder(tokenizer, PromptFormat("chat", None))
    ids = tokenizer.encode("[THINK]It swells.[/THINK]A joint disease.</s>more")
    assert encoder.decode(ids) == "[THINK]It swells.[/THINK]A joint disease."
    assert encoder.without_thought(encoder.decode(ids)) == (ANSWER, True)
