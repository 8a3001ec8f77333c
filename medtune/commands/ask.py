"""`medtune ask`: answers a question in the terminal with the saved adapter."""

import sys
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from medtune.config.loading import read_params, read_yaml, validate
from medtune.config.schema import Params
from medtune.disclaimer import DISCLAIMER
from medtune.runtime.errors import InputError
from medtune.runtime.params_file import PARAMS_FILE

EXAMPLES = (
    'medtune ask "What is gout?"',
    'medtune ask --compare "What is gout?"',
    'medtune ask --temperature 0.7 --max-new-tokens 100 "What is gout?"',
)


def answers(question: str, models: Sequence[str], params: Params) -> Iterator[tuple[str, str]]:
    """Yields (model, answer) for each of `models`: base, finetuned, or both in this order."""
    from medtune.generation.answering import answer_all
    from medtune.modeling.adapters import ADAPTER, load_adapter
    from medtune.modeling.loading import load_base, load_tokenizer, require
    from medtune.modeling.prompts import PromptEncoder, PromptFormat
    from medtune.modeling.token_files import PROMPT_FORMAT

    if "finetuned" in models:
        require(ADAPTER / "adapter_model.safetensors", "train")
        prompt_format = PromptFormat.load(ADAPTER / "prompt.json", "train")
    else:
        prompt_format = PromptFormat.load(PROMPT_FORMAT)
    encoder = PromptEncoder(load_tokenizer(), prompt_format)
    prompts = [encoder.question_ids(question)]
    model = load_base()
    for name in models:
        if name == "finetuned":
            model = load_adapter(model)
        (answer,) = answer_all(model, encoder, prompts, params.evaluate, params.seed)
        yield name, answer.text


def ask(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="The question, in quotes.")],
    base: Annotated[bool, typer.Option("--base", help="Ask the base model instead.")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="Ask both models.")] = False,
    temperature: Annotated[
        float | None,
        typer.Option(help="0 is greedy decoding [default: evaluate.temperature in params.yaml]."),
    ] = None,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(
            help="Maximum length of the answer in tokens [default: evaluate.max_new_tokens]."
        ),
    ] = None,
) -> None:
    """Ask the fine-tuned model a question.

    The terminal has no guard: notices about emergencies are on the pages and in the API of
    `medtune chat`.
    """
    if base and compare:
        raise InputError("--base asks one model and --compare asks both: choose one of them")
    if not question.strip():
        raise InputError('QUESTION is empty: ask something, such as "What is gout?"')
    models = ["base", "finetuned"] if compare else ["base" if base else "finetuned"]
    read_params()
    content = read_yaml(PARAMS_FILE)
    for name, value in (("temperature", temperature), ("max_new_tokens", max_new_tokens)):
        if value is not None:
            content["evaluate"][name] = value
    for name, text in answers(question, models, validate(content)):
        print(f"{name}: {text}" if compare else text, flush=True)
    print(DISCLAIMER, file=sys.stderr)
