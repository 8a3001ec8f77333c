"""Runs published presets at the full size of their models, on few cards of a file.

The models have random weights in the shapes of the published ones, so the scores mean nothing. The
tokenizer of a model with a vocabulary of its own size is made from the cards. The stages run one
after the other in a temporary project with the preset's own settings; only the numbers of cards
and of generated tokens are smaller, and neither few-shot prompts nor multiple choice are asked.
Prints a table with time and peak memory. Linux only.

    python -m benchmarks.full_size data/raw/cards.json
    python -m benchmarks.full_size cards.json --presets medical-education --new-tokens 8
"""

import argparse
import json
import logging
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from benchmarks.data import Cost, run
from benchmarks.measured import show
from benchmarks.shapes import random_weights
from medtune.modeling.loading import BASE, load_tokenizer, require
from medtune.runtime.errors import InputError
from medtune.runtime.stage import one_line_errors, set_up_logging

logger = logging.getLogger("medtune")

SHAPES = {
    "medical-education": "TinyLlama-1.1B",
    "healthcare-assistant": "TinyLlama-1.1B",
    "medical-llm-assistant": "TinyLlama-1.1B",
    "med-llama": "Llama-3.2-1B",
}
WORDS = {"TinyLlama-1.1B": 32_000}  # of a tokenizer made from the cards; others have the default's
TURNS = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
SAMPLE_S = 2  # between two looks at a process's memory
STAGES = (
    ("stages.clean",),
    ("stages.split",),
    ("stages.tokenize",),
    ("stages.train",),
    ("stages.evaluate", "base"),
    ("stages.evaluate", "finetuned"),
)


def write_model(shape: str, cards: Path, folder: Path) -> None:
    """Writes a random model of this shape with a tokenizer into a folder."""
    random_weights(shape, folder.parent, "cpu").rename(folder)
    tokenizer = _tokenizer(cards, WORDS[shape]) if shape in WORDS else load_tokenizer(BASE)
    tokenizer.save_pretrained(folder)


def _tokenizer(cards: Path, words: int) -> Any:
    """Returns a byte-pair tokenizer with so many words, trained on the cards' text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=words,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train([str(cards)], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    tokenizer.chat_template = TURNS
    return tokenizer


def write_project(name: str, folder: Path, options: argparse.Namespace) -> None:
    """Writes a project with the settings of a preset and few cards into a folder."""
    for linked in ("custom_metrics", "dvc.yaml", "launch", "presets"):
        (folder / linked).symlink_to(Path(linked).resolve())
    shutil.copy("params.yaml", folder)
    run_here(folder, "medtune", "preset", name)
    yaml, path = YAML(), folder / "params.yaml"
    settings = yaml.load(path.read_text(encoding="utf-8"))
    settings["clean"].update(reader="auto", columns=None)  # whatever the file holds
    settings["split"]["max_records"] = {"train": options.cards, "validation": 4, "test": 8}
    settings["evaluate"].update(max_new_tokens=options.new_tokens, few_shot=0)
    yaml.dump(settings, path)
    for made in ("choices/medical", "choices/general", "raw"):
        (folder / "data" / made).mkdir(parents=True)
    shutil.copy(options.data, folder / "data/raw")
    (folder / BASE).parent.mkdir()
    write_model(SHAPES[name], options.data, folder / BASE)


def run_here(folder: Path, *command: str) -> Cost:
    return run([sys.executable, "-m", *command], folder, SAMPLE_S, PYTHONPATH=str(Path.cwd()))


def measure(name: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Returns what the training and the answers of a preset took."""
    write_project(name, folder, options)
    costs: dict[str, Cost] = {}
    for module, *stage in STAGES:
        label = " ".join([module.removeprefix("stages."), *stage])
        costs[label] = cost = run_here(folder, module, *stage)
        logger.info(f"{name}, {label}: {cost.seconds:.0f} s, {cost.peak_memory_gib:.1f} GiB")
    trained = json.loads((folder / "metrics/train.json").read_text(encoding="utf-8"))
    return {
        "preset": name,
        "model": SHAPES[name],
        "steps": trained["steps"],
        "tokens": trained["tokens"],
        "training, s": costs["train"].seconds,
        "GiB": costs["train"].peak_memory_gib,
        "answers, s": costs["evaluate finetuned"].seconds,
        "GiB of answers": costs["evaluate finetuned"].peak_memory_gib,
    }


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add: Any = made.add_argument
    add("data", type=Path, help="a JSON file of cards, of any layout that `clean` recognises")
    add("--presets", type=lambda text: text.split(","), default=list(SHAPES))
    add("--cards", type=int, default=32, help="training cards of each preset")
    add("--new-tokens", type=int, default=16, help="tokens of each of the 8 + 4 answers")
    add("--output", type=Path, help="a CSV file for the figures")
    return made


def main() -> None:
    options = parser().parse_args()
    set_up_logging("benchmark")
    with one_line_errors():
        if unknown := [name for name in options.presets if name not in SHAPES]:
            known = ", ".join(SHAPES)
            raise InputError(f"--presets names {unknown[0]}: choose from {known}")
        if not options.data.is_file():
            raise InputError(f"{options.data} is missing: give a JSON file of cards")
        require(BASE / "tokenizer.json", "download@model")
        rows = []
        for name in options.presets:
            with tempfile.TemporaryDirectory(prefix="medtune-full-size-") as folder:
                rows.append(measure(name, Path(folder), options))
        figures = pd.DataFrame(rows).set_index("preset")
        packages = ("torch", "transformers", "peft", "bitsandbytes")
        show(figures.round(1), *packages, output=options.output, rows=figures.reset_index())


if __name__ == "__main__":
    main()
