"""Cards about diseases: definitions, symptoms and classes from MONDO, features from the HPO."""

import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from medtune.cards.familiarity import Capitals, count_mentions, is_left_out, listed
from medtune.cards.hpo_features import typical_features
from medtune.cards.hpo_files import Annotation, Term, read_annotations
from medtune.cards.mondo_file import Disease
from medtune.cards.records import FactType, Record
from medtune.cards.sentences import MAX_WORDS, MIN_WORDS, define, split_sentences

QUESTIONS = {
    "disease definition": (
        "What is {name}?",
        "Define {name}.",
        "What does the term {name} mean?",
        "How is {name} defined?",
    ),
    "symptoms": (
        "What are the symptoms of {name}?",
        "How does {name} present?",
        "What are the signs and symptoms of {name}?",
    ),
    "class": (
        "What kind of disease is {name}?",
        "To which class of diseases does {name} belong?",
        "How is {name} classified?",
    ),
    "features": (
        "Which findings are typical of {name}?",
        "What do most patients with {name} have?",
        "Which features should make you think of {name}?",
    ),
}
LEFT_OUT = "left_out_term"
HEREDITARY = "MONDO:0003847"
MAX_CLASSES = 3
MAX_TOPIC = 40  # diseases of the deck in one topic
MAX_WORDS_OF_NAME = 3
# A name that only a specialist knows: numbered, combined, of a cause, of a whole group.
SPECIALIST = re.compile(
    r"\d|[,/(;]|-.*-|due to|related|associated|susceptib|\b(?:type|form|with|without)\b|familial"
    r"|congenital|hereditary|inherited|autosomal|-linked"
    r"|\b[a-z]\S* (?:disease|disorder|neoplasm|tumor|cancer)$"
)
GENE = re.compile(r"\b[A-Z]+\d|\b[A-Z0-9]{3,}-")
# Definitions made by rule: "Any X in which …", "A carcinoma that arises from the Y."
BY_RULE = re.compile(
    r"^Any |in which the cause of|material basis|caused by (?:a )?(?:variation|mutation)s? in"
    r"|(?:disease|disorder|neoplasm|cancer|polyp|carcinoma|tumou?r|sarcoma|lymphoma|oma|itis)s?"
    r"(?: \(disease\))?,? (?:that |which )?(?:involv|aris|affect|locat|occur|originat)\w*"
    r"[^.,;]{0,70}\.$"
)
# Parents that say nothing about a disease, and groupings by inheritance.
VAGUE = re.compile(
    r"^(?:human )?disease$|^disease (?:by|of) |^(?:syndromic|rare|acute|hereditary|idiopathic"
    r"|inherited|genetic|inflammatory|chromosomal) (?:disease|disorder)$|autosomal|linked|-related"
    r"|^disorder of development|^developmental defect|^multiple congenital|^cancer or benign"
    r"|^neoplastic disease|^non-|^otherwise|\bor\b|/"
)
SYMPTOMS = re.compile(
    r"^(?!These|Other|Some other|Additional|Associated|Although)(?:.*\b(?:symptoms|signs|features"
    r"|manifestations)\b(?: are|.{0,40}\b(?:include|consist|range)\b)|It is marked by"
    r"|.*\bpresents? (?:\w+ )?(?:with|as)\b|.*\bmanifests? (?:\w+ )?(?:with|as)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Known:
    """A disease of the deck under the name that a student would use."""

    disease: Disease
    name: str
    topic: str = ""


def select_diseases(
    diseases: Mapping[str, Disease], texts: Iterable[str], features: Iterable[str]
) -> dict[str, Known]:
    """Returns the diseases that a student may meet, the listed ones first, then the most mentioned.

    A disease that is not in names/common_diseases.txt needs a plain name, must not be hereditary,
    and must be mentioned in another definition; known `features` make up for being hereditary.
    """
    by_name = names_of_all(diseases)
    known = {
        by_name[name.lower()]: name for name in listed("common_diseases") if name.lower() in by_name
    }
    mentions = count_mentions((disease.label for disease in diseases.values()), texts)
    with_features = set(features)
    others = [
        disease
        for disease in diseases.values()
        if disease.id not in known
        and _is_plain(disease)
        and (HEREDITARY not in disease.ancestors or disease.id in with_features)
        and mentions[disease.label.lower()] > _names_itself(disease)
    ]
    others.sort(key=lambda disease: (-mentions[disease.label.lower()], disease.id))
    known |= {disease.id: disease.label for disease in others}
    topics = find_topics([diseases[each] for each in known], diseases)
    return {each: Known(diseases[each], name, topics[each]) for each, name in known.items()}


def names_of_all(diseases: Mapping[str, Disease]) -> dict[str, str]:
    """Maps each label and each synonym of a single disease, in lower case, to the disease's id."""
    synonyms: dict[str, set[str]] = defaultdict(set)
    for disease in diseases.values():
        for synonym in disease.synonyms:
            synonyms[synonym.lower()].add(disease.id)
    names = {name: next(iter(ids)) for name, ids in synonyms.items() if len(ids) == 1}
    return names | {disease.label.lower(): disease.id for disease in diseases.values()}


def _is_plain(disease: Disease) -> bool:
    words = disease.label.split()
    return (
        not SPECIALIST.search(disease.label)
        and not GENE.search(disease.label)
        and (len(words) <= MAX_WORDS_OF_NAME)
    )


def _names_itself(disease: Disease) -> bool:
    return disease.label.lower() in disease.definition.lower()


def find_topics(deck: list[Disease], diseases: Mapping[str, Disease]) -> dict[str, str]:
    """Returns the topic of each disease: its largest class with at most MAX_TOPIC of the deck."""
    sizes = Counter(each for disease in deck for each in (disease.id, *disease.ancestors))
    topics = {}
    for disease in deck:
        classes = [each for each in (disease.id, *disease.ancestors) if each in diseases]
        classes = [each for each in classes if sizes[each] <= MAX_TOPIC]
        largest = min(classes, key=lambda each: (-sizes[each], each), default=disease.id)
        topics[disease.id] = diseases[largest].label.lower()
    return topics


class DiseaseCards:
    """Makes the cards of each disease."""

    def __init__(
        self,
        diseases: Mapping[str, Disease],
        findings: Mapping[str, Term],
        capitals: Capitals,
        sources: tuple[str, str],
    ) -> None:
        self.diseases, self.findings, self.capitals = diseases, findings, capitals
        self.mondo, self.hpo = sources
        self.sizes = Counter(each for disease in diseases.values() for each in disease.ancestors)

    def cards(self, known: Known, features: list[str]) -> Iterator[Record]:
        sentences = split_sentences(known.disease.definition)
        definition = define(known.disease.definition)
        if definition and not BY_RULE.search(definition):
            facts = self._named_classes(known.disease, definition)
            yield self._card(
                known, "disease definition", definition, "named" if facts else "", facts
            )
        for sentence in sentences:
            if (
                sentence in (definition or "")
                or not MIN_WORDS <= len(sentence.split()) <= MAX_WORDS
            ):
                continue
            if SYMPTOMS.search(sentence):
                yield self._card(known, "symptoms", sentence)
                break
        parents = self._classes(known.disease)
        if 1 <= len(parents) <= MAX_CLASSES and not self._is_in_name(parents, known):
            answer = f"{_sentence_case(_joined([parent.label for parent in parents]))}."
            yield self._card(known, "class", answer, "equal", _wordings(parents))
        if features:
            terms = [self.findings[each] for each in features]
            names = [self.capitals.lower_first(term.name) for term in terms]
            facts = tuple((term.name, *term.synonyms) for term in terms)
            yield self._card(
                known, "features", f"{_sentence_case(_joined(names))}.", "list", facts, self.hpo
            )

    def _classes(self, disease: Disease) -> list[Disease]:
        """Returns the parents that say something, the most specific first."""
        parents = [self.diseases[each] for each in disease.parents if each in self.diseases]
        told = [parent for parent in parents if not VAGUE.search(parent.label)]
        return sorted(told, key=lambda parent: (self.sizes[parent.id], parent.id))

    def _named_classes(self, disease: Disease, text: str) -> tuple[tuple[str, ...], ...]:
        """Returns the wordings of the classes if the definition itself names one of them."""
        wordings = _wordings(self._classes(disease))
        named = any(word.lower() in text.lower() for words in wordings for word in words)
        return wordings if named else ()

    def _is_in_name(self, parents: list[Disease], known: Known) -> bool:
        name = set(known.name.lower().split())
        return any(set(parent.label.lower().split()) <= name for parent in parents)

    def _card(
        self,
        known: Known,
        kind: str,
        answer: str,
        fact_type: FactType = "",
        facts: tuple[tuple[str, ...], ...] = (),
        source: str | None = None,
    ) -> Record:
        choices = QUESTIONS[kind]
        wording = choices[zlib.crc32(f"{known.disease.id}{kind}".encode()) % len(choices)]
        return Record(
            id=f"{known.disease.id}/{kind.split()[-1]}",
            question=wording.format(name=known.name),
            answer=answer,
            kind=kind,
            topic=known.topic,
            source=source or self.mondo,
            fact_type=fact_type,
            facts=facts,
            drop_reason=LEFT_OUT if is_left_out(known.name, answer) else "",
        )


def features_by_disease(
    path: Path, diseases: Mapping[str, Disease], findings: Mapping[str, Term]
) -> dict[str, list[str]]:
    """Returns the typical findings of each disease of MONDO whose name the annotations use."""
    by_name = names_of_all(diseases)
    annotations: dict[str, list[Annotation]] = defaultdict(list)
    for annotation in read_annotations(path):
        disease_id = by_name.get(annotation.disease.lower())
        if disease_id and annotation.finding in findings:
            annotations[disease_id].append(annotation)
    features = {each: typical_features(rows) for each, rows in sorted(annotations.items())}
    return {each: found for each, found in features.items() if found}


def _wordings(classes: list[Disease]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(dict.fromkeys((each.label, *each.synonyms))) for each in classes)


def _joined(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]
