import math

import numpy as np
import pyarrow as pa
import pytest
import sacrebleu

from medtune.scores import SCORES, TextScorer, bleu, chrf, perplexity, repetition, score_table

PREDICTIONS = ["the cat sat on the mat", "an odd µg thing", "", "hello there general kenobi x"]
REFERENCES = ["the cat sat on a mat today", "odd things", "some text", "hello there kenobi"]


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [0], [1], [2], [3], [0, 2]])
def test_bleu_and_chrf_of_summed_statistics_equal_sacrebleu(rows: list[int]) -> None:
    score = TextScorer(use_stemmer=True)
    counted = [score(PREDICTIONS[row], REFERENCES[row]) for row in rows]
    predicted = [PREDICTIONS[row] for row in rows]
    references = [[REFERENCES[row] for row in rows]]
    summed = np.sum([row["bleu_statistics"] for row in counted], axis=0)
    assert bleu(summed) == pytest.approx(sacrebleu.corpus_bleu(predicted, references).score)
    summed = np.sum([row["chrf_statistics"] for row in counted], axis=0)
    assert chrf(summed) == pytest.approx(sacrebleu.corpus_chrf(predicted, references).score)


def test_scores_work_on_many_sums_at_once() -> None:
    score = TextScorer(use_stemmer=True)
    sums = [score(p, r)["bleu_statistics"] for p, r in zip(PREDICTIONS, REFERENCES, strict=True)]
    assert bleu(np.array(sums)).tolist() == [float(bleu(np.array(row))) for row in sums]


def test_perplexity_weighs_tokens_not_rows() -> None:
    assert perplexity(np.array([math.log(2) + math.log(8), 2])) == pytest.approx(4)


def test_rouge_counts_stems_only_if_asked() -> None:
    assert TextScorer(use_stemmer=True)("fevers", "fever")["rouge1"] == 1
    assert TextScorer(use_stemmer=False)("fevers", "fever")["rouge1"] == 0


@pytest.mark.parametrize(
    ("text", "share"), [("a b c d a b c d", 0.2), ("a b c d", 0.0), ("", 0.0), ("a a a a a", 0.5)]
)
def test_repetition_is_the_share_of_4_grams_seen_before(text: str, share: float) -> None:
    assert repetition(text.split()) == pytest.approx(share)


def test_a_table_gets_every_score() -> None:
    score = TextScorer(use_stemmer=True)
    rows = [
        {**score(p, r), "nll": 2.0, "answer_tokens": 4, "stopped": n < 3}
        for n, (p, r) in enumerate(zip(PREDICTIONS, REFERENCES, strict=True))
    ]
    scores = score_table(pa.Table.from_pylist(rows))
    assert set(scores) == {score.name for score in SCORES}
    assert scores["perplexity"] == pytest.approx(math.exp(0.5))
    assert scores["stopped_rate"] == 0.75
    assert scores["mean_words"] == pytest.approx(15 / 4)
