"""Personal data is found by its form; doses, ranges and codes are not taken for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medtune.cards.personal_data import KINDS, mask_personal_data

FINDS = [
    ("Write to jane.doe+ms@clinic.example.org.", "Write to [email].", "email"),
    ("mailto:müller@klinik-süd.de", "mailto:[email]", "email"),
    ("<a_b@x.co>", "<[email]>", "email"),
    ("Call 1-800-222-1222 at once.", "Call [phone] at once.", "phone"),
    ("(1-800-4-CANCER)", "([phone])", "phone"),
    ("dial 1-800-CDC-INFO", "dial [phone]", "phone"),
    ("Fax: 301 496 5248.", "Fax: [phone].", "phone"),
    ("our telephone number is 5551234567", "our telephone number is [phone]", "phone"),
    ("(301) 496-5248, ext. 5", "[phone], ext. 5", "phone"),
    ("301.496.5248", "[phone]", "phone"),
    ("from +1 (301) 496-5248 only", "from [phone] only", "phone"),
    ("+44 (0)20 7946 0958", "[phone]", "phone"),
    ("+919876543210", "[phone]", "phone"),
    ("in London, 020 7946 0958", "in London, [phone]", "phone"),
    ("mobile 07700 900123", "mobile [phone]", "phone"),
    ("the helpline on 0800 1111", "the helpline on [phone]", "phone"),
    ("SSN 219 09 9999", "SSN [national id]", "national_id"),
    ("his 219-09-9999", "his [national id]", "national_id"),
    ("NHS number: 943-476-5919", "NHS number: [national id]", "national_id"),
    ("patient 943 476 5919, aged 40", "patient [national id], aged 40", "national_id"),
    ("CPF 529.982.247-25", "CPF [national id]", "national_id"),
    ("NIR 2 55 08 14 168 025 38", "NIR [national id]", "national_id"),
    ("1 85 02 2A 168 025 36", "[national id]", "national_id"),
    ("MRN: 123456", "MRN: [record number]", "record_number"),
    ("mrn #A-00123-4 was", "mrn #[record number] was", "record_number"),
    ("Medical record number is 0012345.", "Medical record number is [record number].", ""),
    ("hospital no. H123456", "hospital no. [record number]", "record_number"),
]
NOT_FOUND = [
    "500 mg twice daily, 250-500 mg, 1,000,000 IU, 200/300/4000 mg, 2.5-5.0 mg/kg",
    "doses of 250 500 1000 mg and 301 496 5248 cells",
    "blood pressure 120-80, 120/80 or 140-90 mmHg; 120-139/80-89",
    "PMID: 25852856, PMC1234567, PMID 8552145, 8552146",
    "doi:10.1371/journal.pbio.0040182 and 10.1056/NEJM200105173442001",
    "N Engl J Med 2001;345(19):1359-1367. JAMA. 2005;293(19):2362-2388.",
    "OMIM 143100, OMIM:223200, #154700, ORPHA:315",
    "HP:0011009, HP:0003577, MONDO:0005148",
    "ICD-10 E11.9, ICD-9 250.00, 8140/3, I21.4",
    "SNOMED 44054006, LOINC 2339-0, CPT 99213",
    "CAS 7732-18-5, 50-78-2 and 64-17-5",
    "NDC 0002-7510-01, 50580-600-02, 00002-7510-01",
    "NCT01234567, EudraCT 2004-000446-20, ISRCTN12345678",
    "ISBN 978-3-540-69466-3, ISSN 0028-4793, ORCID 0000-0002-1825-0097",
    "1999-2003, 2004-03-15, 15-03-2004, 03/15/2004, 2014-2017",
    "chr7:117120016-117308718, c.1521_1523del, rs334, p.Val600Glu",
    "platelets 150 000-400 000 / µl, 10 000 000, 4 500 000 cells",
    "sodium 135-145, +12.5, +1.2345678, -100-200, ratio 1:10000",
    "1-2 mm, 5-10-15, 3-4-5-6, 1-800 of 1200",
    "@ 37 °C, 5-@oxoprolinase, user@localhost, a@b",
    "MRN shows the nerve. Patient number 12 of 1500; MRN: none",
    "call 911 or 999 or 112; call 2 doctors",
    "cell count 5000000, telephone in 2004, mobile elements",
    "000-12-3456, 666-12-3456, 912-12-3456, 219-00-9999, 219-09-0000",
    "943 476 5918 and 000 000 0000",
    "529.982.247-26 and 111.111.111-11",
    "2 55 08 14 168 025 39",
    "http://www.cdc.gov/node/301-496-5248/x and v1.301.496.5248",
    "IL-2 100 200 300, 192.168.10.1, 1e-10, 6.02214076e23",
    "GSE123456, AB-1234567, lot 12345678, 123456789",
]


@pytest.mark.parametrize(("text", "masked", "kind"), FINDS)
def test_personal_data_is_found_and_masked(text, masked, kind):
    assert mask_personal_data(text) == (masked, [kind or "record_number"])


@pytest.mark.parametrize("text", NOT_FOUND)
def test_medical_text_raises_no_alarm(text):
    assert mask_personal_data(text) == (text, [])


def test_a_text_may_hold_several():
    text = "a@b.org, c@d.org, tel. 0800 111 1111, MRN 987654, 943 476 5919"
    masked, kinds = mask_personal_data(text)
    assert masked == "[email], [email], tel. [phone], MRN [record number], [national id]"
    assert sorted(kinds) == ["email", "email", "national_id", "phone", "record_number"]
    assert set(kinds) == set(KINDS)


@pytest.mark.parametrize("form", ["943 476 591{}", "529.982.247-2{}"])
def test_one_check_digit_of_ten_is_right(form):
    found = [mask_personal_data(form.format(digit))[1] for digit in range(10)]
    assert found.count(["national_id"]) == 1


@pytest.mark.slow
@given(st.lists(st.sampled_from([*(text for text, _, _ in FINDS), *NOT_FOUND, " ", "1", "-"])))
def test_masking_what_is_masked_changes_nothing(parts):
    masked, _ = mask_personal_data(" ".join(parts))
    assert mask_personal_data(masked) == (masked, [])
