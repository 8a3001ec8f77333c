"""Cards about clinical findings: definitions from the Human Phenotype Ontology."""

import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from medtune.cards.accepted_wordings import Named, classes_if_named
from medtune.cards.familiarity import Capitals, is_left_out, lines_of_list
from medtune.cards.hpo_files import Term, find_branches
from medtune.cards.records import LEFT_OUT_TERM, Record
from medtune.cards.sentences import define

QUESTIONS = (
    "What is {name}?",
    "What is meant by {name}?",
    "Explain the finding {name}.",
    "What does {name} mean?",
)
KIND = "finding definition"
MAX_NAME_WORDS = 3
WORD = re.compile(r"\w+")
STEM = 5  # letters that words of one family share: pupil, pupillary
# A name that describes itself or is a measurement.
DESCRIPTION = re.compile(
    r"^(?:abnormal|increased|decreased|reduced|elevated|absent|aplasia|hypoplasia|small|large|broad"
    r"|wide|narrow|thin|thick|long|short|bilateral|unilateral|multiple|recurrent|chronic|acute)"
    r"|\d|[/(,]|\b(?:level|concentration|activity|count|abnormality|morphology)\b",
    re.IGNORECASE,
)


def finding_cards(
    findings: Mapping[str, Term],
    mentions: Counter[str],
    names_of_diseases: Collection[str],
    capitals: Capitals,
    source: str,
) -> Iterator[Record]:
    """Yields a card for each finding that a student may meet, the listed ones first.

    Other findings need a lay synonym or a mention in another definition. Findings that are diseases
    of the deck too are left to those. A finding whose definition repeats its name gets no card.
    """
    order = {name: place for place, name in enumerate(lines_of_list("common_findings"))}
    topics = find_branches(findings)
    chosen = [
        term
        for term in findings.values()
        if term.id in topics
        and (term.name in order or _is_plain(term, mentions[term.name.lower()]))
        and term.names.isdisjoint(names_of_diseases)
    ]
    last = len(order)
    chosen.sort(key=lambda t: (order.get(t.name, last), -mentions[t.name.lower()], t.id))
    for term in chosen:
        answer = define(term.definition)
        if answer is None or repeats_name(answer, term.name):
            continue
        name = capitals.lower_first(term.name)
        wording = QUESTIONS[zlib.crc32(term.id.encode()) % len(QUESTIONS)]
        facts = classes_if_named(answer, _classes(term, findings))
        yield Record(
            id=f"{term.id}/definition",
            question=wording.format(name=name),
            answer=answer,
            kind=KIND,
            topic=topics[term.id],
            source=source,
            fact_type="named" if facts else "",
            facts=facts,
            drop_reason=LEFT_OUT_TERM if is_left_out(name, answer) else "",
        )


def _is_plain(term: Term, mentions: int) -> bool:
    if DESCRIPTION.search(term.name) or len(term.name.split()) > MAX_NAME_WORDS:
        return False
    lay = any(word.lower() != term.name.lower() for word in term.lay)
    return lay or mentions > (term.name.lower() in term.definition.lower())


def repeats_name(definition: str, name: str) -> bool:
    """Returns whether the definition has most words of the name, by their beginnings."""
    begun = {word[:STEM] for word in WORD.findall(definition.lower())}
    words = [word[:STEM] for word in WORD.findall(name.lower())]
    return 2 * sum(word in begun for word in words) > len(words)


def _classes(term: Term, findings: Mapping[str, Term]) -> Iterator[Named]:
    """Yields names and synonyms of the parents that say what is abnormal."""
    for parent in (findings[each] for each in term.parents if each in findings):
        if not parent.name.startswith("Abnormal"):
            yield parent.name, parent.synonyms
