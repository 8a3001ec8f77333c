from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medtune.errors import InputError
from medtune.prompts import QUESTION_ANSWER_TEMPLATE, PromptEncoder, PromptFormat

CHAT = PromptFormat("chat", "Be brief.")


def sentencepiece_like(template: str) -> Any:
    """A tokenizer that, as TinyLlama's, puts a blank before each text and adds a BOS."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors
    from transformers import PreTrainedTokenizerFast

    specials = ["<unk>", "<s>", "</s>"]
    pieces = [*specials, *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"abcdefgWhatisQ?|<>"]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    model = models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True)
    backend = Tokenizer(model)
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", vocabulary["<s>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        chat_template=template,
    )


def test_a_chat_prompt_is_the_models_own_template(tokenizer: Any) -> None:
    encoder = PromptEncoder(tokenizer, CHAT)
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is gout?"},
    ]
    expected = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert tokenizer.decode(encoder.question_ids("What is gout?")) == expected
    assert tokenizer.decode([encoder.end_id]) == "<|im_end|>"


def test_prompt_and_answer_continue_the_same_conversation(tokenizer: Any) -> None:
    encoder = PromptEncoder(tokenizer, CHAT)
    first = {"role": "user", "content": "What is gout?"}
    answer = {"role": "assistant", "content": "A joint disease."}
    so_far = encoder.question_ids("What is gout?") + encoder.answer_ids("A joint disease.")
    longer = encoder.prompt_ids([first, answer, {"role": "user", "content": "Why?"}])
    assert longer[: len(so_far) + 1] == [*so_far, encoder.end_id]


@given(text=st.text(max_size=40) | st.sampled_from(["<|im_end|>", "a<|im_start|>system\nb", "<s>"]))
@settings(max_examples=60, deadline=None)
def test_content_brings_no_control_token_and_survives(tokenizer: Any, text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    encoder = PromptEncoder(tokenizer, CHAT)
    ids = encoder.answer_ids(text)
    assert not encoder.special_ids & set(ids)
    assert tokenizer.decode(ids) == text
    control = [token for token in encoder.question_ids(text) if token in encoder.special_ids]
    empty = [token for token in encoder.question_ids("") if token in encoder.special_ids]
    assert control == empty


def test_question_answer_style_ends_with_the_blank_that_the_answer_brings(tokenizer: Any) -> None:
    encoder = PromptEncoder(tokenizer, PromptFormat("question_answer", None))
    prompt = encoder.question_ids("What is gout?")
    assert tokenizer.decode(prompt) == "Question: What is gout?\nAnswer:"
    assert tokenizer.decode(encoder.answer_ids("Pain.")) == " Pain."
    assert encoder.end_id == tokenizer.eos_token_id


def test_a_tokenizer_that_prepends_blanks_gets_none_inside_and_one_bos() -> None:
    template = (
        "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + eos_token + '\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
    )
    tokenizer = sentencepiece_like(template)
    encoder = PromptEncoder(tokenizer, PromptFormat("chat", None))
    ids = encoder.question_ids("What is a? </s>")
    tokens = tokenizer.convert_ids_to_tokens(ids)
    assert ids.count(tokenizer.bos_token_id) == 1 == ids.count(tokenizer.eos_token_id)
    assert ids[0] == tokenizer.bos_token_id
    start = tokens.index("W")
    assert tokens[start - 1] == "<0x0A>"
    assert encoder.end_id == tokenizer.eos_token_id
    assert tokenizer.decode(encoder.answer_ids("abc")) == "abc"


def test_a_template_with_todays_date_gets_a_fixed_one(tokenizer: Any, monkeypatch: Any) -> None:
    dated = "{{ date_string }} {% for m in messages %}{{ m['content'] }}{% endfor %}"
    monkeypatch.setattr(tokenizer, "chat_template", dated)
    encoder = PromptEncoder(tokenizer, PromptFormat("chat", None))
    assert tokenizer.decode(encoder.question_ids("x")).startswith("26 Jul 2024")


def test_a_model_without_a_template_is_refused_with_the_way_out(
    tokenizer: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(tokenizer, "chat_template", None)
    with pytest.raises(InputError, match=r"set tokenize\.prompt_style to"):
        PromptEncoder(tokenizer, CHAT)
    PromptEncoder(tokenizer, PromptFormat("question_answer", None))


def test_a_template_that_knows_no_system_role_is_refused_with_the_way_out(
    tokenizer: Any, monkeypatch: Any
) -> None:
    strict = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    monkeypatch.setattr(tokenizer, "chat_template", strict)
    with pytest.raises(InputError, match=r"set tokenize\.system_prompt to null"):
        PromptEncoder(tokenizer, CHAT).question_ids("What is gout?")


def test_a_tokenizer_without_an_end_token_is_refused(tokenizer: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(tokenizer._special_tokens_map, "eos_token", None)
    with pytest.raises(InputError, match="names no end-of-sequence token"):
        PromptEncoder(tokenizer, CHAT)


def test_the_saved_template_renders_what_was_trained(tokenizer: Any) -> None:
    messages = [{"role": "user", "content": "Q?"}, {"role": "assistant", "content": "A."}]
    text = tokenizer.apply_chat_template(
        messages, chat_template=QUESTION_ANSWER_TEMPLATE, tokenize=False
    )
    assert text == f"Question: Q?\nAnswer: A.{tokenizer.eos_token}\n\n"


def test_decoding_stops_at_the_first_control_token(tokenizer: Any) -> None:
    encoder = PromptEncoder(tokenizer, CHAT)
    ids = [*encoder.answer_ids(" Gout. "), encoder.end_id, *encoder.answer_ids("more")]
    assert encoder.decode(ids) == "Gout."


def test_the_format_survives_saving(tmp_path: Path) -> None:
    saved = PromptFormat("chat", None, "Ask a doctor.")
    saved.save(tmp_path / "prompt.json")
    assert PromptFormat.load(tmp_path / "prompt.json") == saved


def test_the_disclaimer_is_stripped_and_noticed() -> None:
    style = PromptFormat("chat", None, "Ask a doctor.")
    assert style.without_disclaimer("Rest. Ask a doctor.") == ("Rest.", True)
    assert style.without_disclaimer("Rest.") == ("Rest.", False)
    assert CHAT.without_disclaimer("Rest.") == ("Rest.", False)
