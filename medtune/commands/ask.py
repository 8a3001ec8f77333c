"""Answers questions in the terminal from the saved adapter, without training again.

python -m medtune.commands.ask "What is gout?"            the fine-tuned model
python -m medtune.commands.ask --base "What is gout?"     the base model
python -m medtune.commands.ask --compare "What is gout?"  both
"""

import argparse
import sys
from collections.abc import Iterator

from medtune.config.loading import PARAMS_FILE, read_yaml, validate
from medtune.config.schema import Params
from medtune.disclaimer import DISCLAIMER
from medtune.modeling.adapters import ADAPTER, load_adapter
from medtune.modeling.loading import load_base, load_tokenizer, require
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.modeling.token_files import PROMPT_FORMAT
from medtune.runtime.stage import one_line_errors, set_up_logging


def answers(question: str, models: list[str], params: Params) -> Iterator[tuple[str, str]]:
    """Yields (model, answer) for each of `models`: base, finetuned, or both in this order."""
    from medtune.generation.generate import answer_all

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


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m medtune.commands.ask",
        description="Asks the fine-tuned model.",
        epilog=DISCLAIMER,
    )
    parser.add_argument("question")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--base", action="store_true", help="ask the base model instead")
    which.add_argument("--compare", action="store_true", help="ask both")
    parser.add_argument("--temperature", type=float, help="0 is greedy (default: evaluate's)")
    parser.add_argument("--max-new-tokens", type=int, help="longest answer (default: evaluate's)")
    arguments = parser.parse_args()
    set_up_logging("ask")
    models = ["base", "finetuned"] if arguments.compare else ["finetuned"]
    if arguments.base:
        models = ["base"]
    with one_line_errors():
        content = read_yaml(PARAMS_FILE)
        validate(content)
        for name in ("temperature", "max_new_tokens"):
            if getattr(arguments, name) is not None:
                content["evaluate"][name] = getattr(arguments, name)
        for name, text in answers(arguments.question, models, validate(content)):
            print(f"{name}: {text}" if arguments.compare else text, flush=True)
    print(DISCLAIMER, file=sys.stderr)


if __name__ == "__main__":
    main()
