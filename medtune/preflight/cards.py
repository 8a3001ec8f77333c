"""What is known of the cards before a run: how long they are, and how many there are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import takewhile
from pathlib import Path
from typing import Any

from medtune.config.loading import read_yaml
from medtune.config.schema import SPLITS, Params, SplitName, Tokenize
from medtune.modeling.collation import by_length, training_order
from medtune.modeling.loading import BASE, load_tokenizer
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.modeling.token_files import TOKENS, read_tokens
from medtune.runtime.errors import InputError
from medtune.runtime.files import read_table
from medtune.scoring.choice_questions import FOLDER, SETS, Question, read_questions

LOCK = Path("dvc.lock")
RECORDS = Path("data/clean/records.parquet")
SPLIT = Path("data/split")
SAMPLE = 2000  # records of a split that are encoded here; more take long and say no more
BEFORE = {
    "download@model": [],
    "download@dataset": [],
    "download@choices_medical": [],
    "download@choices_general": [],
    "clean": ["download@dataset"],
    "split": ["clean"],
    "tokenize": ["split", "download@model"],
}
OUTPUT = {
    "download@model": BASE / "config.json",
    "download@dataset": Path("data/raw"),
    "download@choices_medical": FOLDER / "medical",
    "download@choices_general": FOLDER / "general",
    "clean": RECORDS,
    "split": SPLIT / "train.parquet",
    "tokenize": TOKENS / "train.arrow",
}


@dataclass(frozen=True)
class Cards:
    """Lengths in tokens of the cards of a split, or of a sample where there are more (`count`)."""

    count: int
    prompts: list[int]
    lengths: list[int]  # prompt, answer and its end, cut where the run will cut
    loss_starts: list[int]
    truncated: list[bool]
    beginning: int  # tokens that all prompts begin with, which a batch takes once

    @property
    def is_whole(self) -> bool:
        return len(self.lengths) == self.count

    @property
    def without_room(self) -> int:
        """Cards of which nothing of the answer is left; tokenize refuses them."""
        pairs = zip(self.prompts, self.lengths, self.truncated, strict=True)
        return sum(cut and length < prompt + 2 for prompt, length, cut in pairs)


def is_made(stage: str, params: Params) -> bool:
    """Whether a stage's output is there and dvc.lock says that it is of these parameters."""
    if not LOCK.is_file() or not OUTPUT[stage].exists():
        return False
    locked = read_yaml(LOCK)["stages"].get(stage, {}).get("params", {}).get("params.yaml", {})
    now: Any = params.model_dump()
    same = all(reduce(dict.get, key.split("."), now) == value for key, value in locked.items())
    return bool(locked) and same and all(is_made(before, params) for before in BEFORE[stage])


def known_cards(params: Params) -> dict[SplitName, Cards]:
    """The cards of each split, measured as near to the run as the outputs that are there allow.

    Raises InputError with what is missing.
    """
    if is_made("tokenize", params):
        tables = {split: read_tokens(TOKENS / f"{split}.arrow").to_pydict() for split in SPLITS}
        return {
            split: Cards(
                len(rows["id"]),
                rows["prompt_length"],
                [len(ids) for ids in rows["input_ids"]],
                rows["loss_start"],
                rows["truncated"],
                _beginning(rows["input_ids"]),
            )
            for split, rows in tables.items()
        }
    for stage in ("clean", "download@model"):
        if not is_made(stage, params):
            raise InputError(f"{OUTPUT[stage]} is missing or of other params: dvc repro {stage}")
    style, encoder = params.tokenize, encoder_for(params.tokenize)
    if is_made("split", params):
        paths = {split: SPLIT / f"{split}.parquet" for split in SPLITS}
        return {split: _measure(path, encoder, style, split) for split, path in paths.items()}
    samples = {split: _measure(RECORDS, encoder, style, split) for split in SPLITS}
    return {split: _share(cards, split, params) for split, cards in samples.items()}


def encoder_for(style: Tokenize) -> PromptEncoder:
    form = PromptFormat(style.prompt_style, style.system_prompt, style.disclaimer)
    return PromptEncoder(load_tokenizer(), form)


def known_questions(params: Params) -> list[Question]:
    """The multiple-choice questions that both models will be asked; none if they are not here."""
    if not all(is_made(f"download@choices_{name}", params) for name in SETS):
        return []
    return read_questions(params.evaluate.choice_questions)[0]


def _share(cards: Cards, split: SplitName, params: Params) -> Cards:
    """All records as a sample of one split, which takes its share of them."""
    count = round(cards.count * params.split.shares.fraction(split))
    limit = params.split.limit(split)
    return replace(cards, count=min(count, limit or count))


def _measure(path: Path, encoder: PromptEncoder, params: Tokenize, split: SplitName) -> Cards:
    table = read_table(path, "split")
    step = -(-table.num_rows // SAMPLE)
    records = table.take(list(range(0, table.num_rows, step))).to_pylist()
    disclaimer = f" {params.disclaimer}" if params.disclaimer and split != "test" else ""
    encoded = [encoder.question_ids(record["question"]) for record in records]
    prompts = [len(ids) for ids in encoded]
    answers = [len(encoder.answer_ids(record["answer"] + disclaimer)) for record in records]
    whole = [prompt + answer + 1 for prompt, answer in zip(prompts, answers, strict=True)]
    if params.truncation == "drop":  # of the test split what has room for an answer stays
        longest = [p + 2 if split == "test" else n for p, n in zip(prompts, whole, strict=True)]
        kept = [n for n, length in enumerate(longest) if length <= params.max_length_tokens]
        encoded, prompts = [encoded[n] for n in kept], [prompts[n] for n in kept]
        whole = [whole[n] for n in kept]
        if records and not kept:
            limit = f"tokenize.max_length_tokens is {params.max_length_tokens}"
            raise InputError(f"{limit}, which leaves no record of {split}: raise it")
    return Cards(
        round(table.num_rows * len(whole) / max(1, len(records))),
        prompts,
        [min(length, params.max_length_tokens) for length in whole],
        [1] * len(prompts) if params.loss_on == "all" else prompts,
        [length > params.max_length_tokens for length in whole],
        _beginning(encoded),
    )


def _beginning(rows: list[list[int]]) -> int:
    return sum(1 for _ in takewhile(lambda ids: len(set(ids)) == 1, zip(*rows, strict=False)))


def stand_ins(lengths: Sequence[int], beginning: int) -> list[list[int]]:
    """Rows of ids that cost what text of these lengths does, neighbours alike in the beginning."""
    return [
        [0] * min(beginning, length) + [1 + n % 2] * (length - beginning)
        for n, length in enumerate(lengths)
    ]


def running(answers: list[int], max_new_tokens: int) -> list[int]:
    """How many rows of a batch still run at each new token, if answers are as long as these.

    One row never stops.
    """
    return [max(1, sum(length > token for length in answers)) for token in range(max_new_tokens)]


def largest_batches(
    cards: dict[SplitName, Cards], params: Params, loss_batch: int
) -> dict[str, Any]:
    """The lengths of the largest batches of train and evaluate, for the arithmetic of memory.

    Without cards, or in a sample, each batch is as long as the longest row there can be or is.
    """
    limit = params.tokenize.max_length_tokens
    size, count = params.train.per_device_train_batch_size, params.evaluate.batch_size
    if not cards:
        return {
            "rows": [limit] * size,
            "loss_starts": [1 if params.tokenize.loss_on == "all" else limit // 2] * size,
            "likelihood": [limit] * loss_batch,
            "prompts": [limit // 2] * count,
            "cached": limit // 2 + params.evaluate.max_new_tokens,
            "beginning": 0,
        }
    train, test = cards["train"], cards["test"]
    lengths = train.lengths
    rows = by_length(lengths, size)[-1]
    if train.is_whole:
        plan = (
            batch
            for epoch in range(params.train.num_train_epochs)
            for batch in training_order(len(lengths), size, params.seed, epoch)
        )
        rows = max(plan, key=lambda batch: sum(lengths[row] for row in batch))
    batch = by_length(test.prompts, count)[-1]
    return {
        "rows": [lengths[row] for row in rows],
        "loss_starts": [train.loss_starts[row] for row in rows],
        "likelihood": sorted(test.lengths)[-loss_batch:],
        "prompts": [test.prompts[row] for row in batch],
        # Nobody knows how long answers get: memory is said for the longest.
        "cached": max(test.prompts) + params.evaluate.max_new_tokens,
        "beginning": train.beginning,
    }
