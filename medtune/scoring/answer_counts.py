"""Counts in the text of an answer what the scores sum up."""

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

from medtune.config.schema import Metric
from medtune.runtime.imports import without
from medtune.scoring.hf_evaluate_metrics import LoadedMetric, all_scores
from medtune.scoring.scores import ROUGE
from medtune.scoring.unsupported_numbers import unsupported
from medtune.scoring.word_splitting import (
    UNUSED_BY_NLTK,
    UnicodeTokenizer,
    beyond_ascii,
    has_unspaced,
    with_spaces,
    written_words,
)

SPACED, UNSPACED = "13a", "zh"  # sacrebleu's tokenizers for scripts with spaces, and without


class TextCounter:
    """Counts in one answer what the scores sum up, except for the likelihood.

    `scores` holds the scores of medtune.scoring.scores and of `metrics`; `columns` names the
    columns of `metrics`. Raises InputError if one of them cannot be loaded.
    """

    def __init__(self, use_stemmer: bool, metrics: Sequence[Metric] = ()) -> None:
        with without(*UNUSED_BY_NLTK):
            from rouge_score.rouge_scorer import RougeScorer
        from sacrebleu.metrics import BLEU, CHRF

        self._rouge = RougeScorer(list(ROUGE), use_stemmer=use_stemmer)
        self._unicode = RougeScorer(["rougeL"], tokenizer=UnicodeTokenizer(use_stemmer))
        self._bleu = {name: BLEU(tokenize=name) for name in (SPACED, UNSPACED)}
        self._chrf = CHRF()
        self._metrics = {metric.score: LoadedMetric(metric) for metric in metrics}
        self.scores = all_scores(metrics)
        self.columns = tuple(self._metrics)

    def __call__(self, prediction: str, reference: str, question: str) -> dict[str, Any]:
        """Returns the columns of one row of predictions that come from its texts.

        `unsupported_numbers` lists the numbers that make `unsupported` true. `non_ascii` marks
        rows in which ROUGE, except for `rougeL_unicode`, does not see every letter.
        """
        rouge = self._rouge.score(reference, prediction)
        # sacrebleu offers its statistics per sentence only under these names.
        tokenizer = self._bleu[bleu_tokenizer(reference)]
        spaced = with_spaces(prediction), with_spaces(reference)
        (bleu_statistics,) = tokenizer._extract_corpus_statistics([spaced[0]], [[spaced[1]]])
        (chrf_statistics,) = self._chrf._extract_corpus_statistics([prediction], [[reference]])
        words, numbers = written_words(prediction), unsupported(prediction, reference, question)
        return {
            **{name: rouge[name].fmeasure for name in ROUGE},
            "rougeL_unicode": self._unicode.score(reference, prediction)["rougeL"].fmeasure,
            "non_ascii": beyond_ascii(prediction) or beyond_ascii(reference),
            "bleu_statistics": [int(count) for count in bleu_statistics],
            "chrf_statistics": [int(count) for count in chrf_statistics],
            "words": len(words),
            "reference_words": len(written_words(reference)),
            "repetition": repetition(words),
            "unsupported": bool(numbers),
            "unsupported_numbers": "; ".join(numbers),
            **{name: metric(prediction, reference) for name, metric in self._metrics.items()},
        }


def bleu_tokenizer(reference: str) -> str:
    """Returns the name of sacrebleu's tokenizer for the language of a reference.

    `zh` splits Chinese into characters. TextCounter puts spaces around the characters of the
    other scripts that have none; sacrebleu's own tokenizer for Japanese needs a dictionary.
    """
    return UNSPACED if has_unspaced(reference) else SPACED


def signatures(use_stemmer: bool, references: Iterable[str]) -> dict[str, str]:
    """Returns sacrebleu's signatures, and one like them for ROUGE, to reproduce the scores."""
    from sacrebleu.metrics import BLEU, CHRF

    bleu, chrf = BLEU(), CHRF()
    for metric in (bleu, chrf):
        metric.corpus_score([""], [[""]])  # the number of references is part of a signature
    used = "+".join(sorted({bleu_tokenizer(reference) for reference in references})) or SPACED
    rouge = f"stem:{'yes' if use_stemmer else 'no'}|tok:a-z0-9|version:{version('rouge-score')}"
    return {
        "bleu_signature": str(bleu.get_signature()).replace(f"tok:{SPACED}", f"tok:{used}"),
        "chrf_signature": str(chrf.get_signature()),
        "rouge_signature": rouge,
    }


def repetition(words: list[str], n: int = 4) -> float:
    """Returns the share of word n-grams that occurred earlier in the same text, 0 (none) to 1.

    >>> round(repetition("a b c d a b c d".split()), 3)
    0.2
    """
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
