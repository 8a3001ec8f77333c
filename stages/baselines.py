"""Answers the validation and test questions by rules that need no model, and scores the answers.

Of a conversation, the rules read the last question only.

Reads data/split/{train,validation,test}.parquet; writes data/predictions/baselines.parquet and
metrics/baselines.json (scores, and the sentence that the fill-in rule puts names into).
Run: python -m stages.baselines
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from medtune.baselines.asked_name import NameFinder
from medtune.baselines.fill_in import READ, FillInRule, NamedCard, choose_rule, evenly_spaced
from medtune.baselines.nearest import NearestAnswers, card_in
from medtune.config.loading import load_params
from medtune.runtime.atomic_files import read_table, write_json, write_table
from medtune.runtime.errors import InputError
from medtune.runtime.stage import run
from medtune.scoring.answer_counts import TextCounter, signatures
from medtune.scoring.predictions import prediction_table
from medtune.scoring.scores import score_table
from medtune.scoring.system_names import ECHO, FILL_IN, NEAREST_CARD, NEAREST_CARD_RENAMED, RULES

logger = logging.getLogger("medtune")

SPLIT = Path("data/split")
PREDICTIONS = Path("data/predictions/baselines.parquet")
METRICS = Path("metrics/baselines.json")
ANSWERED = ("validation", "test")
COLUMNS = ("id", "kind", "topic", "group", "question", "answer", "history")
TRAINING = ["kind", "question", "answer"]

Card = dict[str, Any]  # a row of a split, with COLUMNS; only conversations have a history
System = Callable[[Card], str]


def read_cards(split: str) -> list[Card]:
    table = read_table(SPLIT / f"{split}.parquet", "split")
    return table.select([name for name in COLUMNS if name in table.column_names]).to_pylist()


def read_training() -> pa.Table:
    """Reads the training cards, which may be a million: only those that are needed become rows."""
    training = read_table(SPLIT / "train.parquet", "split", TRAINING)
    if not training.num_rows:
        raise InputError("data/split/train.parquet has no cards: raise split.shares.train")
    return training


def fill_in_rules(
    cards: Mapping[str, list[Card]], training: pa.Table, finder: NameFinder, use_stemmer: bool
) -> dict[str, FillInRule]:
    """Returns the rule of each kind of card; a kind without training cards learns from all."""

    def named(rows: Sequence[Card]) -> list[NamedCard]:
        return [NamedCard(card["answer"], finder.find(card["question"])) for card in rows]

    rules = {}
    for kind in sorted({card["kind"] for split in ANSWERED for card in cards[split]}):
        own = pc.indices_nonzero(pc.equal(training["kind"], kind)).to_pylist()
        read = evenly_spaced(own or range(training.num_rows), READ)
        asked = [card for card in cards["validation"] if card["kind"] == kind]
        learned = named([card_in(training, number) for number in read])
        rules[kind] = choose_rule(learned, named(evenly_spaced(asked, READ)), use_stemmer)
    return rules


def systems(
    cards: Mapping[str, list[Card]],
    training: pa.Table,
    finder: NameFinder,
    rules: Mapping[str, FillInRule],
) -> dict[str, System]:
    """Returns a function for each of RULES that answers a card's question."""
    asked = [card["question"] for split in ANSWERED for card in cards[split]]
    nearest = NearestAnswers(training, finder, asked)
    return {
        ECHO: lambda card: card["question"],
        NEAREST_CARD: lambda card: nearest.answer(card["question"]),
        NEAREST_CARD_RENAMED: lambda card: nearest.renamed_answer(card["question"]),
        FILL_IN: lambda card: rules[card["kind"]].answer(finder.find(card["question"])),
    }


def answered(cards: list[Card], answer: System, counter: TextCounter) -> pa.Table:
    """Returns a table of predictions; no model reads the reference, so it has no likelihood."""
    unscored = {"stopped": True, "new_tokens": 0, "disclaimer": False}
    answers = [{"prediction": answer(card), **unscored} for card in cards]
    return prediction_table(cards, answers, counter)


def labelled(table: pa.Table, system: str, split: str) -> pa.Table:
    """Returns the table with the columns `system` and `split` before its own."""
    for name, value in (("split", split), ("system", system)):
        table = table.add_column(0, name, pa.array([value] * table.num_rows, pa.string()))
    return table


def main() -> None:
    use_stemmer, added = load_params("evaluate.use_stemmer", "evaluate.metrics")
    training, cards = read_training(), {split: read_cards(split) for split in ANSWERED}
    finder = NameFinder(training["question"].to_pylist())
    rules = fill_in_rules(cards, training, finder, use_stemmer)
    answer = systems(cards, training, finder, rules)
    counter = TextCounter(use_stemmer, added)
    references = [card["answer"] for split in ANSWERED for card in cards[split]]
    tables, metrics = [], dict[str, Any](signatures(use_stemmer, references))
    for system in RULES:
        for split in ANSWERED:
            table = answered(cards[split], answer[system], counter)
            values = score_table(table, counter.scores)
            metrics |= {f"{system}.{split}.{name}": value for name, value in values.items()}
            tables.append(labelled(table, system, split))
    for split in ANSWERED:
        found = [finder.find(card["question"]) is not None for card in cards[split]]
        metrics |= {f"n.{split}": len(found), f"names_found.{split}": sum(found)}
    for kind, rule in rules.items():
        metrics[f"sentence.{kind}"] = rule.sentence
        metrics[f"sentence_without_name.{kind}"] = rule.without_name
    write_table(PREDICTIONS, pa.concat_tables(tables))
    write_json(METRICS, metrics)
    scores = ", ".join(f"{name} {metrics[f'{name}.test.rougeL']:.3f}" for name in RULES)
    logger.info(f"{metrics['n.test']} questions → ROUGE-L of {scores}: {PREDICTIONS}")


if __name__ == "__main__":
    run("baselines", main)
