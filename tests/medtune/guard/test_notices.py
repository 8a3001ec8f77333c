"""Each kind of emergency has its own text, with the numbers of a region."""

import pytest

from medtune.guard.notices import (
    Call,
    caution,
    check_region,
    is_fixed,
    language_of,
    notice,
    off_topic,
    regions,
    support,
)
from medtune.guard.rules import load
from medtune.runtime.errors import InputError

KINDS = list(dict.fromkeys(kind.name for kind in load("emergency").kinds))


def test_each_kind_of_the_rules_has_its_own_text() -> None:
    notices = [notice(kind) for kind in KINDS]
    assert len({each.title for each in notices}) == len({each.text for each in notices}) == 14
    for each in notices:
        assert "your local emergency number" in each.text
        assert each.calls == (Call("Call 112 (works on most mobile phones)", "112"),)


def test_a_heart_attack_says_nothing_of_self_harm() -> None:
    assert "harm" not in notice("heart").plain
    assert "findahelpline.com" in notice("self_harm").plain


def test_a_region_has_its_numbers() -> None:
    asked = notice("self_harm", "US")
    assert asked.calls == (Call("Call 911", "911"), Call("Call the 988 Lifeline", "988"))
    assert "call 911 now" in asked.text and "call the 988 Lifeline. " in asked.text
    assert notice("poisoning", "AT").calls[1].number == "014064343"
    assert notice("poisoning", "DE").calls == (Call("Call 112", "112"),)  # has no single centre
    assert notice("poisoning", "GB").calls[1] == Call("Call NHS 111", "111")
    assert "call NHS 111 at once" in notice("poisoning", "GB").text
    assert "01 809 2166 (8 to 22 h; otherwise call 112)" in notice("poisoning", "IE").text
    assert "call 3114, or call 112" in support("FR")
    assert notice("self_harm", "NZ").calls[1].label == "Call 1737"
    assert "999" in support("GB") and "Samaritans" in support("GB")


@pytest.mark.parametrize("region", regions())
@pytest.mark.parametrize("kind", KINDS)
def test_a_notice_is_one_paragraph_and_known_as_fixed(kind: str, region: str) -> None:
    for language in (None, "es", "fr", "de", "zh"):
        plain = notice(kind, region, language).plain
        assert "\n" not in plain and "{" not in plain and is_fixed(plain)
    assert is_fixed(support(region)) and is_fixed(caution())


def test_words_of_a_model_are_not_fixed() -> None:
    assert not is_fixed("Gout is a disease of the joints.")
    assert not is_fixed("This may be a stroke.")
    assert is_fixed(off_topic("warn")) and not is_fixed(f"{off_topic('warn')} It is gout.")


def test_an_unknown_region_is_one_clear_line() -> None:
    check_region(None)
    check_region("DE")
    for region in ("XX", "none"):
        message = f"no numbers for the region {region}: choose from US, CA"
        with pytest.raises(InputError, match=message):
            check_region(region)


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("Me duele el pecho y no puedo respirar", "es"),
        ("J'ai mal à la poitrine et je ne respire plus", "fr"),
        ("Ich bekomme keine Luft und mir ist schlecht", "de"),
        ("我不想活了", "zh"),
        ("My chest hurts and I can't breathe", None),
        ("i want to die in my bed", None),
        ("I'm scared, I'm going to kill myself", None),
        ("No one would miss me", None),
        ("No, no, me, me", None),
        ("No quiero vivir más", "es"),
    ],
)
def test_a_notice_has_a_sentence_in_the_language_of_the_question(
    question: str, language: str | None
) -> None:
    assert language_of(question) == language
    assert (notice("heart", None, language).text != notice("heart").text) is bool(language)
