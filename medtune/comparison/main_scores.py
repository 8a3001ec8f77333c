"""Picks the few values that `dvc metrics` and `dvc exp show` print, to compare runs."""

from collections.abc import Mapping
from typing import Any

# The names are short because the columns of `dvc exp show` have to fit into a terminal.
MAIN_SCORES = {  # name for DVC: name in metrics/compare_scores.json
    "bleu": "bleu",
    "general": "choices.general.accuracy",
    "medical": "choices.medical.accuracy",
    "perplexity": "perplexity",
    "rougeL": "rougeL",
}


def main_scores(scores: Mapping[str, Any], training: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the main scores: "rougeL" of the fine-tuned model, "rougeL.base" of the base model.

    "medical" and "general" are the accuracies on multiple-choice questions, where these were asked,
    and "loss" is the validation loss of the adapter that was kept. `scores` and `training` are the
    contents of metrics/compare_scores.json and metrics/train.json. Differences stay in the former,
    beside their intervals.
    """
    flat = {"loss": training["validation_loss"]}
    for name, score in MAIN_SCORES.items():
        if f"{score}.base" in scores:
            flat[name] = scores[f"{score}.finetuned"]
            flat[f"{name}.base"] = scores[f"{score}.base"]
    return flat
