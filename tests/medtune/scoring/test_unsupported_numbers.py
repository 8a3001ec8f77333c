import time

import pytest

from medtune.scoring.unsupported_numbers import quantities, unsupported

SAME = """
5 mg | 5mg
5 mg per day | 5 mg daily
5 mg once daily | 5 mg a day
5 mg/day | 5 mg every day
5 mg/d | 5 mg per day
5 mg/kg/day | 5 milligrams per kg per day
5 mg/kg/day | 5 mg/day/kg
5 mg/kg of body weight | 5 mg/kg
twice daily | 2 times a day
twice a day | two times per day
b.i.d. | twice daily
tid | three times a day
3 times a week | three times weekly
1 dose monthly | one dose per month
140 mm Hg | 140 mmHg
140 millimetres of mercury | 140 mmHg
120/80 mm Hg | 120/80 mmHg
37 degrees | 37 °C
37 degrees Celsius | 37 °C
37° | 37 degrees
98.6 °F | 37 °C
100.4 degrees Fahrenheit | 38°C
type 2 | type II
Type-2 | type II
types I and II | types 1 and 2
type IIa | type 2A
stage III-IV | stage 3 to 4
stage iii | stage 3
factor VIII | factor 8
mucopolysaccharidosis II | mucopolysaccharidosis 2
4th | fourth
the second | 2nd
2,5 mg | 2.5 mg
0,125 mg | 0.125 mg
1,000 | 1000.0
10\u202f000 cells | ten thousand cells
1.5 million | 1,500,000
one hundred and twenty days | 120 days
two hundred | 200
thirty mg | 30 mg
thirty-five mg | 35 mg
twenty-one days | 3 weeks
twelve weeks | 12 weeks
two and a half years | 30 months
half a tablet | 0.5 tablets
2½ tablets | 2.5 tablets
1/2 tablet | half a tablet
1 g | 1000 mg
0.5 mg | 500 µg
500 mcg | 500 μg
5 cc | 5 ml
1 L | 10 dl
5 mg/ml | 5 g/l
90 minutes | 1.5 hours
72 h | 3 days
18 months | 1.5 years
20-year-old | 20 years
by age 20 | by 20 years of age
400 IU | 400 international units
10% | 1 in 10
10 percent | 10 per cent
0.5 % | .50 percent
1:10 | 1 out of 10
1/10,000 | one in ten thousand
5 per 1,000 | 0.5%
half of patients | 50% of patients
two-thirds of cases | 2/3 of cases
a third of the children | 1/3 of the children
one seventh | one in seven
one-fifth the dose | 20% the dose
two fifths | 40%
three quarters | 3/4
three-quarters of cases | three fourths of cases
a tenth of them | 10% of them
one half | 50%
one hundredth | 1%
two eyes | 2 eyes
one sixth nerve | 1 sixth nerve
twenty-one | 21
the twenty-first week | the 21st week
thirty-second | 32nd
q8h | every 8 hours
5 mg qd | 5 mg daily
2 mg b.d. | 2 mg bid
3x a day | three times daily
3 x weekly | three times a week
100 000 people | 100,000 people
1 per 10 000 | 1:10,000
a dozen | 12
5 × 10⁹/L | 5 x 10^9/L
vitamin B₁₂ | vitamin B12
CO₂ | CO2
60 bpm | 60 beats per minute
20 mmol/l | 20 millimoles per litre
10-12 months | 10 to 12 mo
between 2 and 3 days | 2-3 days
2 or 3 weeks | two to three wk
twofold | 2-fold
three-fold | 3 times
1.73 m2 | 1.73 m²
BRCA1 | BRCA-1
IL-6 | IL 6
IL-6-mediated | IL-6
HLA-B27 | B27
HbA1c | hba1c
21-hydroxylase-deficient | 21-hydroxylase deficiency
α1-antitrypsin | alpha-1 antitrypsin
11-beta-hydroxylase | 11β-hydroxylase
four-chambered | 4-chambered
BRCA1-associated | BRCA1
SARS-CoV-2 | SARS-CoV2
每天5毫克 | 5 毫克
５ mg | 5 mg
"""
OTHER = """
5 mg | 5 g
5 mg | 50 mg
5 mg | 0.5 mg
5 mg | 5 mg/kg
5 mg | 5
5 mg | 5 ml
5 µg | 5 mg
5 mg/kg | 5 mg
5 mg/day | 5 mg/week
5 mg daily | 5 mg hourly
5 mg/ml | 5 mg/l
twice daily | three times daily
twice a day | twice a week
thirty mg | 50 mg
thirty mg | thirteen mg
2,5 mg | 25 mg
2.5 mg | 2,55 mg
fifteen days | fifty days
two years | two months
two types | three types
1 g | 100 mg
1 hour | 30 minutes
2 weeks | 10 days
1.5 years | 15 months
1.5 million | 1.5 billion
two hundred | two thousand
10% | 1 in 100
1 in 10 | 1 in 20
50% | 5%
half of patients | a third of patients
two-thirds of cases | one third of cases
one seventh | one sixth
two fifths | two thirds
a tenth of them | a hundredth of them
twenty-one | twenty
the twenty-first week | the twentieth week
q8h | every 6 hours
10⁹ | 10^6
vitamin B₁₂ | vitamin B₆
100 000 | 100
in 2020 000 | in 2020000
two eyes | three eyes
120/80 mmHg | 3/2 mmHg
120/80 mmHg | 80/120 mmHg
140 mmHg | 130 mmHg
140 mmHg | 140 mm
37 °F | 37 °C
100 °F | 38 °C
39 °C | 38 °C
type 2 | type 1
type II | type I
type III | type II
type IIa | type IIb
type 2A | type 2
stage IV | stage III
grade I | grade II
factor VIII | factor IX
2nd | 2
4th | fifth
the fourth | the third
1980s | 1980
1990s | 1980s
20 years | 30 years
age 20 | age 30
10-12 months | 10-12 days
two to three weeks | two to four weeks
2-fold | 4-fold
400 IU | 4000 IU
2 tablets | 2 capsules
BRCA2 | BRCA1
BRCA1 | BRCA10
22q11 | 22q12
22q11.2 | 22q11
13q14 | 11q13
21-hydroxylase | 11-hydroxylase
17-beta-hydroxysteroid | 11-beta-hydroxysteroid
1,25-dihydroxyvitamin D | 24-hydroxyvitamin D
IL-6 | IL-10
IL-6-mediated | IL-2-mediated
HLA-B27 | HLA-B51
HbA1c | HbA2
CD4 | CD8
T4 | T3
HER7 | HER2
α1-antitrypsin | α2-antitrypsin
COVID-19 | COVID
CYP2D6 | CYP3A4
5-HT3 | 5-HT4
SARS-CoV-2 | SARS-CoV
每天5毫克 | 每天50毫克
"""
BREAK = " | "


def pairs(table: str) -> list[tuple[str, str]]:
    return [(one, other) for one, other in (row.split(BREAK) for row in table.strip().split("\n"))]


@pytest.mark.parametrize(("one", "other"), pairs(SAME))
def test_one_quantity_in_two_spellings_is_supported_in_both_directions(
    one: str, other: str
) -> None:
    assert unsupported(one, other) == unsupported(other, one) == []
    assert unsupported(one, "") and unsupported(other, ""), "nothing is found in it"


@pytest.mark.parametrize(("said", "source"), pairs(OTHER))
def test_another_number_unit_or_name_is_not_supported(said: str, source: str) -> None:
    assert unsupported(said, source)
    assert unsupported(said, said) == []


def test_both_tables_are_long_and_name_each_pair_once() -> None:
    for table in (SAME, OTHER):
        assert len(set(pairs(table))) == len(pairs(table)) >= 60


@pytest.mark.parametrize(
    "text",
    [
        "1. Ask.\n2) Look.\n (3) Listen.",
        "one of the first signs, at first one",
        "the two eyes, X-linked, version X, IV fluids, a second opinion",
        "half-life, the lower half, once again, a class of vitamins",
        "",
    ],
)
def test_what_counts_nothing_is_no_quantity(text: str) -> None:
    assert unsupported(text, "") == []


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("ages 2, 3 and 4 years.", ["2", "3", "4 years"]),
        ("Type 2 hits 20% of 1,000, or 20 %", ["2", "20%", "1,000"]),
        ("It was 20. Then 30.", ["20", "30"]),
        ("It begins\n2 weeks later", ["2 weeks"]),
        ("Thirty mg of IL-6-like BRCA2", ["30 mg", "il-6", "brca2"]),
    ],
)
def test_quantities_are_in_order_as_first_written(text: str, written: list[str]) -> None:
    assert unsupported(text, "") == written


@pytest.mark.parametrize(
    ("prediction", "reference", "question", "found"),
    [
        ("5 mg for 10 days", "5 mg", "How long is 10 days?", []),
        ("5 mg", "5 g", "", ["5 mg"]),
        ("Give 5", "5 mg", "", []),
        ("5 mg", "5", "", ["5 mg"]),
        ("5 mg", "5 mg daily", "", []),
        ("5 mg daily", "5 mg", "", ["5 mg /day"]),
        ("interleukin 6", "IL-6", "", []),
        ("Two eyes, a sixth nerve", "Both eyes, the sixth nerve", "", []),
        ("Both eyes and the third molar", "The eye and the third molar", "", []),
        ("both eyes, three ears", "both eyes, two ears", "", ["3"]),
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        part * 9_999
        for part in ("1-", "1", "1,111", "a-1.", "twenty ", "two and ", "II, ", "1/", "°")
    ],
)
def test_long_answers_take_no_time(text: str) -> None:
    start = time.process_time()
    quantities(text)
    unsupported(text[:3000], text)
    assert time.process_time() - start < 5
