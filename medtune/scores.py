"""The scores: what is counted in each answer, and how sums of counts become a score.

Every score is a function of statistics summed over rows. So the score of a data set, of one kind of
card and of a bootstrap resample come from the same few lines.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

Array = np.ndarray
ROUGE = ("rouge1", "rouge2", "rougeL")
CHRF_BETA = 2.0


@dataclass(frozen=True)
class Score:
    """One score of a table of predictions.

    `columns` are the statistics of a row; `value` turns their sums, shape (..., k), into scores,
    shape (...). `better` is +1 where higher is better, -1 where lower is, 0 where neither is.
    """

    name: str
    title: str
    better: int
    columns: tuple[str, ...]
    value: Callable[[Array], Array]
    digits: int = 3


def statistics(predictions: pa.Table, score: Score) -> Array:
    """The statistics of each row for a score: float64, (rows, k), lists laid side by side."""
    parts = []
    for name in score.columns:
        if name == "rows":
            parts.append(np.ones((predictions.num_rows, 1)))
            continue
        column = predictions.column(name).combine_chunks()
        values = np.array(column.to_pylist(), dtype=np.float64)
        parts.append(values.reshape(predictions.num_rows, -1))
    return np.concatenate(parts, axis=1)


def score_table(predictions: pa.Table) -> dict[str, float]:
    """All scores of a table of predictions, by name; NaN where a score is not defined."""
    return {
        score.name: float(score.value(statistics(predictions, score).sum(axis=0)))
        for score in SCORES
    }


def ratio(sums: Array) -> Array:
    """First sum over second: a mean per row, NaN without rows."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return sums[..., 0] / sums[..., 1]


def perplexity(sums: Array) -> Array:
    """exp of the summed negative log-likelihood over the number of tokens, all rows together.

    Only answer tokens and the end-of-turn token count. From 1 (certain) up; lower is better.
    Example: two tokens given probability 1/2 and 1/8: exp((ln 2 + ln 8) / 2) = 4.
    """
    with np.errstate(over="ignore"):
        return np.exp(ratio(sums))


def bleu(sums: Array) -> Array:
    """BLEU of a corpus (Papineni et al. 2002), 0 to 100, from sacrebleu's ten statistics.

    Order: length of predictions, length of references, matching 1- to 4-grams, all 1- to 4-grams.
    Smoothing of orders without a match is sacrebleu's default, `exp`.
    """
    length, reference_length = sums[..., 0], sums[..., 1]
    correct, total = sums[..., 2:6], sums[..., 6:10]
    unmatched = (correct == 0) & (total > 0)
    smoothing = 2.0 ** np.cumsum(unmatched, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(unmatched, 1.0 / (smoothing * total), correct / total)
        brevity = np.exp(np.minimum(0.0, 1.0 - reference_length / length))
        geometric_mean = np.exp(np.log(precision).mean(axis=-1))
    defined = (correct.sum(axis=-1) > 0) & (total > 0).all(axis=-1)
    return np.where(defined, 100.0 * brevity * geometric_mean, 0.0)


def chrf(sums: Array) -> Array:
    """chrF of a corpus (Popović 2015), 0 to 100: character 1- to 6-grams, recall counts double.

    `sums` holds sacrebleu's triples per order: n-grams of predictions, of references, matching.
    """
    triples = sums.reshape(*sums.shape[:-1], -1, 3)
    predicted, reference, matched = triples[..., 0], triples[..., 1], triples[..., 2]
    counts = (predicted > 0) & (reference > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        orders = counts.sum(axis=-1)
        precision = np.where(counts, matched / predicted, 0.0).sum(axis=-1) / orders
        recall = np.where(counts, matched / reference, 0.0).sum(axis=-1) / orders
        weight = CHRF_BETA**2
        score = (1 + weight) * precision * recall / (weight * precision + recall)
    return np.where(np.isfinite(score), 100.0 * score, 0.0)


SCORES = (
    Score("rouge1", "ROUGE-1", +1, ("rouge1", "rows"), ratio),
    Score("rouge2", "ROUGE-2", +1, ("rouge2", "rows"), ratio),
    Score("rougeL", "ROUGE-L", +1, ("rougeL", "rows"), ratio),
    Score("bleu", "BLEU", +1, ("bleu_statistics",), bleu, digits=1),
    Score("chrf", "chrF", +1, ("chrf_statistics",), chrf, digits=1),
    Score("perplexity", "perplexity", -1, ("nll", "answer_tokens"), perplexity, digits=2),
    Score("stopped_rate", "answers that end by themselves", +1, ("stopped", "rows"), ratio),
    Score("repetition_rate", "repeated word 4-grams", -1, ("repetition", "rows"), ratio),
    Score("mean_words", "words per answer", 0, ("words", "rows"), ratio, digits=1),
)


class TextScorer:
    """Scores one prediction against its reference."""

    def __init__(self, use_stemmer: bool) -> None:
        from rouge_score.rouge_scorer import RougeScorer
        from sacrebleu.metrics import BLEU, CHRF

        self._rouge = RougeScorer(list(ROUGE), use_stemmer=use_stemmer)
        self._bleu, self._chrf = BLEU(), CHRF()

    def __call__(self, prediction: str, reference: str) -> dict[str, Any]:
        """Returns rouge1, rouge2, rougeL (F-measure, 0 to 1), the statistics of BLEU and chrF,

        `words` of the prediction and `repetition`, the share of its word 4-grams seen before in it.
        """
        rouge = self._rouge.score(reference, prediction)
        # sacrebleu offers its statistics per sentence only under these names.
        (bleu_statistics,) = self._bleu._extract_corpus_statistics([prediction], [[reference]])
        (chrf_statistics,) = self._chrf._extract_corpus_statistics([prediction], [[reference]])
        words = prediction.split()
        return {
            **{name: rouge[name].fmeasure for name in ROUGE},
            "bleu_statistics": [int(count) for count in bleu_statistics],
            "chrf_statistics": [int(count) for count in chrf_statistics],
            "words": len(words),
            "repetition": repetition(words),
        }


def repetition(words: list[str], n: int = 4) -> float:
    """Share of word n-grams that occurred earlier in the same text, 0 (none) to 1.

    >>> round(repetition("a b c d a b c d".split()), 3)
    0.2
    """
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
