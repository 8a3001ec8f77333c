import pytest
from rouge_score.rouge_scorer import RougeScorer

from medtune.baselines.fill_in import FillInRule, NamedCard, Reference, choose_rule, evenly_spaced
from medtune.scoring.word_splitting import UnicodeTokenizer

ORGANS = ("heart", "liver", "kidney", "lung", "skin", "eye")


def inheritance(name: str, mode: str) -> NamedCard:
    return NamedCard(f"{name} is inherited in an autosomal {mode} manner.", name)


def test_the_commonest_answer_gets_the_asked_name() -> None:
    training = [inheritance(f"Disease {n}", "dominant") for n in range(8)]
    training += [inheritance(f"Disease {n}", "recessive") for n in range(8, 10)]
    rule = choose_rule(training, [inheritance("Gout", "dominant")], use_stemmer=True)
    assert rule.answer("Asthma") == "Asthma is inherited in an autosomal dominant manner."


def test_a_frequent_beginning_is_joined_with_the_name() -> None:
    training = [
        NamedCard(f"A disease characterized by a damaged {organ} {n}.", f"{organ} damage {n}")
        for n, organ in enumerate(ORGANS)
    ]
    rule = choose_rule(training, training, use_stemmer=False)
    assert "a disease characterized by a damaged" in rule.sentence.lower()
    assert "{name}" in rule.sentence


def test_validation_cards_decide_between_the_best() -> None:
    training = [
        inheritance(f"Disease {n}", mode) for n in range(6) for mode in ("dominant", "recessive")
    ]
    for mode in ("dominant", "recessive"):
        rule = choose_rule(training, [inheritance("Gout", mode)] * 3, use_stemmer=True)
        assert mode in rule.sentence


def test_a_question_without_a_name_gets_an_answer_without_a_slot() -> None:
    training = [NamedCard("See a doctor soon.", None)] * 3 + [NamedCard("Gout is rare.", "Gout")]
    rule = choose_rule(training, [], use_stemmer=True)
    assert rule.answer(None) == "See a doctor soon."
    nameless = choose_rule(training[:3], [], use_stemmer=True)
    assert nameless == FillInRule("See a doctor soon.", "See a doctor soon.")


@pytest.mark.parametrize("use_stemmer", [True, False])
def test_the_fast_rouge_l_equals_rouge_score(use_stemmer: bool) -> None:
    texts = [
        "A rare disease of the joints.",
        "Joint diseases are rare",
        "of of the the",
        "gout",
        "",
    ]
    tokenize = UnicodeTokenizer(use_stemmer).tokenize
    scorer = RougeScorer(["rougeL"], use_stemmer=use_stemmer)
    for reference in texts:
        for prediction in texts:
            expected = scorer.score(reference, prediction)["rougeL"].fmeasure
            found = Reference(tokenize(reference)).rouge_l(tokenize(prediction))
            assert found == pytest.approx(expected)


def test_a_sample_is_spread_evenly_and_never_too_large() -> None:
    assert evenly_spaced(range(10), 4) == range(0, 10, 3)
    assert list(evenly_spaced(range(3), 4)) == [0, 1, 2]
    assert evenly_spaced([], 4) == []
