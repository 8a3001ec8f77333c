from collections import Counter
from pathlib import Path

import pytest

from medtune.cards.hpo_files import read_diseases, read_terms
from medtune.cards.hpo_only_deck import MODES, QUESTIONS, disease_family, read_hpo
from medtune.runtime.errors import InputError
from tests.ontology_files import HEADER

OBO = """format-version: 1.2
data-version: hp/releases/2025-01-16

[Term]
id: HP:0000001
name: All

[Term]
id: HP:0001367
name: Abnormal joint morphology
def: "An abnormal structure or form of the joints." [PMID:1]
is_a: HP:0000001 ! All

[Term]
id: HP:0001369
name: Arthritis
def: "Inflammation of a \\"joint\\"." [PMID:2]
synonym: "Arthritis" EXACT layperson []
synonym: "Joint inflammation" EXACT layperson [ORCID:1]
synonym: "Arthritides" EXACT plural_form []
is_a: HP:0001367 ! Abnormal joint morphology

[Term]
id: HP:0000009
name: obsolete thing
def: "Gone." []
is_obsolete: true

[Typedef]
id: part_of
name: part of
"""


def annotation(
    disease: str, name: str, finding: str, frequency: str, aspect: str, no: str = ""
) -> str:
    return f"{disease}\t{name}\t{no}\t{finding}\tPMID:1\tPCS\t\t{frequency}\t\t\t{aspect}\tx"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    extra = "".join(
        f"\n[Term]\nid: HP:000000{n}\nname: Finding {n}\nis_a: HP:0001367 ! x\n" for n in "345"
    )
    (tmp_path / "hp.obo").write_text(OBO + extra)
    lines = [
        "#description: made up",
        HEADER,
        annotation("OMIM:1", "Stiff syndrome 2", "HP:0000003", "9/10", "P"),
        annotation("OMIM:1", "Stiff syndrome 2", "HP:0000004", "HP:0040281", "P"),
        annotation("OMIM:1", "Stiff syndrome 2", "HP:0001369", "100%", "P"),
        annotation("OMIM:1", "Stiff syndrome 2", "HP:0000005", "HP:0040283", "P"),
        annotation("OMIM:1", "Stiff syndrome 2", "HP:0001367", "1/1", "P", no="NOT"),
        annotation("OMIM:1", "Stiff syndrome 2", "HP:0000007", "", "I"),
        annotation("OMIM:1", "Stiff syndrome 2", "HP:0003577", "", "C"),
        annotation("ORPHA:9", "STIFF SYNDROME 2", "HP:0003593", "", "C"),
        annotation("OMIM:2", "Ataxia, autosomal recessive", "HP:0000007", "", "I"),
    ]
    (tmp_path / "phenotype.hpoa").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_findings_make_definition_and_lay_cards(folder: Path) -> None:
    records = [record for record in read_hpo(folder) if record.id.startswith("HP:0001369")]
    definition, lay = records
    assert definition.answer == 'Inflammation of a "joint".'
    assert "Arthritis" in (definition.question or "")
    assert lay.kind in ("lay_term", "medical_term")
    assert "joint inflammation" in (lay.answer or "")
    assert definition.topic == lay.topic
    assert definition.source == "HPO 2025-01-16"


def test_diseases_make_cards_of_what_is_typical(folder: Path) -> None:
    cards = {record.kind: record for record in read_hpo(folder) if record.id.startswith("OMIM")}
    assert set(cards) == {"features", "inheritance", "onset"}
    features = cards["features"].answer or ""
    assert features.index("arthritis") < features.index("finding 3") < features.index("and")
    assert "finding 5" not in features and "abnormal joint" not in features
    assert "autosomal recessive" in (cards["inheritance"].answer or "")
    assert "at birth or in infancy" in (cards["onset"].answer or "")
    assert {card.topic for card in cards.values()} == {"stiff syndrome"}


def test_a_disease_whose_name_gives_the_answer_makes_no_inheritance_card(folder: Path) -> None:
    questions = [record.question or "" for record in read_hpo(folder)]
    assert questions and not any("Ataxia" in question for question in questions)


def test_obsolete_terms_are_left_out(folder: Path) -> None:
    _, terms = read_terms(folder / "hp.obo")
    assert "HP:0000009" not in terms and "part_of" not in terms
    assert len(read_diseases(folder / "phenotype.hpoa")) == 2


def test_ids_are_unique_and_the_wording_varies(folder: Path) -> None:
    records = list(read_hpo(folder))
    assert max(Counter(record.id for record in records).values()) == 1
    assert all(len(wordings) >= 3 for wordings in QUESTIONS.values())
    assert len(MODES) == len(set(MODES.values()))


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("Spastic paraplegia 62, autosomal recessive", "spastic paraplegia"),
        ("Mucolipidosis type III", "mucolipidosis"),
        ("Zimmermann-Laband syndrome 2", "zimmermann-laband syndrome"),
        ("Brachydactyly, type A1, C", "brachydactyly"),
        ("Trisomy 20p syndrome", "trisomy 20p syndrome"),
        ("Diabetes", "diabetes"),
    ],
)
def test_numbered_siblings_are_one_family(name: str, family: str) -> None:
    assert disease_family(name) == family


def test_missing_or_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"hp\.obo is missing: the hpo reader needs"):
        list(read_hpo(tmp_path))
    (tmp_path / "hp.obo").write_text("nothing of the kind\n")
    with pytest.raises(InputError, match="has no HPO terms"):
        list(read_hpo(tmp_path))


def test_a_cut_or_foreign_annotation_file_is_refused(folder: Path) -> None:
    path = folder / "phenotype.hpoa"
    path.write_text(path.read_text()[:-40])
    with pytest.raises(InputError, match=r"phenotype\.hpoa is truncated or damaged at 'OMIM:2"):
        list(read_hpo(folder))
    path.write_text("a\tb\n1\t2\n")
    with pytest.raises(InputError, match=r"has no column aspect, database_id"):
        list(read_hpo(folder))


def test_a_feature_that_the_ontology_does_not_know_is_left_out(folder: Path) -> None:
    path = folder / "phenotype.hpoa"
    path.write_text(path.read_text().replace("HP:0001369", "HP:9999999"))
    kinds = {record.kind for record in read_hpo(folder)}
    assert kinds and "features" not in kinds


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("hp.obo", "joints", "joints \udce9", r"hp\.obo is not UTF-8"),
        ("hp.obo", '"An abnormal', "An abnormal", r"no quoted text at 'An abnormal"),
        ("hp.obo", "is_a: HP:0000001", "is_a: HP:0001369", "form a cycle at"),
        ("phenotype.hpoa", "9/10", "9/x", r"has the frequency '9/x', which is not HP"),
        ("phenotype.hpoa", "100%", "inf%", r"has the frequency 'inf%'"),
        ("phenotype.hpoa", "9/10", "9" * 5000 + "/10", r"has the frequency '9999"),
        ("phenotype.hpoa", "Ataxia", "Ataxia\udcff", r"phenotype\.hpoa is not UTF-8"),
    ],
)
def test_damage_is_named(folder: Path, name: str, old: str, new: str, message: str) -> None:
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new), errors="surrogateescape")
    with pytest.raises(InputError, match=message):
        list(read_hpo(folder))


def test_a_missing_parent_is_left_out(folder: Path) -> None:
    path = folder / "hp.obo"
    path.write_text(path.read_text().replace("is_a: HP:0000001", "is_a: HP:7777777"))
    assert {record.topic for record in read_hpo(folder) if record.kind == "lay_term"} <= {
        "arthritis",
        "abnormal joint morphology",
    }
