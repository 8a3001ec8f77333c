"""Chooses the diseases of MONDO that a student may meet, and groups them into topics."""

import re
from collections import Counter, defaultdict
from collections.abc import Container, Mapping
from dataclasses import dataclass

from medtune.cards.familiarity import lines_of_list
from medtune.cards.mondo_file import MondoDisease

HEREDITARY = "MONDO:0003847"
NEOPLASM = "MONDO:0005070"
MAX_TOPIC = 20  # diseases of the deck in one topic
MAX_WORDS_OF_NAME = 3
# A name that only a specialist knows: numbered, combined, of a cause, of a whole group.
SPECIALIST = re.compile(
    r"\d|[,/(;]|-.*-|due to|related|associated|susceptib|\b(?:type|form|with|without)\b|familial"
    r"|congenital|hereditary|inherited|autosomal|-linked"
    r"|\b[a-z]\S* (?:disease|disorder|neoplasm|tumor|cancer)$"
)
GENE = re.compile(r"\b[A-Z]+\d|\b[A-Z0-9]{3,}-")


@dataclass(frozen=True)
class Known:
    """A disease of the deck under the name that a student would use."""

    disease: MondoDisease
    name: str
    topic: str = ""


def select_diseases(
    diseases: Mapping[str, MondoDisease], mentions: Counter[str], with_features: Container[str]
) -> dict[str, Known]:
    """Returns the diseases that a student may meet, the listed ones first, then the most mentioned.

    A disease that is not in names/common_diseases.txt needs a plain name, must be neither a tumour
    (there are hundreds, and only a microscope tells them apart) nor hereditary, and must have
    `mentions` in other definitions; known features make up for being hereditary.
    """
    by_name = names_of_all(diseases)
    known = {
        by_name[name.lower()]: name
        for name in lines_of_list("common_diseases")
        if name.lower() in by_name
    }
    others = [
        disease
        for disease in diseases.values()
        if disease.id not in known
        and _is_plain(disease)
        and NEOPLASM not in disease.ancestors
        and (HEREDITARY not in disease.ancestors or disease.id in with_features)
        and mentions[disease.label.lower()] > _names_itself(disease)
    ]
    others.sort(key=lambda disease: (-mentions[disease.label.lower()], disease.id))
    known |= {disease.id: disease.label for disease in others}
    topics = find_topics([diseases[each] for each in known], diseases)
    return {each: Known(diseases[each], name, topics[each]) for each, name in known.items()}


def names_of_all(diseases: Mapping[str, MondoDisease]) -> dict[str, str]:
    """Maps each label and each synonym of a single disease, in lower case, to the disease's id."""
    synonyms: dict[str, set[str]] = defaultdict(set)
    for disease in diseases.values():
        for synonym in disease.synonyms:
            synonyms[synonym.lower()].add(disease.id)
    names = {name: next(iter(ids)) for name, ids in synonyms.items() if len(ids) == 1}
    return names | {disease.label.lower(): disease.id for disease in diseases.values()}


def _is_plain(disease: MondoDisease) -> bool:
    words = disease.label.split()
    return (
        not SPECIALIST.search(disease.label)
        and not GENE.search(disease.label)
        and (len(words) <= MAX_WORDS_OF_NAME)
    )


def _names_itself(disease: MondoDisease) -> bool:
    return disease.label.lower() in disease.definition.lower()


def find_topics(deck: list[MondoDisease], diseases: Mapping[str, MondoDisease]) -> dict[str, str]:
    """Returns the topic of each disease, so that related diseases share one.

    A disease has the topic of its nearest ancestor in the deck, unless that is broad: has more than
    MAX_TOPIC diseases of the deck below it. Others form a topic with the largest class that isn't.
    """
    sizes = Counter(each for disease in deck for each in (disease.id, *disease.ancestors))
    topics: dict[str, str] = {}
    for disease in sorted(deck, key=lambda disease: (len(disease.ancestors), disease.id)):
        steps = {disease.id: 0, **disease.ancestors}
        classes = [each for each in steps if each in diseases and sizes[each] <= MAX_TOPIC]
        known = [each for each in classes if each in topics]
        if known:
            nearest = min(known, key=lambda each: (steps[each], each))
            topics[disease.id] = topics[nearest]
        else:
            largest = min(classes, key=lambda each: (-sizes[each], each), default=disease.id)
            topics[disease.id] = diseases[largest].label.lower()
    return topics
