"""What the stage compare reads, made small."""

from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from ruamel.yaml import YAML
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from medtune.modeling.token_files import SCHEMA as TOKEN_SCHEMA
from medtune.modeling.token_files import token_writer
from medtune.runtime.atomic_files import write_csv, write_json, write_table
from medtune.scoring.answer_counts import TextCounter
from medtune.scoring.choice_answers import SCHEMA
from medtune.scoring.system_names import MODELS, RULES

PARAMS = Path("params.yaml").resolve()
DEFAULT = Path("presets/default.yaml").resolve()
WORDS = ("heart", "valve", "narrow", "blood", "lung", "airway", "small", "jaw", "cyst", "skin")
HOSTILE = "<script>alert('question')</script> & \"co\""
KINDS = ("definition", "lay | term", "onset")
LEAKS = ("leak", "leak_random_split")
RIGHT = {  # how many of the five words of an answer are right: at least, less than
    "base": (0, 4),
    "few_shot": (1, 4),
    "finetuned": (4, 6),
    "echo": (0, 1),
    "fill_in": (2, 4),
}


def cards(rows: int, split: str = "test") -> list[dict[str, str]]:
    return [
        {
            "id": f"{split}:{i:04}",
            "kind": KINDS[i % 3],
            "topic": f"topic {i // 2}",
            "group": f"group {i // 2}",
            "question": HOSTILE if i == 0 else f"What is number {i}?",
            "answer": " ".join(WORDS[(i + j) % len(WORDS)] for j in range(5)),
        }
        for i in range(rows)
    ]


@cache
def predictions(system: str, rows: int, split: str = "test") -> pa.Table:
    """Answers of five words, of which as many are right as RIGHT says; no likelihood for rules."""
    low, high = RIGHT[system]
    generator = np.random.default_rng([list(RIGHT).index(system)])
    counter, records = TextCounter(use_stemmer=True), []
    for i, card in enumerate(cards(rows, split)):
        reference = card.pop("answer")
        right = generator.integers(low, high)
        words = reference.split()[:right] + ["wrong"] * (5 - right)
        likelihood = {"nll": 6.0 + 2 * (5 - right) + generator.random(), "answer_tokens": 6}
        if system in RULES:
            likelihood = dict.fromkeys(likelihood)
        stopped = bool(system != "base" or i % 4)
        row = card | {"reference": reference, "prediction": " ".join(words), **likelihood}
        row |= {"stopped": stopped, "disclaimer": False}
        records.append(row | counter(" ".join(words), reference, "What?"))
    return pa.Table.from_pylist(records)


def write_predictions(folder: Path, rows: int) -> None:
    """The files of all systems; the fine-tuned model with cards is switched off."""
    rules = []
    for split, suffix in (("validation", "_validation"), ("test", "")):
        for name in MODELS:
            path = folder / f"data/predictions/{name}{suffix}.parquet"
            off = name not in RIGHT
            table = predictions("base" if off else name, rows, split)
            write_table(path, table.slice(0, 0) if off else table)
        for name in ("echo", "fill_in"):
            table = predictions(name, rows, split)
            for column, value in (("split", split), ("system", name)):
                table = table.add_column(0, column, pa.array([value] * rows))
            rules.append(table)
    write_table(folder / "data/predictions/baselines.parquet", pa.concat_tables(rules))


def choices(chosen: int) -> pa.Table:
    """Four medical questions whose second option is right."""
    row = {"set": "medical", "question": "?", "options": ["a", "b"], "correct": 1}
    answer = {"chosen": chosen, "probability": 0.6, "correct_probability": 0.4 + 0.2 * chosen}
    return pa.Table.from_pylist([{"id": f"{i}", **row, **answer} for i in range(4)], schema=SCHEMA)


def write_inputs(
    folder: Path, rows: int = 12, resamples: int = 200, gate: dict[str, float] | None = None
) -> None:
    yaml = YAML()
    params = yaml.load(PARAMS.read_text(encoding="utf-8"))
    params["compare"] |= {"resamples": resamples, "fail_if_worse": gate or {}}
    params["download"]["dataset"] = "file:///home/somebody/cards/cards.csv"
    params["download"]["choices_general"] = None
    yaml.dump(params, folder / "params.yaml")
    write_predictions(folder, rows)
    for model, chosen in (("base", 0), ("finetuned", 1)):
        write_table(folder / f"data/predictions/{model}_choices.parquet", choices(chosen))
    splits = ("train", "validation", "test")
    for split in splits:
        table = pa.Table.from_pylist(cards(rows, split))
        write_table(folder / f"data/split/{split}.parquet", table)
    names = ("records", "tokens", "supervised_tokens", "truncated")
    leaks = {f"{leak}.{name}": 0.0 for leak in LEAKS for name in ("question", "answer", "ngram13")}
    metrics = {
        "clean": {"records_in": 150, "kept": 140, "dropped.duplicate": 10},
        "split": {"train": 112, "validation": 14, "test": rows, "groups": 70, **leaks},
        "tokenize": {f"{split}.{name}": 100 for split in splits for name in names},
        "train": {"train_loss": 1.5, "validation_loss": 1.7, "validation_perplexity": 5.47},
    }
    for stage, content in metrics.items():
        write_json(folder / f"metrics/{stage}.json", content)
    steps = range(10, 130, 10)
    train = [(step, step / 120, 3.5 - step / 60, 1e-3) for step in steps]
    header = ("step", "epoch", "loss", "learning_rate")
    write_csv(folder / "plots/train/train.csv", header, train)
    validation = [(step, step / 120, 3.6 - step / 70) for step in (40, 80, 120)]
    write_csv(folder / "plots/train/validation.csv", header[:3], validation)
    adapter = {"base_model_name_or_path": "models/base", "target_modules": ["v_proj", "q_proj"]}
    write_json(folder / "models/adapter/adapter_config.json", adapter)
    prompt = {"prompt_style": "chat", "system_prompt": "Be a tutor.", "disclaimer": None}
    write_json(folder / "data/tokens/prompt.json", prompt)


def write_run_files(folder: Path) -> None:
    """The files that the report names and takes its tokens from."""
    row = {"id": "card:1", "kind": "onset", "topic": "", "group": "", "question": "", "answer": ""}
    row |= {"input_ids": [0, 1], "prompt_length": 1, "loss_start": 1, "truncated": False}
    for split in ("train", "validation", "test"):
        table = pa.Table.from_pylist([row], schema=TOKEN_SCHEMA)
        with token_writer(folder / f"data/tokens/{split}.arrow") as writer:
            writer.write_table(table)
    for name in ("base/model.safetensors", "adapter/adapter_model.safetensors"):
        (folder / "models" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "models" / name).write_bytes(b"weights")
    vocabulary = {"Question": 0, "Answer": 1}
    Tokenizer(WordLevel(vocabulary, "Answer")).save(str(folder / "models/adapter/tokenizer.json"))
    (folder / "presets").mkdir()
    (folder / "presets/default.yaml").write_text(DEFAULT.read_text(encoding="utf-8"))
