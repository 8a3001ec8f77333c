"""The wordings that a card accepts for its facts: the name in the ontology and its synonyms."""

from collections.abc import Iterable, Sequence

from medtune.cards.records import Wordings

Named = tuple[str, Sequence[str]]  # a name and its synonyms


def wordings_of(named: Iterable[Named]) -> Wordings:
    """Returns the wordings of each fact: its name, then its synonyms."""
    return tuple((name, *synonyms) for name, synonyms in named)


def classes_if_named(definition: str, classes: Iterable[Named]) -> Wordings:
    """Returns the wordings of all classes if the definition names one of them, and otherwise none.

    >>> classes = [("neoplasm", ["tumor"]), ("cyst", [])]
    >>> classes_if_named("A tumor of the lung.", classes)
    (('neoplasm', 'tumor'), ('cyst',))
    >>> classes_if_named("A disease of the lung.", classes)
    ()
    """
    wordings = tuple(tuple(dict.fromkeys((name, *synonyms))) for name, synonyms in classes)
    text = definition.lower()
    return wordings if any(word.lower() in text for words in wordings for word in words) else ()
