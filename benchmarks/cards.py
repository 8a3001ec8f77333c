"""Makes as many cards as a benchmark needs, from real ones by seeded edits.

A generation contains all real cards, topic by topic in random order. All but the commonest words
are replaced by new ones, each by the same word throughout the generation. So cards of a generation
share what the real cards share, topics keep their sizes, and generations differ from each other as
much as unrelated topics do. Copies, boilerplate and dirt are added at the rates below.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

RATES = {  # shares of all cards; the rest are left as they are
    "exact_copy": 0.03,  # question and answer of an earlier card
    "near_copy": 0.05,  # own question, no topic; an earlier answer with a tenth of its words edited
    "same_question": 0.02,  # question and topic of an earlier card, own answer
    "boilerplate": 0.02,  # own question; one of BOILERPLATES answers, word for word
    "dirty": 0.05,  # something for clean to repair
    "empty": 0.005,  # no answer
}
BOILERPLATES = 20
LONG_SHARE = 25  # percent of the answers, the longest, from which boilerplate is drawn
COMMON_WORDS = 200  # that stay as they are
CORE = re.compile(r"[^\W\d_]{3,}")
BATCH = 10_000
SCHEMA = pa.schema([(name, pa.string()) for name in ("question", "answer", "kind", "topic")])

DIRT: tuple[Callable[[str], str], ...] = (
    lambda text: f"<p>{text}</p>",
    lambda text: text.replace(" ", "&nbsp;", 1),
    lambda text: f"â€œ{text}â€\x9d",
    lambda text: text.replace(" ", " \u200b"),
    lambda text: text.replace(" ", "  ", 3) + "\r\n",
)


class Card(NamedTuple):
    question: str
    answer: str
    kind: str
    topic: str


class Corpus:
    """Real cards as lists of word numbers, and the words."""

    def __init__(self, cards: list[Card]) -> None:
        numbers: dict[str, int] = {}

        def numbered(text: str) -> list[int]:
            return [numbers.setdefault(word, len(numbers)) for word in text.split()]

        texts = (text for card in cards for text in (card.question, card.answer))
        cores = Counter(core.lower() for text in texts for core in CORE.findall(text))
        self.common = {core for core, _ in cores.most_common(COMMON_WORDS)}
        self.cores = sorted(cores.keys() - self.common)
        self.topics: dict[str, list[tuple[list[int], list[int], str]]] = {}
        for card in cards:
            if self.common.issuperset(core.lower() for core in CORE.findall(card.question)):
                continue  # it would be the same question in every generation
            row = (numbered(card.question), numbered(card.answer), card.kind)
            self.topics.setdefault(card.topic, []).append(row)
        self.words = list(numbers)

    def generations(self, draw: random.Random) -> Iterator[Card]:
        """Yields one generation of cards after the other, without end."""
        for generation in count():
            words = self._new_words(draw)
            topics = list(self.topics)
            draw.shuffle(topics)
            for topic in topics:
                for parts in self.topics[topic]:
                    question, answer = (" ".join([words[n] for n in part]) for part in parts[:2])
                    yield Card(question, answer, parts[2], f"{topic} {generation}")

    def _new_words(self, draw: random.Random) -> list[str]:
        """Joins the first half of each word's letters to the second half of another's."""
        partners = dict(zip(self.cores, draw.sample(self.cores, len(self.cores)), strict=True))

        def replaced(match: re.Match[str]) -> str:
            core = match[0]
            if (key := core.lower()) in self.common:
                return core
            return core[: (len(core) + 1) // 2] + partners[key][len(partners[key]) // 2 :]

        return [CORE.sub(replaced, word) for word in self.words]


def make_cards(real: list[Card], size: int, seed: int) -> Iterator[Card]:
    """Yields `size` cards; a smaller size gives the first cards of a larger one."""
    draw = random.Random(seed)
    answers = sorted({card.answer for card in real}, key=lambda text: (len(text), text))
    boilerplate = draw.sample(answers[-LONG_SHARE * len(answers) // 100 :], BOILERPLATES)
    edits, rates = [*RATES, ""], [*RATES.values(), 1 - sum(RATES.values())]
    earlier: list[Card] = []
    for card in islice(Corpus(real).generations(draw), size):
        edit = draw.choices(edits, rates)[0] if earlier else ""
        other = draw.choice(earlier or [card])
        if edit == "exact_copy":
            card = other
        elif edit == "near_copy":
            card = card._replace(answer=edited(other.answer, draw), topic="")
        elif edit == "same_question":
            card = card._replace(question=other.question, topic=other.topic)
        elif edit == "boilerplate":
            card = card._replace(answer=draw.choice(boilerplate))
        elif edit == "dirty":
            card = card._replace(answer=draw.choice(DIRT)(card.answer))
        elif edit == "empty":
            card = card._replace(answer=" ")
        else:
            earlier.append(card)
        yield card


def edited(text: str, draw: random.Random) -> str:
    """Replaces, cuts or adds up to a tenth of the words, and at least one of ten or more."""
    words = text.split()
    for _ in range(draw.randint(min(1, len(words) // 10), len(words) // 10)):
        place, word = draw.randrange(len(words)), draw.choice(words)
        removed, added = draw.choice(((1, [word]), (1, []), (0, [word])))
        words[place : place + removed] = added
    return " ".join(words)


def read_cards(path: Path) -> list[Card]:
    rows = pq.read_table(path, columns=SCHEMA.names).to_pylist()
    return [Card(**row) for row in rows]


def write_cards(path: Path, cards: Iterator[Card]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        while batch := list(islice(cards, BATCH)):
            columns = [pa.array(column, pa.string()) for column in zip(*batch, strict=True)]
            writer.write_batch(pa.record_batch(columns, SCHEMA))
