"""The reader `auto`: reads the default deck, and every table whose layout it recognises."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medtune.cards.column_names import ColumnLayout, recognise
from medtune.cards.file_formats import has_tables, read_rows
from medtune.cards.hpo_only_deck import read_hpo
from medtune.cards.layout_rows import RawCard, cards_of_row
from medtune.cards.mondo_file import FILE_NAME as MONDO_NAME
from medtune.cards.ontology_deck import read_ontologies
from medtune.cards.question_parsing import fold_topic, parse_question
from medtune.cards.records import DEFAULT_KIND, Record
from medtune.cards.table_errors import check_columns, listed
from medtune.runtime.table_cells import Row, label_of

logger = logging.getLogger("medtune")

HPO_FILES = {"hp.obo", "phenotype.hpoa"}


def read_recognised(folder: Path, encoding: str) -> Iterator[Record]:
    """Yields the cards of the ontologies, if they are there, and then those of all tables.

    Logs a line on each layout that it saw. Raises InputError for a table of another layout.
    """
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    has_mondo = any(map(MONDO_NAME.match, names))
    if has_mondo:
        yield from _counted(read_ontologies(folder), "ontologies (MONDO and HPO)")
    elif names & HPO_FILES:
        yield from _counted(read_hpo(folder), "HPO")
    if not (has_mondo or names & HPO_FILES) or has_tables(folder):
        yield from Tables(folder).records(encoding)


def _counted(records: Iterator[Record], layout: str) -> Iterator[Record]:
    count = 0
    for record in records:
        yield record
        count += 1
    logger.info(f"recognised {layout}: {count:,} cards")


@dataclass
class Tables:
    """The tables below a folder, with the layout of each and counts of their cards."""

    folder: Path
    layouts: dict[str, ColumnLayout] = field(default_factory=dict)  # by file
    counts: dict[ColumnLayout, Counter[str]] = field(default_factory=dict)

    def records(self, encoding: str) -> Iterator[Record]:
        places: Counter[str] = Counter()  # cards so far, by file
        for name, _, row in read_rows(self.folder, self._choose, encoding):
            layout = self._layout_of(name, row)
            for card in cards_of_row(layout, row):
                self._count(layout, card)
                yield _make_record(name, places[name], card)
                places[name] += 1
        for layout in self.counts:
            self._log(layout)

    def _choose(self, path: Path, found: Sequence[str]) -> Sequence[str]:
        layout = recognise(path, found)
        check_columns(path, found, layout.columns)
        self.layouts[path.relative_to(self.folder).as_posix()] = layout
        self.counts.setdefault(layout, Counter())
        return layout.columns

    def _layout_of(self, name: str, row: Row) -> ColumnLayout:
        """Returns the layout of a file, which grows with keys that only later JSON objects have."""
        layout = self.layouts[name]
        known = [*layout.columns, *layout.unread]
        if new := [key for key in row if key not in known]:
            self._choose(self.folder / name, known + new)
            grown = self.layouts[name]
            self.counts[grown] += self.counts.pop(layout, Counter())
            return grown
        return layout

    def _count(self, layout: ColumnLayout, card: RawCard) -> None:
        counts = self.counts.setdefault(layout, Counter())
        counts["conversations" if card.is_conversation else "cards"] += 1
        if card.remark:
            counts[card.remark] += 1

    def _log(self, layout: ColumnLayout) -> None:
        sorts = ", ".join(f"{count:,} {sort}" for sort, count in self.counts[layout].items())
        names = [name or "a column without a name" for name in layout.unread]
        unread = f"; not read: {listed(names)}" if names else ""
        columns = listed(layout.columns)
        logger.info(f"recognised {layout.name} ({columns}): {sorts or 'no cards'}{unread}")


def _make_record(name: str, place: int, card: RawCard) -> Record:
    kind, topic = parse_question(card.subject)
    return Record(
        f"{name}:{place}",
        card.turn.question,
        card.turn.answer,
        label_of(card.kind) or kind or DEFAULT_KIND,
        fold_topic(label_of(card.topic)) or topic,
        name,
        drop_reason=card.turn.drop_reason,
        history=card.turn.history,
    )
