import pytest

from medtune.content.content_words import stems
from medtune.content.fact_marks import CardFacts, Marks, fact_frame, mark

CLASSES = CardFacts("equal", [["metabolic disease", "disorder of metabolism"], ["arthritis"]])
FINDINGS = CardFacts(
    "list", [["Fever", "pyrexia"], ["Delayed speech and language"], ["Seizure, mild"], ["Rash"]]
)
GOUT = "What kind of disease is gout?"


@pytest.mark.parametrize(
    "answer",
    [
        "Metabolic disease",
        "METABOLIC DISEASES.",
        "A disorder of metabolism",
        "Gout is a kind of metabolic disease.",
        "an arthritis",
        "Arthritis and metabolic disease.",
    ],
)
def test_an_answer_that_equals_a_wording_is_right(answer: str) -> None:
    assert mark(answer, GOUT, CLASSES) == Marks(1.0)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "Gout is a disease.",
        "Inherited metabolic disease",
        "Metabolic disease, cancer",
        "Metabolic disease or cancer",
        "It is not an arthritis.",
        "Metabolic",
    ],
)
def test_an_answer_that_says_anything_else_is_wrong(answer: str) -> None:
    assert mark(answer, GOUT, CLASSES) == Marks(0.0)


def test_the_frame_of_a_kind_does_not_make_an_answer_wrong() -> None:
    card, answer = CardFacts("equal", [["dominant"]]), "Gout follows a dominant pattern."
    assert mark(answer, "How is gout inherited?", card).right == 0
    frame = fact_frame(frozenset(stems("follows pattern dominant")), ["dominant", "recessive"])
    assert mark(answer, "How is gout inherited?", card, frame).right == 1


def test_a_frame_never_hides_the_other_possible_facts() -> None:
    frame = fact_frame(frozenset(stems("follows dominant recessive")), ["dominant", "recessive"])
    assert frame == {"follow"}
    card = CardFacts("equal", [["dominant"]])
    assert mark("Follows a dominant or recessive one.", "", card, frame).right == 0


def test_a_list_gets_precision_and_recall() -> None:
    # Right: fever, rash. Wrong: cough. Not named: speech, seizure.
    marks = mark("Rash, fever, pyrexia and cough", "", FINDINGS)
    assert marks == Marks(right=pytest.approx(2 * 2 / 7), precision=2 / 3, recall=2 / 4)


def test_a_fact_may_hold_what_separates_facts() -> None:
    marks = mark("Delayed speech and language; seizure, mild, and fever.", "", FINDINGS)
    assert (marks.precision, marks.recall) == (1, 3 / 4)
    assert mark("Seizure and a cough, mild", "", FINDINGS).right == 0


def test_an_inverted_wording_also_counts_as_it_reads_in_a_sentence() -> None:
    assert mark("Fever and mild seizures", "", FINDINGS).precision == 1
    assert mark("Mild but never a seizure", "", FINDINGS).right == 0


def test_repeating_a_list_changes_nothing() -> None:
    once, often = (mark("Fever, cough, " * n, "", FINDINGS) for n in (1, 9))
    assert once == often


def test_an_empty_list_has_no_precision_to_win() -> None:
    assert mark("", "", FINDINGS) == Marks(0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("Gout is an arthritis that hurts.", 1.0),
        ("It is one of the metabolic diseases.", 1.0),
        ("A metabolic but curable disease", 0.0),
        ("Osteoarthritis", 0.0),
        ("It is not an arthritis.", 0.0),
        ("It isn't considered an arthritis.", 0.0),
        ("It has no cure. Arthritis is what it is.", 1.0),
    ],
)
def test_a_named_fact_stands_in_the_answer_as_whole_words(answer: str, right: float) -> None:
    assert mark(answer, GOUT, CardFacts("named", CLASSES.facts)) == Marks(right)


@pytest.mark.parametrize("fact_type", ["equal", "list", "named"])
def test_a_fact_that_stands_in_the_question_proves_nothing(fact_type: str) -> None:
    question, asked = "What is acute arthritis?", ["joint inflammation", "arthritis"]
    card = CardFacts(fact_type, [asked, ["disease of the joints"]])
    assert mark("Acute arthritis.", question, card).right == 0
    assert mark("A disease of the joints", question, card).right == 1, "the only fact left"
    assert mark("Arthritis", question, CardFacts(fact_type, [asked])) == Marks()


def test_a_card_without_facts_is_not_marked() -> None:
    assert mark("Fever", "", CardFacts("", [])) == mark("", "", CardFacts("list", [])) == Marks()


def test_facts_in_a_script_without_spaces_are_found_and_lists_are_cut_at_their_own_commas() -> None:
    card = CardFacts("list", [["发热"], ["头痛"], ["咳嗽"]])
    assert mark("发热、头痛，皮疹。", "什么是流感？", card) == Marks(2 / 3, 2 / 3, 2 / 3)
    assert mark("流感会引起头痛。", "", CardFacts("named", card.facts)).right == 1
    assert mark("头会痛。", "", CardFacts("named", card.facts)).right == 0
