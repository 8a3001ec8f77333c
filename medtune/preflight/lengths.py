"""The lengths of the cards in tokens, from the outputs of earlier stages."""

from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from medtune.config.allowed_values import SPLITS, SplitName
from medtune.config.loading import read_yaml
from medtune.config.schema import Params
from medtune.generation.batch_limits import ROW_TOKENS
from medtune.modeling.batch_limits import LOSS_BATCH
from medtune.modeling.collation import Cards
from medtune.modeling.loading import BASE, load_tokenizer
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.modeling.token_files import HISTORY, TOKENS, columns, read_tokens, row_lengths
from medtune.modeling.token_rows import conversation_batch
from medtune.preflight.memory import Batches
from medtune.training.batch_plan import training_order

LOCK = Path("dvc.lock")
RECORDS = Path("data/clean/records.parquet")
GENERAL_QUESTIONS = 12  # QUESTIONS of out_of_domain_questions, which evaluate also asks
SAMPLE = 2000  # records that are encoded; more take longer and change little


class Outputs:
    """Tells which outputs exist and, by dvc.lock, were made with these parameters."""

    def __init__(self, params: Params) -> None:
        self.params: Any = params.model_dump()
        stages = read_yaml(LOCK)["stages"].values() if LOCK.is_file() else []
        self.makers = {output["path"]: stage for stage in stages for output in stage["outs"]}

    def has(self, path: Path) -> bool:
        return path.exists() and self._is_current(str(path))

    def _is_current(self, path: str) -> bool:
        """Returns whether the stage and all stages before it ran with these parameters."""
        stage = self.makers.get(path)
        if not stage:
            return False
        locked = stage["params"]["params.yaml"].items()
        same = all(reduce(dict.get, key.split("."), self.params) == value for key, value in locked)
        made = [dep["path"] for dep in stage["deps"] if dep["path"] in self.makers]
        return same and all(map(self._is_current, made))


@dataclass(frozen=True)
class Lengths:
    """Lengths in tokens of the cards of a split, or of a sample of all records."""

    prompts: list[int]
    cards: list[int]  # prompt, answer and its end, cut where the run will cut
    truncated: list[bool]
    supervised: list[int]  # tokens that training's loss covers

    @property
    def without_room(self) -> int:
        """The number of cards whose answer is cut away completely; tokenize refuses them."""
        triples = zip(self.prompts, self.cards, self.truncated, strict=True)
        return sum(cut and length < prompt + 2 for prompt, length, cut in triples)


def known_lengths(params: Params, outputs: Outputs) -> dict[SplitName, Lengths] | None:
    """Returns the lengths of each split, or those of a sample of all records before tokenize.

    Returns None if there are no records yet, or no tokenizer.
    """
    if all(outputs.has(TOKENS / f"{split}.arrow") for split in SPLITS):
        return {split: _of_rows(read_tokens(TOKENS / f"{split}.arrow")) for split in SPLITS}
    if outputs.has(RECORDS) and outputs.has(BASE):
        return dict.fromkeys(SPLITS, _sample(params))
    return None


def _of_rows(table: pa.Table | pa.RecordBatch) -> Lengths:
    """Returns the lengths of the rows of a token file."""
    prompts, truncated = (table[name].to_pylist() for name in ("prompt_length", "truncated"))
    cards = Cards.all(columns(table, *Cards._fields))
    return Lengths(prompts, row_lengths(cards.input_ids), truncated, cards.supervised_counts())


def _sample(params: Params) -> Lengths:
    style, limit = params.tokenize, params.tokenize.max_length_tokens
    encoder = PromptEncoder(load_tokenizer(), PromptFormat.of(style))
    table = pq.read_table(RECORDS)
    table = table.take([*range(0, table.num_rows, -(-table.num_rows // SAMPLE))])
    if HISTORY.name in table.column_names:
        (records,) = table.combine_chunks().to_batches()
        rows, no_room = conversation_batch(records, encoder, style, "train")
        found, crowded = _of_rows(rows), len(no_room)
        return Lengths(
            [*found.prompts, *no_room.values()],
            found.cards + [limit] * crowded,
            found.truncated + [True] * crowded,
            found.supervised + [0] * crowded,
        )
    texts = table.select(["question", "answer"]).to_pydict()
    prompts = [len(ids) for ids in encoder.batch_question_ids(texts["question"])]
    added = f" {style.disclaimer}" if style.disclaimer else ""
    answers = encoder.batch_answer_ids([text + added for text in texts["answer"]])
    whole = [prompt + len(ids) + 1 for prompt, ids in zip(prompts, answers, strict=True)]
    cut = [min(length, limit) for length in whole]
    starts = [1] * len(cut) if style.loss_on == "all" else prompts
    supervised = [length - start for length, start in zip(cut, starts, strict=True)]
    return Lengths(prompts, cut, [length > limit for length in whole], supervised)


def largest_batches(params: Params, lengths: dict[SplitName, Lengths] | None) -> Batches:
    """Returns the largest batches; if lengths are None, every card counts as the longest possible.

    Of the training batches, only those of the first epoch count.
    """
    limit, rows = params.tokenize.max_length_tokens, params.train.per_device_train_batch_size
    if lengths is None:
        count, prompt = max(rows, LOSS_BATCH), limit // 2
        start = 1 if params.tokenize.loss_on == "all" else prompt
        longest = Lengths([prompt] * count, [limit] * count, [], [limit - start] * count)
        lengths = dict.fromkeys(SPLITS, longest)
    train, test = lengths["train"], lengths["test"]
    batches = training_order(len(train.cards), rows, params.train.seed_or(params.seed), 0)
    tokens = max(sum(train.cards[n] for n in batch) for batch in batches)
    answers = [card - prompt for card, prompt in zip(test.cards, test.prompts, strict=True)]
    evaluate = params.evaluate
    limits = [params.split.limit(split) for split in ("validation", "test")]
    asked = sum(limit or evaluate.batch_size for limit in limits) + GENERAL_QUESTIONS
    shown = round(evaluate.few_shot * sum(train.cards) / len(train.cards))  # tokens of other cards
    cached = max(test.prompts) + shown + evaluate.max_new_tokens
    fitting = max(1, evaluate.batch_size * ROW_TOKENS // cached)
    return Batches(
        train=tokens,
        supervised=max(sum(train.supervised[n] for n in batch) for batch in batches),
        longest=max(train.cards),
        scored=sum(sorted(test.cards)[-LOSS_BATCH:]) + LOSS_BATCH * shown,
        scored_answers=sum(sorted(answers)[-LOSS_BATCH:]),
        answered=min(evaluate.batch_size, asked, fitting),
        cached=cached,
    )
