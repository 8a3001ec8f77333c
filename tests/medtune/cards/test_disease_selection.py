from collections import Counter

import pytest

from medtune.cards.disease_selection import (
    HEREDITARY,
    MAX_TOPIC,
    NEOPLASM,
    find_topics,
    names_of_all,
    select_diseases,
)
from medtune.cards.mondo_file import MondoDisease


def disease(
    number: int, label: str, definition: str = "", synonyms: tuple[str, ...] = (), **ancestors: int
) -> MondoDisease:
    return MondoDisease(f"M:{number}", label, definition, synonyms, ancestors)


def select(
    *diseases: MondoDisease, mentions: dict[str, int], features: tuple[str, ...] = ()
) -> list:
    by_id = {each.id: each for each in diseases}
    return [
        known.name for known in select_diseases(by_id, Counter(mentions), set(features)).values()
    ]


def test_listed_diseases_come_first_under_the_name_that_students_know() -> None:
    diseases = (
        disease(1, "furuncle"),
        disease(2, "gout"),
        disease(3, "migraine disorder", "", ("migraine",)),
    )
    assert select(*diseases, mentions={"furuncle": 9}) == ["gout", "migraine", "furuncle"]


@pytest.mark.parametrize(
    "label",
    [
        *("gout type", "gout 7", "gout due to lead", "BRCA2-gout", "familial gout", "gout, acute"),
        *("stomach disorder", "acute gout of old men", "gout-goitre-glaucoma"),
    ],
)
def test_names_for_specialists_are_left_out(label: str) -> None:
    assert select(disease(1, label), mentions={label.lower(): 9}) == []


def test_other_diseases_are_mentioned_elsewhere() -> None:
    own = disease(1, "furuncle", "A furuncle is a boil.")
    assert select(own, mentions={"furuncle": 1}) == []
    assert select(own, mentions={"furuncle": 2}) == ["furuncle"]


def test_hereditary_diseases_need_known_features() -> None:
    inherited = MondoDisease("M:1", "Noname syndrome", "", (), {HEREDITARY: 2})
    mentions = {"noname syndrome": 3}
    assert select(inherited, mentions=mentions) == []
    assert select(inherited, mentions=mentions, features=("M:1",)) == ["Noname syndrome"]


def test_tumours_are_left_out_unless_every_student_knows_them() -> None:
    tumours = [
        MondoDisease(f"M:{n}", name, "", (), {NEOPLASM: 1})
        for n, name in enumerate(("lipoma", "zzoma"))
    ]
    assert select(*tumours, mentions={"lipoma": 9, "zzoma": 9}) == ["lipoma"]


def test_a_synonym_of_two_diseases_names_neither() -> None:
    one = disease(1, "one", "", ("both", "first"))
    two = disease(2, "two", "", ("both", "ONE"))
    assert names_of_all({"M:1": one, "M:2": two}) == {"one": "M:1", "first": "M:1", "two": "M:2"}


def test_related_diseases_share_a_topic_and_no_topic_is_large() -> None:
    parent = MondoDisease("M:1", "asthma", "", (), {"M:9": 1})
    child = MondoDisease("M:2", "cold asthma", "", (), {"M:1": 1, "M:9": 2, "M:8": 1})
    others = [MondoDisease(f"M:1{n:02}", f"x{n}", "", (), {"M:9": 1}) for n in range(MAX_TOPIC)]
    diseases = {each.id: each for each in (parent, child, *others)}
    diseases |= {f"M:{n}": disease(n, f"class {n}") for n in (8, 9)}
    topics = find_topics([parent, child, *others], diseases)
    assert topics["M:1"] == topics["M:2"] == "asthma"
    assert max(Counter(topics.values()).values()) <= MAX_TOPIC
    few = find_topics([parent, child, *others[:3]], diseases)
    assert set(few.values()) == {"class 9"}
