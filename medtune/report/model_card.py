"""The model card, and its front matter, which the Hugging Face hub reads."""

from collections.abc import Mapping
from typing import Any

from medtune.config.allowed_values import as_list
from medtune.report.facts import Facts
from medtune.report.licences import UNKNOWN_LICENCE, hub_name_of, package_of
from medtune.report.rendering import render
from medtune.report.score_rows import parts
from medtune.scoring.scores import SCORES


def render_model_card(facts: Facts) -> str:
    sources = [
        (name, uri, package_of(uri))
        for name, source in facts.params["download"].items()
        for uri in as_list(source)
    ]
    return render(
        "model_card.md.jinja",
        facts,
        kinds=parts(facts.metrics["compare_kinds"], facts.confidence),
        front_matter=front_matter(facts.params, facts.metrics),
        sources=sources,
        unknown_licence=UNKNOWN_LICENCE,
    )


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
