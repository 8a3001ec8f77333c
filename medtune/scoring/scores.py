"""The scores: how sums of what is counted in each answer become a score.

Every score is a function of statistics summed over rows. So the score of a data set, of one kind of
card and of a bootstrap resample come from the same few lines. What is counted in an answer's text
is in medtune.scoring.answer_counts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

Array = np.ndarray
ROUGE = ("rouge1", "rouge2", "rougeL")
CHRF_BETA = 2.0


def ratio(sums: Array) -> Array:
    """Divides the first sum by the second: a mean per row, NaN without rows."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return sums[..., 0] / sums[..., 1]


@dataclass(frozen=True, kw_only=True)
class Score:
    """One score of a table of predictions.

    `columns` are the statistics of a row; `value` turns their sums, shape (..., k), into scores,
    shape (...). `higher_is_better` is None if neither direction is better. `about` says what is
    counted over what, its range, and an example.
    """

    name: str
    title: str
    higher_is_better: bool | None
    columns: tuple[str, ...]
    value: Callable[[Array], Array] = ratio
    digits: int = 3
    about: str = ""

    @property
    def better(self) -> int:
        """The sign of a change for the better: +1, -1, or 0 where there is none."""
        return 0 if self.higher_is_better is None else 1 if self.higher_is_better else -1


def statistics(predictions: pa.Table, score: Score) -> Array:
    """Returns the statistics of each row for a score, float64 (rows, k); a list fills columns."""
    parts = []
    for name in score.columns:
        if name == "rows":
            parts.append(np.ones((predictions.num_rows, 1)))
            continue
        column = predictions.column(name).combine_chunks()
        values = np.array(column.to_pylist(), dtype=np.float64)
        parts.append(values.reshape(predictions.num_rows, -1))
    return np.concatenate(parts, axis=1)


def scores_of(predictions: pa.Table, scores: "Sequence[Score] | None" = None) -> list[Score]:
    """Returns the scores, by default SCORES, whose columns a table of predictions has."""
    columns = {"rows", *predictions.column_names}
    return [score for score in scores or SCORES if columns.issuperset(score.columns)]


def score_table(predictions: pa.Table, scores: "Sequence[Score] | None" = None) -> dict[str, float]:
    """Returns a table's scores (see scores_of) by name; NaN where a score is undefined."""
    return {
        score.name: float(score.value(statistics(predictions, score).sum(axis=0)))
        for score in scores_of(predictions, scores)
    }


def perplexity(sums: Array) -> Array:
    """Returns exp of the summed negative log-likelihood divided by the tokens, over all rows.

    Only answer tokens and the end-of-turn token count. From 1 (certain) up; lower is better.
    Example: two tokens given probability 1/2 and 1/8: exp((ln 2 + ln 8) / 2) = 4.
    """
    with np.errstate(over="ignore"):
        return np.exp(ratio(sums))


def bleu(sums: Array) -> Array:
    """Returns BLEU of a corpus (Papineni et al. 2002), 0 to 100, from sacrebleu's ten statistics.

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
    """Returns chrF of a corpus (Popović 2015), 0 to 100: character 1- to 6-grams, recall doubled.

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


def _rouge(name: str, title: str, about: str) -> Score:
    about += ": F-measure of answer and reference (Lin 2004), mean over answers, 0 to 1."
    return Score(name=name, title=title, higher_is_better=True, columns=(name, "rows"), about=about)


SCORES = (
    _rouge("rouge1", "ROUGE-1", 'Words in common ("a cat sat" for "a cat": 0.8)'),
    _rouge("rouge2", "ROUGE-2", 'Pairs of words in common ("a cat sat" for "a cat": 0.667)'),
    _rouge("rougeL", "ROUGE-L", 'Longest common sequence of words ("a big cat" for "a cat": 0.8)'),
    _rouge(
        "rougeL_unicode",
        "ROUGE-L, all letters",
        'ROUGE-L that also counts letters beyond a-z ("β cell" for "α cell": 0.5, not 1)',
    ),
    Score(
        name="bleu",
        title="BLEU",
        higher_is_better=True,
        columns=("bleu_statistics",),
        value=bleu,
        digits=1,
        about="Word 1- to 4-grams in common, all answers as one text, 0 to 100.",
    ),
    Score(
        name="chrf",
        title="chrF",
        higher_is_better=True,
        columns=("chrf_statistics",),
        value=chrf,
        digits=1,
        about="Character 1- to 6-grams in common, all answers as one text, 0 to 100.",
    ),
    # The columns of the next three scores come from medtune.content.
    Score(
        name="content_f1",
        title="content words",
        higher_is_better=True,
        columns=("content_f1", "content_rows"),
        about="Content words in common: F1 of the words that are left without stop words, the "
        "question's words and those that most answers of the kind share, mean over answers whose "
        'reference has such words, 0 to 1 ("a painful swelling" for "painful joints": 0.5).',
    ),
    Score(
        name="meaning",
        title="similarity of meaning",
        higher_is_better=True,
        columns=("meaning", "rows"),
        about="Cosine of the vectors that a sentence encoder gives answer and reference, mean over "
        'answers, 0 to 1 ("A CAT" for "a cat": 1). Unrelated texts do not have 0: '
        "docs/evaluation.md says what they have.",
    ),
    Score(
        name="facts",
        title="facts that are right",
        higher_is_better=True,
        columns=("facts_right", "facts_rows"),
        about="How right an answer is about the facts that its card lists: 0 or 1, for lists F1; "
        'mean over answers with such facts, 0 to 1 ("fever and cough" for "fever and rash": 0.5).',
    ),
    Score(
        name="perplexity",
        title="perplexity",
        higher_is_better=False,
        columns=("nll", "answer_tokens"),
        value=perplexity,
        digits=2,
        about="How much the reference answers surprise the model, over the tokens of all of them, "
        "1 (not at all) and up (probabilities 1/2 and 1/8: 4).",
    ),
    Score(
        name="stopped_rate",
        title="answers that end on their own",
        higher_is_better=True,
        columns=("stopped", "rows"),
        about="Share of answers that end before evaluate.max_new_tokens, 0 to 1.",
    ),
    Score(
        name="repetition_rate",
        title="repeated word 4-grams",
        higher_is_better=False,
        columns=("repetition", "rows"),
        about="Share of an answer's four-word sequences that occurred earlier in it, mean over "
        'answers, 0 to 1 ("a b c d a b c d": 0.2).',
    ),
    Score(
        name="unsupported_number_rate",
        title="answers with unsupported numbers",
        higher_is_better=False,
        columns=("unsupported", "rows"),
        about="Share of answers with a number or dose that is neither in the reference nor in the "
        'question, 0 to 1 ("5 mg" for "50 mg": 1).',
    ),
    Score(
        name="disclaimer_rate",
        title="answers with the disclaimer",
        higher_is_better=None,
        columns=("disclaimer", "rows"),
        about="Share of answers with tokenize.disclaimer, 0 to 1. The other scores ignore it.",
    ),
    Score(  # only of models whose chat template knows thoughts
        name="thought_rate",
        title="answers after a thought",
        higher_is_better=None,
        columns=("thought", "rows"),
        about="Share of answers with a thought before them, 0 to 1. The other scores ignore it.",
    ),
    Score(
        name="length_ratio",
        title="length relative to reference",
        higher_is_better=None,
        columns=("words", "reference_words"),
        digits=2,
        about="Words in all answers over words in all references, 0 and up (30 for 20: 1.5).",
    ),
    Score(
        name="mean_words",
        title="words per answer",
        higher_is_better=None,
        columns=("words", "rows"),
        digits=1,
        about="Words of an answer, mean over answers, 0 and up.",
    ),
)
