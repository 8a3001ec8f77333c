import pytest

from medtune.cards.hpo_features import MAX_FEATURES, typical_features
from medtune.cards.hpo_files import Annotation

SHARES = {"HP:0040281": 0.9, "HP:0040283": 0.17, "40%": 0.4, "": 0.0}


def row(
    finding: str, frequency: str, evidence: str = "PCS", qualifier: str = "", aspect: str = "P"
) -> Annotation:
    share = SHARES.get(frequency, 0.0)
    return Annotation("OMIM:1", "Gout", qualifier, finding, evidence, frequency, aspect, share)


MOST = [row("v", "98/100"), row("w", "97/100")]
TYPICAL = [*MOST, row("a", "9/10"), row("b", "HP:0040281"), row("c", "40%")]
NAMES = ["v", "w", "a", "b", "c"]


def test_typical_findings_come_by_their_frequency() -> None:
    assert typical_features([*reversed(TYPICAL), row("d", "HP:0040283")]) == NAMES


@pytest.mark.parametrize(
    "further",
    [
        [row("d", "2/2")],
        [row("d", "1/1"), row("d", "1/1")],
        [row("d", "HP:0040281", evidence="IEA")],
        [row("d", "9/10"), row("d", "", qualifier="NOT")],
        [row("d", "1/10"), row("d", "2/2")],
        [row("d", "HP:0040281", aspect="C")],
    ],
)
def test_weak_evidence_does_not_make_a_finding_typical(further: list[Annotation]) -> None:
    assert typical_features([*TYPICAL, *further]) == NAMES


def test_patients_of_several_reports_are_added_up() -> None:
    assert "d" in typical_features([*TYPICAL, row("d", "1/2"), row("d", "2/2")])


def test_a_list_is_not_cut_between_findings_of_the_same_frequency() -> None:
    tied = [row(f"t{number}", "HP:0040281") for number in range(MAX_FEATURES)]
    assert typical_features([*TYPICAL, *tied]) == []
    most = [row(name, "95/100") for name in "xyz"]
    assert typical_features([*TYPICAL, *most, *tied]) == [*"vwxyz"]


def test_four_findings_are_no_list() -> None:
    assert typical_features(TYPICAL[:4]) == []
