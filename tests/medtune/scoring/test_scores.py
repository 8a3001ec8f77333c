import math
from typing import get_args

import numpy as np
import pyarrow as pa
import pytest
import sacrebleu

from medtune.config.allowed_values import ScoreName
from medtune.scoring.answer_counts import TextCounter
from medtune.scoring.scores import (
    SCORES,
    bleu,
    chrf,
    perplexity,
    score_table,
    statistics,
)

PREDICTIONS = ["the cat sat on the mat", "an odd µg thing", "", "hello there general kenobi x"]
REFERENCES = ["the cat sat on a mat today", "odd things", "some text", "hello there kenobi"]

CONTENT = ("content_f1", "meaning", "facts")  # tested in tests/medtune/content/test_columns.py


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [0], [1], [2], [3], [0, 2]])
def test_bleu_and_chrf_of_summed_statistics_equal_sacrebleu(rows: list[int]) -> None:
    score = TextCounter(use_stemmer=True)
    counted = [score(PREDICTIONS[row], REFERENCES[row], "") for row in rows]
    predicted = [PREDICTIONS[row] for row in rows]
    references = [[REFERENCES[row] for row in rows]]
    summed = np.sum([row["bleu_statistics"] for row in counted], axis=0)
    assert bleu(summed) == pytest.approx(sacrebleu.corpus_bleu(predicted, references).score)
    summed = np.sum([row["chrf_statistics"] for row in counted], axis=0)
    assert chrf(summed) == pytest.approx(sacrebleu.corpus_chrf(predicted, references).score)


def test_scores_work_on_many_sums_at_once() -> None:
    score = TextCounter(use_stemmer=True)
    sums = [
        score(p, r, "")["bleu_statistics"] for p, r in zip(PREDICTIONS, REFERENCES, strict=True)
    ]
    assert bleu(np.array(sums)).tolist() == [float(bleu(np.array(row))) for row in sums]


def test_perplexity_weighs_tokens_not_rows() -> None:
    assert perplexity(np.array([math.log(2) + math.log(8), 2])) == pytest.approx(4)


EXAMPLES = [  # those of Score.about: name, prediction, reference, value
    ("rouge1", "a cat sat", "a cat", 0.8),
    ("rouge2", "a cat sat", "a cat", 2 / 3),
    ("rougeL", "a big cat", "a cat", 0.8),
    ("rougeL", "β cell", "α cell", 1),
    ("rougeL_unicode", "β cell", "α cell", 0.5),
    ("repetition_rate", "a b c d a b c d", "", 0.2),
    ("unsupported_number_rate", "5 mg", "50 mg", 1),
    ("unsupported_number_rate", "5 mg", "5 mg", 0),
    ("length_ratio", "word " * 30, "word " * 20, 1.5),
    ("mean_words", "a cat", "", 2),
]


@pytest.mark.parametrize(("name", "prediction", "reference", "value"), EXAMPLES)
def test_examples_are_right(name: str, prediction: str, reference: str, value: float) -> None:
    row = TextCounter(use_stemmer=True)(prediction, reference, "")
    (score,) = [score for score in SCORES if score.name == name]
    table = pa.Table.from_pylist([row])
    assert score.value(statistics(table, score))[0] == pytest.approx(value)


def test_every_score_says_its_range_and_its_example_is_among_those_above() -> None:
    for score in SCORES:
        assert "0 to 1" in score.about or "and up" in score.about, score.name
        if "(" in score.about and score.name not in ("perplexity", *CONTENT):
            assert score.name in {name for name, *_ in EXAMPLES}


def test_gated_scores_are_those_with_a_better_side() -> None:
    assert set(get_args(ScoreName)) == {score.name for score in SCORES if score.better}


def test_a_table_gets_every_score_but_those_of_content() -> None:
    score = TextCounter(use_stemmer=True)
    rows = [
        {**score(p, r, ""), "nll": 2.0, "answer_tokens": 4, "stopped": n < 3, "disclaimer": False}
        for n, (p, r) in enumerate(zip(PREDICTIONS, REFERENCES, strict=True))
    ]
    scores = score_table(pa.Table.from_pylist(rows))
    assert set(scores) == {score.name for score in SCORES} - {*CONTENT, "thought_rate"}
    assert scores["perplexity"] == pytest.approx(math.exp(0.5))
    assert scores["stopped_rate"] == 0.75
    assert scores["mean_words"] == pytest.approx(15 / 4)
    assert (scores["disclaimer_rate"], scores["length_ratio"]) == (0, pytest.approx(15 / 14))
