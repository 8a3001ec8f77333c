"""Mends the definitions of ontologies: whole sentences without references, notes and leftovers."""

import re

MIN_WORDS = 10
MAX_WORDS = 40
FEW_WORDS = 12  # a shorter first sentence is followed by the second

REPAIRS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?<=[.!?])n{1,2}(?=[A-Z])", " "),  # line breaks that lost their backslash
        (r"\s*\[[^][]*\]", ""),  # [NCBITaxon:29459]
        (r"\s*\{[^{}]*\}", ""),  # {1:Heon et al., 2016}
        (r"\s*\((?:[^()]*\b(?:et al|edition|ed|DSM|ICD|OMIM|MIM|MeSH|PMID|WHO|NCI|NIH|see|See|From"
         r"|from|Dorland|Stedman)\b[^()]*)\)", ""),
        (r"\s*\([\s,;]*\)", ""),
        (r"``|''", '"'),
        (r"(?<=[a-z)])\.(?=[A-Z][a-z])", ". "),  # no space after a full stop
        (r"\s+([,.;:)])", r"\1"),
        (r"\s+", " "),
    )
]  # fmt: skip
SHOUTED = re.compile(r"\b[A-Z]{4,}(?: [A-Z]{2,})+\b")  # MeSH writes its terms in capitals
# A full stop, unless an abbreviation or a genus ("S. aureus") comes before it.
END = re.compile(
    r"(?<=[.!?])(?<!\b[A-Z]\.)(?<!e\.g\.)(?<!i\.e\.)(?<!vs\.)(?<!cf\.)(?<!Dr\.)(?<!St\.)(?<!approx\.)"
    r"(?<!incl\.)(?<!spp\.)(?<!etc\.)\s+(?=[A-Z\"(])"
)
# Notes, references, remarks about the ontology or about names: no part of a definition.
REMARK = re.compile(
    r"^(?:notes?|see|for|comments?|compare|this (?:term|category|class|entity|group)|use|also)\b"
    r"|https?:|www\.|\bet al\b|\b(?:OMIM|MIM|PMID|MONDO|ICD|NCBI\w*|ORPHA\w*)\b|[{}\[\]|<>_]"
    r"|\bsee (?:also )?\w|\bformerly\b|\bobsolete\b|\bnot otherwise specified\b",
    re.IGNORECASE,
)
ANIMALS = re.compile(
    r"\b(?:in|of|affects|affecting|between) (?:the )?(?:animals|dogs?|cats?|cattle|cows|horses|pigs"
    r"|swine|sheep|goats|birds|chickens|poultry|rabbits|fish|mice|rats|rodents|ruminants|monkeys"
    r"|laboratory)\b"
)


def split_sentences(text: str) -> list[str]:
    """Returns the mended sentences of a definition that say something about it."""
    for pattern, replacement in REPAIRS:
        text = pattern.sub(replacement, text)
    text = SHOUTED.sub(lambda match: match[0].lower(), text)
    return [_finish(part) for part in END.split(text.strip()) if part and not REMARK.search(part)]


def define(text: str) -> str | None:
    """Returns the first sentence, with the second if that is short, or None if it is no use.

    Not of use are definitions of animals' diseases and those with fewer words than MIN_WORDS or
    more than MAX_WORDS.
    """
    sentences = split_sentences(text)
    if not sentences or ANIMALS.search(text):
        return None
    words = [len(sentence.split()) for sentence in sentences[:2]]
    take = 2 if words[0] < FEW_WORDS and sum(words) <= MAX_WORDS else 1
    return " ".join(sentences[:take]) if MIN_WORDS <= sum(words[:take]) <= MAX_WORDS else None


def _finish(sentence: str) -> str:
    sentence = sentence.strip(" ,;:")
    sentence = sentence[:1].upper() + sentence[1:]
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
