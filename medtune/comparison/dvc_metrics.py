"""Picks the few values that `dvc metrics` and `dvc exp show` print, to compare runs."""

from collections.abc import Mapping
from typing import Any

# The names are short because the columns of `dvc exp show` have to fit into a terminal.
MAIN_SCORES = {  # name for DVC: name in metrics/compare_systems.json
    "rougeL": "rougeL",
    "content_f1": "content_f1",
    "meaning": "meaning",
    "facts": "facts",
    "stopped": "stopped_rate",
}
PAIRED_SCORES = {"medical": "choices.medical.accuracy", "general": "choices.general.accuracy"}


def main_scores(
    systems: Mapping[str, Any], scores: Mapping[str, Any], training: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the main scores: "rougeL" of the fine-tuned model, "rougeL.base" of the base model.

    "rougeL.best" is that of the best system without training, "rougeL.gain" the fine-tuned model's
    lead over it. "medical" and "general" are accuracies on multiple-choice questions, where these
    were asked, and "loss" is the validation loss of the adapter that was kept. The arguments are
    the contents of metrics/compare_systems.json, compare_scores.json and train.json; intervals
    stay there.
    """
    flat = {"loss": training["validation_loss"], "perplexity": scores["perplexity.finetuned"]}
    flat["perplexity.base"] = scores["perplexity.base"]
    for name, score in MAIN_SCORES.items():
        if f"best.{score}" in systems:
            best = systems[f"best.{score}"]
            flat[name] = systems[f"finetuned.{score}"]
            flat[f"{name}.base"] = systems[f"base.{score}"]
            flat[f"{name}.best"] = systems[f"{best}.{score}"]
            flat[f"{name}.gain"] = systems[f"{best}.{score}.difference"]
    for name, score in PAIRED_SCORES.items():
        if f"{score}.finetuned" in scores:
            flat[name] = scores[f"{score}.finetuned"]
    return flat
