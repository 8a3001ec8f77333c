"""The default deck, made from small files, and 60 cards of the real ones read independently."""

import json
import random
import re
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from medtune.cards.familiarity import lines_of_list
from medtune.cards.ontology_deck import read_ontologies
from medtune.cards.records import Record
from tests.ontology_files import GOUT, annotation, write_files

RAW = Path(__file__).parents[3] / "data/raw"
ORPHANET = {"HP:0040280": 1.0, "HP:0040281": 0.9, "HP:0040282": 0.55}
has_real_files = pytest.mark.skipif(
    not list(RAW.glob("MONDO-*")), reason="data/raw has not been downloaded"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [
        annotation("HP:3", "95/100"),
        annotation("HP:0", "HP:0040281"),
        annotation("HP:2", "40%"),
        annotation("HP:1", "2/2"),
        annotation("HP:5", "35%"),
        annotation("HP:6", "10/31"),
        annotation("HP:4", "HP:0040281", evidence="IEA"),
    ]
    write_files(tmp_path, rows)
    return tmp_path


@pytest.fixture
def cards(folder: Path) -> dict[str, Record]:
    return {card.id: card for card in read_ontologies(folder)}


def test_the_deck_begins_with_common_diseases(cards: dict[str, Record]) -> None:
    first = next(iter(cards.values()))
    assert (first.id, first.answer) == ("MONDO:10/definition", GOUT)
    assert (first.kind, first.source) == ("disease definition", "MONDO 2026-05-05")
    assert "gout" in (first.question or "")
    assert not any("type 7" in (card.question or "") for card in cards.values())


def test_the_frame_of_most_definitions_is_for_common_diseases(cards: dict[str, Record]) -> None:
    assert "MONDO:10/definition" in cards and "MONDO:17/definition" in cards
    assert "MONDO:16/definition" not in cards


def test_definitions_that_a_rule_could_write_are_left_out(cards: dict[str, Record]) -> None:
    assert "HP:6/definition" in cards
    assert not {"HP:7/definition", "MONDO:18/definition"} & cards.keys()


def test_features_are_a_plain_list_in_the_order_of_their_frequency(
    cards: dict[str, Record],
) -> None:
    card = cards["MONDO:10/features"]
    assert (card.answer, card.source) == (
        "Arthritis, fever, headache, anemia and rash.",
        "HPO 2025-01-16",
    )
    assert card.fact_type == "list"
    assert card.facts[0] == ("Arthritis", "Arthritis in words")


def test_a_definition_that_names_the_parent_has_it_as_a_fact(cards: dict[str, Record]) -> None:
    asthma = cards["MONDO:11/definition"]
    assert (asthma.answer or "").endswith("of the airways.")
    assert (asthma.fact_type, asthma.facts) == (
        "named",
        (("bronchial disorder", "bronchial disease"),),
    )
    assert (cards["MONDO:10/definition"].fact_type, cards["MONDO:10/definition"].facts) == ("", ())


def test_symptoms_are_a_sentence_of_the_source(cards: dict[str, Record]) -> None:
    assert (cards["MONDO:11/symptoms"].answer or "").startswith("Signs and symptoms include whee")


def test_cards_of_one_disease_share_a_topic(cards: dict[str, Record]) -> None:
    topics = defaultdict(set)
    for card in cards.values():
        topics[card.id.split("/")[0]].add(card.topic)
    assert all(len(each) == 1 for each in topics.values())


def test_findings_keep_the_capitals_of_names(cards: dict[str, Record]) -> None:
    assert "Babinski sign" in (cards["HP:4/definition"].question or "")
    assert "headache" in (cards["HP:2/definition"].question or "")
    assert cards["HP:2/definition"].kind == "finding definition"


def test_what_is_not_for_a_classroom_is_dropped_with_a_reason(cards: dict[str, Record]) -> None:
    assert {card.id for card in cards.values() if card.drop_reason} == {"MONDO:13/definition"}
    assert cards["MONDO:13/definition"].drop_reason == "left_out_term"


def test_animals_diseases_make_no_cards(cards: dict[str, Record]) -> None:
    assert not [card for card in cards if card.startswith("MONDO:15")]


def test_every_card_says_what_an_independent_reading_of_the_source_says(
    folder: Path, cards: dict[str, Record]
) -> None:
    source = Source(folder)
    for card in cards.values():
        source.check(card)


@has_real_files
@pytest.mark.slow
def test_sixty_random_cards_say_what_the_real_source_says() -> None:
    cards, source = real_cards(), real_source()
    for card in random.Random(14).sample(cards, 60):
        source.check(card)


@has_real_files
@pytest.mark.slow
def test_the_real_deck_is_what_a_student_may_meet() -> None:
    cards = real_cards()
    assert 2300 <= len(cards) <= 2450
    assert [card.question for card in cards[:3] if "gout" in (card.question or "")]
    free_text = [card for card in cards if card.kind.endswith("definition")]
    assert len(free_text) > len(cards) / 2
    assert len({card.id for card in cards}) == len(cards)


@has_real_files
@pytest.mark.slow
def test_listed_names_are_names_of_the_ontologies() -> None:
    source = real_source()
    known = {name.lower() for term in source.mondo.values() for name in names_of(term)}
    assert [name for name in lines_of_list("common_diseases") if name.lower() not in known] == []
    findings = {finding["name"] for finding in source.findings.values()}
    assert [name for name in lines_of_list("common_findings") if name not in findings] == []


@cache
def real_cards() -> list[Record]:
    return list(read_ontologies(RAW))


def names_of(term: dict[str, Any]) -> list[str]:
    return [term["label"], *term.get("synonyms", [])]


def words(text: str | None) -> str:
    return " ".join(
        re.findall(r"\w+", re.sub(r"\[[^]]*\]|\{[^}]*\}|\bnn\b", " ", text or "").lower())
    )


class Source:
    """Reads the files without the code under test: regular expressions and plain loops."""

    def __init__(self, folder: Path) -> None:
        with pa.input_stream(str(next(folder.glob("MONDO-*"))), compression="zstd") as stream:
            self.mondo: dict[str, dict[str, Any]] = json.loads(stream.read())
        self.findings: dict[str, dict[str, str]] = {}
        for block in (folder / "hp.obo").read_text().split("\n[Term]\n")[1:]:
            fields = dict(re.findall(r"^(\w+): (.*)$", block, re.MULTILINE))
            self.findings[fields["id"]] = fields
        lines = (folder / "phenotype.hpoa").read_text().splitlines()
        self.annotations = [line.split("\t") for line in lines if not line.startswith("#")][1:]

    def check(self, card: Record) -> None:
        term_id, what = card.id.split("/")
        if what in ("definition", "symptoms"):
            mondo, finding = self.mondo.get(term_id), self.findings.get(term_id)
            source = mondo["description"] if mondo else (finding or {})["def"]
            for sentence in re.split(r"(?<=[.!?]) (?=[A-Z])", card.answer or ""):
                assert words(sentence) in words(source), card
        else:
            self.check_features(card, term_id)

    def check_features(self, card: Record, term_id: str) -> None:
        names = {name.lower() for name in names_of(self.mondo[term_id])}
        counted: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        said: dict[str, float] = defaultdict(float)
        for _, name, qualifier, finding, _, evidence, _, frequency, *_ in self.annotations:
            if name.lower() not in names or evidence == "IEA":
                continue
            assert qualifier != "NOT" or self.findings[finding]["name"] not in str(card.facts)
            if match := re.fullmatch(r"(\d+)/(\d+)", frequency):
                counted[finding][0] += int(match[1])
                counted[finding][1] += int(match[2])
            elif match := re.fullmatch(r"([\d.]+)%", frequency):
                said[finding] = max(said[finding], float(match[1]) / 100)
            else:
                said[finding] = max(said[finding], ORPHANET.get(frequency, 0.0))
        for affected, examined in counted.values():
            assert affected <= examined
        shares = said | {
            each: max(said[each], affected / examined)
            for each, (affected, examined) in counted.items()
            if examined >= 3
        }
        by_name = {
            self.findings[each]["name"]: share
            for each, share in shares.items()
            if each in self.findings
        }
        listed_shares = [by_name[fact[0]] for fact in card.facts]
        assert listed_shares == sorted(listed_shares, reverse=True) and listed_shares[-1] >= 0.3
        assert len(card.facts) >= 5


@cache
def real_source() -> Source:
    return Source(RAW)
