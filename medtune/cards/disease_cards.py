"""Cards about diseases: definitions and symptoms from MONDO, features from the HPO."""

import re
import zlib
from collections.abc import Iterator, Mapping

from medtune.cards.accepted_wordings import Named, classes_if_named, wordings_of
from medtune.cards.disease_selection import Known
from medtune.cards.familiarity import Capitals, is_left_out, lines_of_list
from medtune.cards.hpo_files import Term
from medtune.cards.mondo_file import MondoDisease
from medtune.cards.records import LEFT_OUT_TERM, FactType, Record, Wordings
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
    "features": (
        "Which findings are typical of {name}?",
        "What are the typical findings in {name}?",
        "Which features should make you think of {name}?",
    ),
}
# Definitions made by rule: "Any X in which …", "A carcinoma that arises from the Y."
BY_RULE = re.compile(
    r"^Any |in which the cause of|material basis|caused by (?:a )?(?:variation|mutation)s? in"
    r"|(?:disease|disorder|neoplasm|cancer|polyp|carcinoma|tumou?r|sarcoma|lymphoma|oma|itis)s?"
    r"(?: \(disease\))?,? (?:that |which )?(?:involv|aris|affect|locat|occur|originat)\w*"
    r"[^.,;]{0,70}\.$"
)
FRAME = "characterized"  # stands in almost half of the definitions: a rule can copy it
# Parents that say nothing about a disease, and groupings by inheritance.
VAGUE = re.compile(
    r"^(?:human )?disease$|^disease (?:by|of|related) |autosomal|linked|-related|hereditary"
    r"|inherited|familial|^(?:syndromic|rare|acute|idiopathic|genetic|inflammatory|chromosomal)"
    r" (?:disease|disorder)$|^disorder of development|^developmental|^multiple congenital"
    r"|^cancer or benign|^neoplastic disease|^non-|^otherwise|\b(?:and|or)\b|/"
)
SYMPTOMS = re.compile(
    r"^(?!These|Other|Some other|Additional|Associated|Although)(?:.*\b(?:symptoms|signs|features"
    r"|manifestations)\b(?: are|.{0,40}\b(?:include|consist|range)\b)|It is marked by"
    r"|.*\bpresents? (?:\w+ )?(?:with|as)\b|.*\bmanifests? (?:\w+ )?(?:with|as)\b)",
    re.IGNORECASE,
)


class DiseaseCards:
    """Makes the cards of each disease."""

    def __init__(
        self,
        diseases: Mapping[str, MondoDisease],
        findings: Mapping[str, Term],
        capitals: Capitals,
        sources: tuple[str, str],
    ) -> None:
        self.diseases, self.findings, self.capitals = diseases, findings, capitals
        self.mondo, self.hpo = sources

    def cards(self, known: Known, features: list[str]) -> Iterator[Record]:
        """Yields those of the three kinds of card that the sources have an answer for."""
        definition = define(known.disease.definition)
        if definition and not self._could_be_written_by_rule(known, definition):
            classes = classes_if_named(definition, self._classes(known))
            fact_type: FactType = "named" if classes else ""
            yield self._card(known, "disease definition", definition, fact_type, classes)
        if symptoms := find_symptoms(known.disease.definition, definition or ""):
            yield self._card(known, "symptoms", symptoms)
        if features:
            terms = [self.findings[each] for each in features]
            answer = _joined([self.capitals.lower_first(term.name) for term in terms])
            facts = wordings_of((term.name, term.synonyms) for term in terms)
            yield self._card(known, "features", _sentence(answer), "list", facts, self.hpo)

    def _could_be_written_by_rule(self, known: Known, definition: str) -> bool:
        """Returns whether a rule could write the definition, or much of it."""
        framed = FRAME in definition and known.name not in lines_of_list("common_diseases")
        return framed or bool(BY_RULE.search(definition))

    def _classes(self, known: Known) -> Iterator[Named]:
        """Yields the names and synonyms of the classes that say something."""
        parents = (self.diseases[each] for each in known.disease.parents if each in self.diseases)
        for parent in parents:
            if not VAGUE.search(parent.label):
                yield parent.label, parent.synonyms

    def _card(
        self,
        known: Known,
        kind: str,
        answer: str,
        fact_type: FactType = "",
        facts: Wordings = (),
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
            drop_reason=LEFT_OUT_TERM if is_left_out(known.name, answer) else "",
        )


def find_symptoms(text: str, definition: str) -> str | None:
    """Returns the first sentence on symptoms that the definition does not contain."""
    for sentence in split_sentences(text):
        fits = MIN_WORDS <= len(sentence.split()) <= MAX_WORDS
        if fits and sentence not in definition and SYMPTOMS.search(sentence):
            return sentence
    return None


def _joined(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."
