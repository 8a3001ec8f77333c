import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment

from medtune.config.loading import read_yaml
from medtune.export.gguf_tokenizer import begins_with_bos
from medtune.export.merged import merge
from medtune.export.modelfile import go_template, modelfile
from medtune.export.template_pieces import pieces
from medtune.modeling.portable_template import portable_template
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.runtime.params_file import PARAMS_FILE
from tests.chat_templates import TURNS
from tests.chat_tokenizers import llama32, smollm2, tinyllama
from tests.medtune.export.conftest import SYSTEM, MakeRun, write_params


def rendered(template: str, context: Mapping[str, Any]) -> str:
    """What Go's text/template makes of the few actions in a Modelfile, by way of Jinja."""
    opened: list[str] = []

    def in_jinja(action: re.Match[str]) -> str:
        word, _, rest = action[1].partition(" ")
        condition = re.sub(r'^(else )?(if )?eq \.(\w+) "(\w+)"$', r"item.\3 == '\4'", action[1])
        match word:
            case "end":
                return f"{{% end{opened.pop()} %}}"
            case "range":
                opened.append("for")
                return f"{{% for item in {rest[1:]} %}}"
            case "if":
                opened.append("if")
                return f"{{% if {condition.removeprefix('if .')} %}}"
            case "else":
                return f"{{% elif {condition} %}}"
        if word.startswith('"'):
            return action[0]
        name = f"item{word}" if "for" in opened else word.removeprefix(".")
        return f"{{{{ {name} }}}}"

    made = re.sub(r"\{\{ (.*?) \}\}", in_jinja, template)
    return Environment(keep_trailing_newline=True).from_string(made).render(context)


def asked(turns: list[dict[str, str]], system: str | None) -> dict[str, Any]:
    messages = [{"Role": turn["role"], "Content": turn["content"]} for turn in turns]
    beginning = [{"Role": "system", "Content": system}] if system else []
    return {"System": system or "", "Messages": [*beginning, *messages]}


@pytest.mark.parametrize("family", [smollm2, tinyllama, llama32], ids=lambda f: f.__name__)
@pytest.mark.parametrize("style", ["chat", "question_answer"])
@pytest.mark.parametrize("system", ["Say {{ no }}.", None])
@pytest.mark.parametrize("turns", [1, 3])
def test_ollamas_template_renders_the_tokens_of_the_training(
    family: Callable[[Path], Any], style: str, system: str | None, turns: int, tmp_path: Path
) -> None:
    tokenizer = family(tmp_path / "tokenizer")
    encoder = PromptEncoder(tokenizer, PromptFormat(style, system))
    bos = tokenizer.bos_token if begins_with_bos(encoder) else ""
    template = portable_template(encoder)
    text = rendered(go_template(pieces(encoder, template), bos), asked(TURNS[:turns], system))
    assert text.startswith(bos) == (not bos)  # Ollama adds it
    encoded = tokenizer.encode(bos + text, add_special_tokens=False)
    assert encoded == encoder.prompt_ids(TURNS[:turns])


def test_braces_of_a_template_are_text_in_the_other() -> None:
    assert rendered('a {{ "{{" }} b', {}) == "a {{ b"


@pytest.mark.slow
def test_the_modelfile_says_how_the_answers_were_measured(make_run: MakeRun) -> None:
    make_run()
    params = read_yaml(PARAMS_FILE)
    params["evaluate"] |= {"temperature": 0.25, "max_new_tokens": 40}
    write_params(params)
    lines = modelfile(merge(Path()), "x.gguf").splitlines()
    assert lines[1] == "FROM ./x.gguf"
    assert f'SYSTEM """{SYSTEM}"""' in lines
    assert lines[-8:] == [
        'PARAMETER stop "<|im_end|>"',
        "PARAMETER temperature 0.25",
        "PARAMETER top_p 1",
        "PARAMETER top_k 0",
        "PARAMETER min_p 0",
        "PARAMETER num_predict 40",
        "PARAMETER repeat_penalty 1",
        "PARAMETER frequency_penalty 0.5",
    ]


@pytest.mark.slow
def test_without_a_system_prompt_there_is_none(make_run: MakeRun) -> None:
    make_run(prompt_format=PromptFormat("chat", None))
    assert "SYSTEM " not in modelfile(merge(Path()), "x.gguf")
