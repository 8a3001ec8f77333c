import time

import pytest

from medtune.scoring.quantities import quantities, unsupported


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,000", "1000.0"),
        ("0.5 %", ".50 percent"),
        ("1/10,000", "1 in 10\u202f000"),
        ("1:10", "1 out of 10"),
        ("5 mg", "5mg"),
        ("5 µg", "5 mcg"),
        ("5 mg/kg/day", "5 milligrams per kg per day"),
        ("20-year-old", "20 years"),
        ("10-12 months", "10 to 12 mo"),
        ("2.5–5 mg", "2.5 mg, 5 mg"),
        ("37 °C", "37°c"),
        ("the 2nd", "the 2 nd"),
    ],
)
def test_one_quantity_in_two_spellings(one: str, other: str) -> None:
    assert set(quantities(one)) == set(quantities(other)) != set()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5 mg", "5 g"),
        ("5 mg", "50 mg"),
        ("5 mg", "5 mg/kg"),
        ("5 mg", "0.5 mg"),
        ("2nd", "2"),
        ("120/80 mmHg", "3/2 mmHg"),
        ("1980s", "1980"),
    ],
)
def test_other_quantities_differ(one: str, other: str) -> None:
    assert set(quantities(one)).isdisjoint(quantities(other))


@pytest.mark.parametrize(
    "text",
    [
        "IL-6, HbA1c, COVID-19, LSL-1 and BRCA1",
        "13q14, 20q11.2, type 2A, version 1.5.2",
        "5-HT, glucose-4-epimerase, 3-kinase, 1,25-dihydroxyvitamin D",
        "1. Ask.\n2) Look.\n (3) Listen.",
        "Grade III, two or twenty, ½",
    ],
)
def test_names_list_numbers_and_words_are_no_quantities(text: str) -> None:
    assert quantities(text) == {}


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("ages 2, 3 and 4 years.", ["2", "3", "4 years"]),
        ("Type 2 hits 20% of 1,000, or 20 %", ["2", "20%", "1,000"]),
        ("It was 20. Then 30.", ["20", "30"]),
        ("It begins\n2 weeks later", ["2 weeks"]),
    ],
)
def test_quantities_are_in_order_as_first_written(text: str, written: list[str]) -> None:
    assert list(quantities(text).values()) == written


@pytest.mark.parametrize(
    ("prediction", "reference", "question", "found"),
    [
        ("5 mg for 10 days", "5 mg", "How long is 10 days?", []),
        ("5 mg", "5 g", "", ["5 mg"]),
        ("Give 5", "5 mg", "", []),
        ("5 mg", "5", "", ["5 mg"]),
        ("12 weeks, 1 in 3", "Twelve weeks, one in three", "", []),
        ("6 and 8, then 6", "7", "8?", ["6"]),
        ("none", "5 mg", "", []),
        ("", "", "", []),
    ],
)
def test_only_what_no_source_says_is_unsupported(
    prediction: str, reference: str, question: str, found: list[str]
) -> None:
    assert unsupported(prediction, reference, question) == found


@pytest.mark.parametrize(
    "text", ["1-" * 20_000, "1" * 20_000 + "a", "1,111" * 5_000, "a-1." * 9_999]
)
def test_long_answers_take_no_time(text: str) -> None:
    start = time.process_time()
    quantities(text)
    assert time.process_time() - start < 2
