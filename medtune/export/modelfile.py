"""The Modelfile that tells Ollama the template, the system prompt and how answers are decoded."""

import json
from pathlib import Path

from medtune.export.gguf_tokenizer import begins_with_bos
from medtune.export.merged import Merged
from medtune.export.template_pieces import Pieces, pieces
from medtune.runtime.errors import InputError

MODELFILE = "Modelfile"
MARK = "# Written by medtune export gguf. To use it: ollama create NAME -f Modelfile"


def check_modelfile(path: Path) -> None:
    """Refuses to replace a Modelfile that somebody else wrote."""
    if path.exists() and not path.read_text(encoding="utf-8", errors="replace").startswith(MARK):
        raise InputError(
            f"{path} was not written by medtune export: name another folder, or move the file away"
        )


def modelfile(merged: Merged, gguf_name: str) -> str:
    encoder, evaluate = merged.encoder, merged.params.evaluate
    around = pieces(encoder, merged.template)
    bos = encoder.tokenizer.bos_token if begins_with_bos(encoder) else ""  # Ollama adds it
    lines = [MARK, f"FROM ./{gguf_name}", f'TEMPLATE """{go_template(around, bos)}"""']
    if system := encoder.format.system_prompt:
        lines.append(f'SYSTEM """{system}"""')
    stops = encoder.tokenizer.convert_ids_to_tokens(merged.end_ids)
    lines += [f"PARAMETER stop {json.dumps(stop, ensure_ascii=False)}" for stop in stops]
    settings = {
        "temperature": evaluate.temperature,
        "top_p": evaluate.top_p,
        "top_k": 0,  # leaves out no token; Ollama's own default is 40
        "min_p": 0,
        "num_predict": evaluate.max_new_tokens,
        "repeat_penalty": evaluate.repetition_penalty,  # Ollama's own default is not 1
        "frequency_penalty": evaluate.frequency_penalty,
    }
    lines += [f"PARAMETER {name} {value:g}" for name, value in settings.items()]
    return "\n".join(lines) + "\n"


def go_template(around: Pieces, bos: str) -> str:
    """Returns Ollama's template (of Go's text/template) for a conversation."""
    opening = _text(around.opening, bos)
    if around.system:
        before, after = around.system
        block = f"{_text(before, bos)}{{{{ .System }}}}{_text(after)}"
        opening = f"{{{{ if .System }}}}{block}{{{{ end }}}}"
    question, answer = (
        "{{ .Content }}".join(map(_text, pair)) for pair in (around.question, around.answer)
    )
    return (
        f"{opening}{{{{ range .Messages }}}}"
        f'{{{{ if eq .Role "user" }}}}{question}'
        f'{{{{ else if eq .Role "assistant" }}}}{answer}{{{{ end }}}}'
        f"{{{{ end }}}}{_text(around.ending)}"
    )


def _text(text: str, bos: str = "") -> str:
    """Returns text as a Go template writes it, without the BOS at its beginning."""
    return text.removeprefix(bos).replace("{{", '{{ "{{" }}')
