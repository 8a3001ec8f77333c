"""The facts of a definition that an answer can be marked by: the classes that it names."""

from collections.abc import Iterable, Sequence

Facts = tuple[tuple[str, ...], ...]  # of a card, each with its accepted wordings


def named_classes(definition: str, classes: Iterable[tuple[str, Sequence[str]]]) -> Facts:
    """Returns the wordings of `classes`, pairs of a name and its synonyms.

    There are none if the definition itself names no class.

    >>> named_classes("A tumor of the lung.", [("neoplasm", ["tumor"]), ("cyst", [])])
    (('neoplasm', 'tumor'), ('cyst',))
    """
    wordings = tuple(tuple(dict.fromkeys((name, *synonyms))) for name, synonyms in classes)
    text = definition.lower()
    return wordings if any(word.lower() in text for words in wordings for word in words) else ()
