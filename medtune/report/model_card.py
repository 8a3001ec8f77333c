"""The front matter of the model card: what the Hugging Face hub reads of it."""

from collections.abc import Mapping
from typing import Any

from medtune.config.allowed_values import as_list
from medtune.report.licences import hub_name_of, package_of
from medtune.scoring.scores import SCORES


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
