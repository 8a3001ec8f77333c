"""An example of a metric of your own: the words that answer and reference share."""

from typing import Any

import datasets
import evaluate


class Overlap(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description="Words in both texts over words in either of them, 0 to 1.",
            citation="",
            inputs_description="predictions and references: lists of texts",
            features=datasets.Features({"predictions": text, "references": text}),
        )

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, Any]:
        pairs = [
            (set(prediction.split()), set(reference.split()))
            for prediction, reference in zip(predictions, references, strict=True)
        ]
        shares = [len(a & b) / max(1, len(a | b)) for a, b in pairs]
        return {"overlap": sum(shares) / len(shares)}
