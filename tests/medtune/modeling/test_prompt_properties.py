"""What holds for any text in the prompts of the models that medtune is made for."""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medtune.commands import ask
from medtune.config.allowed_values import SPLITS
from medtune.config.loading import load_params, read_yaml, validate
from medtune.generation import answering
from medtune.modeling import loading, prompts, token_losses
from medtune.modeling.chat_templates import FIXED_DATE
from medtune.modeling.loading import BASE, load_tokenizer
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.modeling.token_files import PROMPT_FORMAT, TEXTS, TOKENS, read_tokens
from medtune.runtime.atomic_files import write_table
from medtune.scoring import choice_answers, out_of_domain_questions
from stages import evaluate, tokenize
from tests import chat_tokenizers

ROOT = Path(__file__).parents[3]
SYSTEM = "You are a tutor."
STYLES = ("chat", "question_answer")
SIZES = {"smollm2": 17, "tinyllama": 3, "tinyllama_backend": 3, "llama32": 256}
LOOKALIKES = [
    "<|user|>",
    "<|assistant|>",
    "<0x0A>",
    "Answer: ",
    "\n\n",
    "  ",
    "\ue0000\ue001",
    "{{ x }}",
]


@pytest.fixture(scope="module", params=[*SIZES, "smollm2_real"])
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    if request.param == "smollm2_real":
        if not (BASE / "tokenizer.json").exists():
            pytest.skip("models/base is not there: run dvc repro download@model")
        return load_tokenizer()
    folder = tmp_path_factory.mktemp("tokenizers") / request.param
    name, _, backend = request.param.partition("_")
    if backend:
        return chat_tokenizers.tinyllama(folder, "PreTrainedTokenizerFast")
    make: Callable[[Path], Any] = getattr(chat_tokenizers, name)
    tokenizer = make(folder)
    assert len(special_tokens(tokenizer)) == SIZES[name]
    return tokenizer


@pytest.fixture(scope="module", autouse=True)
def one_plain_tokenizer_for_each() -> Iterator[None]:
    """Saves the half second in which each encoder copies the vocabulary of a real tokenizer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prompts, "_plain_text_tokenizer", cache(prompts._plain_text_tokenizer))
        yield


@pytest.fixture(scope="module", params=STYLES)
def encoder(family: Any, request: pytest.FixtureRequest) -> PromptEncoder:
    return PromptEncoder(family, PromptFormat(request.param, SYSTEM))


def special_tokens(tokenizer: Any) -> list[str]:
    return [t.content for t in tokenizer.added_tokens_decoder.values() if t.special]


def control(encoder: PromptEncoder, ids: list[int]) -> list[int]:
    return [token_id for token_id in ids if token_id in encoder.special_ids]


def text_behind(encoder: PromptEncoder, before: list[int], ids: list[int]) -> str:
    """What ids say behind others; alone, a SentencePiece decoder takes their first blank."""
    first, whole = encoder.tokenizer.decode(before), encoder.tokenizer.decode([*before, *ids])
    assert whole.startswith(first)
    return whole.removeprefix(first)


def as_decoded(encoder: PromptEncoder, text: str) -> str:
    """SentencePiece writes a blank as ▁, so that one in a text becomes a blank."""
    return text.replace("▁", " ") if encoder.tokenizer.tokenize("a")[0][0] == "▁" else text


@st.composite
def content(draw: st.DrawFn, tokenizer: Any) -> str:
    """Any text with control tokens in it; for the real SmolLM2 without what its vocabulary lacks.

    It has no token for six control characters and for the bytes of planes without characters.
    """
    real = len(tokenizer) > 10_000
    letters = st.characters(exclude_categories=("Cs", "Cc", "Cn") if real else ("Cs",))
    tokens = st.sampled_from([*special_tokens(tokenizer), *LOOKALIKES])
    pieces = st.text(letters, max_size=10) | tokens
    return "".join(draw(st.lists(pieces, max_size=4)))


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_content_brings_no_control_token_and_decodes_to_itself(
    encoder: PromptEncoder, data: st.DataObject
) -> None:
    question, answer = (data.draw(content(encoder.tokenizer)) for _ in range(2))
    prompt, empty = encoder.question_ids(question), encoder.question_ids("")
    assert control(encoder, prompt) == control(encoder, empty)
    ids = encoder.answer_ids(answer)
    assert control(encoder, ids) == []
    blank = " " if encoder.format.prompt_style == "question_answer" else ""
    assert text_behind(encoder, prompt, ids) == as_decoded(encoder, blank + answer)
    assert as_decoded(encoder, question) in encoder.tokenizer.decode(prompt)


@pytest.mark.slow
def test_no_special_token_can_be_written_by_content(encoder: PromptEncoder) -> None:
    tokens = special_tokens(encoder.tokenizer)
    written = [text for token in tokens for text in (token, f"a{token}b", f" {token}\n{token}")]
    expected = control(encoder, encoder.question_ids(""))
    answers = encoder.batch_answer_ids(written)
    for text, prompt, answer in zip(
        written, encoder.batch_question_ids(written), answers, strict=True
    ):
        assert control(encoder, prompt) == expected and control(encoder, answer) == []
        assert text in encoder.tokenizer.decode(prompt)


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_the_system_prompt_is_content_too(encoder: PromptEncoder, data: st.DataObject) -> None:
    system = data.draw(content(encoder.tokenizer).filter(bool))
    hostile = PromptEncoder(encoder.tokenizer, PromptFormat(encoder.format.prompt_style, system))
    ids = hostile.question_ids("What is gout?")
    assert control(encoder, ids) == control(encoder, encoder.question_ids(""))
    assert as_decoded(encoder, system) in encoder.tokenizer.decode(ids)


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_a_prompt_continues_the_conversation_that_was_learned(
    encoder: PromptEncoder, data: st.DataObject
) -> None:
    texts = [data.draw(content(encoder.tokenizer)) for _ in range(5)]
    turns = [
        {"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)
    ]
    for end in (1, 3):
        learned = encoder.prompt_ids(turns[:end]) + encoder.answer_ids(texts[end])
        longer = encoder.prompt_ids(turns[: end + 2])
        assert longer[: len(learned) + 1] == [*learned, encoder.end_id]


@pytest.mark.slow
def test_a_prompt_has_one_bos_where_the_model_wants_one(encoder: PromptEncoder) -> None:
    bos_id = encoder.tokenizer.bos_token_id
    ids = encoder.question_ids(f"What is {encoder.tokenizer.bos_token}?")
    if encoder.tokenizer("")["input_ids"] == [bos_id]:
        assert ids[0] == bos_id and ids.count(bos_id) == 1
    elif encoder.format.prompt_style == "chat":  # ChatML begins each of the three turns with it
        assert encoder.tokenizer.bos_token == "<|im_start|>" and ids.count(bos_id) == 3
    else:
        assert bos_id not in ids


@pytest.mark.slow
def test_a_plain_chat_gets_the_ids_of_the_models_own_template(family: Any) -> None:
    encoder = PromptEncoder(family, PromptFormat("chat", SYSTEM))
    turns = [("user", "What is gout?"), ("assistant", "A joint disease."), ("user", "Why? β")]
    messages = [{"role": role, "content": text} for role, text in turns]
    own = family.apply_chat_template(
        [{"role": "system", "content": SYSTEM}, *messages],
        add_generation_prompt=True,
        date_string=FIXED_DATE,
        return_dict=False,
    )
    adds_bos = family("")["input_ids"] == [family.bos_token_id] != own[:1]
    expected = [family.bos_token_id, *own] if adds_bos else own
    assert encoder.prompt_ids(messages) == expected


@pytest.mark.slow
def test_the_end_of_turn_is_the_models_own(family: Any) -> None:
    ends = {style: PromptEncoder(family, PromptFormat(style, None)).end_id for style in STYLES}
    assert ends["question_answer"] == family.eos_token_id
    assert family.decode([ends["chat"]]) in ("<|im_end|>", "</s>", "<|eot_id|>")


def test_a_batch_gets_the_ids_of_its_texts(
    encoder: PromptEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"{text} {n}" for n, text in enumerate([*chat_tokenizers.CORPUS, "", *LOOKALIKES] * 9)]
    questions = [encoder.question_ids(text) for text in texts]
    answers = [encoder.answer_ids(text) for text in texts]
    for threads in ("false", "true"):
        monkeypatch.setenv("TOKENIZERS_PARALLELISM", threads)
        assert encoder.batch_question_ids(texts) == questions
        assert encoder.batch_answer_ids(texts) == answers


def test_what_the_template_writes_is_text_in_content_though_it_is_not_special(
    tmp_path: Path,
) -> None:
    tokenizer = chat_tokenizers.smollm2(tmp_path / "base")
    tokenizer.add_tokens(["<tool_call>", "\n\n"])
    tokenizer.chat_template += "{# <tool_call> \n\n #}"
    encoder = PromptEncoder(tokenizer, PromptFormat("chat", None))
    call, lines = tokenizer.convert_tokens_to_ids(["<tool_call>", "\n\n"])
    ids = encoder.answer_ids("a<tool_call>b\n\nc")
    assert call not in ids and lines in ids
    assert tokenizer.decode(ids) == "a<tool_call>b\n\nc"
    assert call in tokenizer.encode("a<tool_call>b", split_special_tokens=True)


def test_the_settings_of_a_published_tokenizer_do_not_cut_or_pad(tmp_path: Path) -> None:
    folder = tmp_path / "base"
    chat_tokenizers.smollm2(folder)
    content = json.loads((folder / "tokenizer.json").read_text())
    limit = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    (folder / "tokenizer.json").write_text(json.dumps(content | {"truncation": limit}))
    encoder = PromptEncoder(load_tokenizer(folder), PromptFormat("chat", None))
    assert encoder.tokenizer.decode(encoder.answer_ids("A joint disease.")) == "A joint disease."


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
def test_training_evaluation_and_chat_get_equal_prompts(
    family: Any, style: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    style_line = f"prompt_style: {style}"
    Path("params.yaml").write_text(params.replace("prompt_style: chat", style_line))
    Path("models").mkdir()
    Path("models/base").symlink_to(ROOT / family.name_or_path)
    question = f"{out_of_domain_questions.QUESTIONS[0]} {family.eos_token}"
    card = dict.fromkeys(TEXTS.names, "x") | {"question": question}
    for split in SPLITS:
        write_table(tokenize.SPLIT / f"{split}.parquet", pa.Table.from_pylist([card]))
    monkeypatch.setattr(tokenize, "check_token_files", lambda paths: None)  # there is no model
    tokenize.main()
    (learned,) = read_tokens(TOKENS / "train.arrow").to_pylist()

    asked: list[list[int]] = []

    def answer_all(model: Any, encoder: Any, prompts: Sequence[list[int]], *rest: Any) -> list[Any]:
        asked.extend(prompts)
        return [answering.Answer("", 0, True) for _ in prompts]

    monkeypatch.setattr(answering, "answer_all", answer_all)
    monkeypatch.setattr(token_losses, "summed_losses", lambda *_: [])
    monkeypatch.setattr(choice_answers, "answer_choices", lambda *_: None)
    for module in (loading, evaluate):
        monkeypatch.setattr(module, "load_base", lambda: None)
    encoder = PromptEncoder(load_tokenizer(), PromptFormat.load(PROMPT_FORMAT))
    cards = read_tokens(TOKENS / "test.arrow")
    evaluate.ask("base", encoder, cards, [], [question], load_params("evaluate"), 0)
    list(ask.answers(question, ["base"], validate(read_yaml(Path("params.yaml")))))
    assert asked == [learned["input_ids"][: learned["prompt_length"]]] * 3
    assert learned["input_ids"][learned["prompt_length"] :][-1] == encoder.end_id
