"""The findings that most patients with a disease have, from the annotations of the HPO."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medtune.cards.disease_selection import names_of_all
from medtune.cards.hpo_files import Annotation, Term, find_branches, read_annotations
from medtune.cards.mondo_file import MondoDisease

TYPICAL = 0.3  # share of the patients from which a finding is typical of a disease
MIN_PATIENTS = 3  # a share of fewer patients says nothing about others
MIN_FEATURES = 5
MAX_FEATURES = 8
# Groupings of findings, which say little about a patient.
UNCLEAR = re.compile(r"abnormal|^neoplasm$|\bmorphology$|^constitutional symptom", re.IGNORECASE)


@dataclass
class FindingFrequency:
    """How often patients with one disease have one finding."""

    affected: int = 0
    examined: int = 0
    shares: list[float] = field(default_factory=list)  # as a percentage or "very frequent"
    excluded: bool = False

    def add(self, annotation: Annotation) -> None:
        affected, _, examined = annotation.frequency.partition("/")
        if annotation.qualifier == "NOT":
            self.excluded = True
        elif examined:
            self.affected += int(affected)
            self.examined += int(examined)
        else:
            self.shares.append(annotation.share)

    @property
    def share(self) -> float:
        """The share of the patients, 0 if it is not known from MIN_PATIENTS patients or more."""
        if self.excluded:
            return 0.0
        counted = self.affected / self.examined if self.examined >= MIN_PATIENTS else 0.0
        return max(counted, *self.shares) if self.shares else counted


def typical_features(annotations: Iterable[Annotation]) -> list[str]:
    """Returns the findings' ids, most frequent first, or none if too few are known to be typical.

    Annotations made by a program (IEA) do not count. The list ends between two frequencies:
    findings of the same frequency are all in it or all left out.
    """
    found: dict[str, FindingFrequency] = {}
    for annotation in annotations:
        if annotation.aspect == "P" and annotation.evidence != "IEA":
            found.setdefault(annotation.finding, FindingFrequency()).add(annotation)
    by_share: dict[float, list[str]] = {}
    for finding, frequency in found.items():
        if frequency.share >= TYPICAL:
            by_share.setdefault(frequency.share, []).append(finding)
    features: list[str] = []
    for share in sorted(by_share, reverse=True):
        if len(features) + len(by_share[share]) > MAX_FEATURES:
            break
        features += sorted(by_share[share])
    return features if len(features) >= MIN_FEATURES else []


def features_by_disease(
    path: Path, diseases: Mapping[str, MondoDisease], findings: Mapping[str, Term]
) -> dict[str, list[str]]:
    """Returns the typical findings of each disease of MONDO whose name the annotations use.

    Findings with the name of the disease are left out, as are groupings of other findings.
    """
    by_name = names_of_all(diseases)
    clear = {each for each in find_branches(findings) if not UNCLEAR.search(findings[each].name)}
    annotations: dict[str, list[Annotation]] = defaultdict(list)
    for annotation in read_annotations(path):
        disease_id = by_name.get(annotation.disease.lower())
        if disease_id and annotation.finding in clear:
            annotations[disease_id].append(annotation)
    features = {}
    for disease_id, rows in sorted(annotations.items()):
        disease = diseases[disease_id]
        own = {name.lower() for name in (disease.label, *disease.synonyms)}
        others = [row for row in rows if own.isdisjoint(findings[row.finding].names)]
        found = typical_features(others)
        groups = {parent for each in found for parent in findings[each].parents}
        features[disease_id] = [each for each in found if each not in groups]
    return {each: found for each, found in features.items() if len(found) >= MIN_FEATURES}
