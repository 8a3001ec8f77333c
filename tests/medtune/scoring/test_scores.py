import math
from typing import get_args

import numpy as np
import pyarrow as pa
import pytest
import sacrebleu

from medtune.config.schema import ScoreName
from medtune.scoring.scores import (
    SCORES,
    TextScorer,
    bleu,
    chrf,
    perplexity,
    score_table,
    signatures,
    statistics,
)

PREDICTIONS = ["the cat sat on the mat", "an odd µg thing", "", "hello there general kenobi x"]
REFERENCES = ["the cat sat on a mat today", "odd things", "some text", "hello there kenobi"]

CONTENT = ("content_f1", "meaning", "facts")  # tested in tests/medtune/content/test_columns.py


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [0], [1], [2], [3], [0, 2]])
def test_bleu_and_chrf_of_summed_statistics_equal_sacrebleu(rows: list[int]) -> None:
    score = TextScorer(use_stemmer=True)
    counted = [score(PREDICTIONS[row], REFERENCES[row], "") for row in rows]
    predicted = [PREDICTIONS[row] for row in rows]
    references = [[REFERENCES[row] for row in rows]]
    summed = np.sum([row["bleu_statistics"] for row in counted], axis=0)
    assert bleu(summed) == pytest.approx(sacrebleu.corpus_bleu(predicted, references).score)
    summed = np.sum([row["chrf_statistics"] for row in counted], axis=0)
    assert chrf(summed) == pytest.approx(sacrebleu.corpus_chrf(predicted, references).score)


CHINESE = {"prediction": "高血压是一种慢性疾病。", "reference": "高血压是常见的慢性疾病。"}
THAI = {"prediction": "โรคนี้เป็นโรคเรื้อรัง", "reference": "โรคนี้เป็นโรคปอดเรื้อรัง"}
HINDI = {"prediction": "मधुमेह एक पुराना रोग है", "reference": "मधुमेह एक सामान्य रोग है"}
JAPANESE = {"prediction": "これは肺の慢性の病気です", "reference": "これは肺の病気です"}


@pytest.mark.parametrize(
    ("texts", "words"), [(CHINESE, 10), (HINDI, 5), (JAPANESE, 12), (THAI, 15)]
)
def test_near_equal_sentences_score_high_in_every_script(texts: dict[str, str], words: int) -> None:
    row = TextScorer(use_stemmer=True)(**texts, question="")
    assert row["rougeL_unicode"] > 0.75
    assert bleu(np.array(row["bleu_statistics"])) > 20
    assert row["words"] == words


def test_bleu_of_chinese_is_that_of_sacrebleu_and_its_signature_says_so() -> None:
    row = TextScorer(use_stemmer=True)(**CHINESE, question="")
    expected = sacrebleu.corpus_bleu(
        [CHINESE["prediction"]], [[CHINESE["reference"]]], tokenize="zh"
    )
    assert bleu(np.array(row["bleu_statistics"])) == pytest.approx(expected.score)
    tokenizers = [
        signatures(use_stemmer=True, references=references)["bleu_signature"].split("|")[3]
        for references in ([CHINESE["reference"]], [CHINESE["reference"], "a b"], ["a b"], [])
    ]
    assert tokenizers == ["tok:zh", "tok:13a+zh", "tok:13a", "tok:13a"]


def test_repeated_chinese_is_seen() -> None:
    row = TextScorer(use_stemmer=True)("慢性疾病慢性疾病", "慢性疾病", "")
    assert (row["words"], row["reference_words"], row["repetition"]) == (8, 4, pytest.approx(0.2))


def test_scores_work_on_many_sums_at_once() -> None:
    score = TextScorer(use_stemmer=True)
    sums = [
        score(p, r, "")["bleu_statistics"] for p, r in zip(PREDICTIONS, REFERENCES, strict=True)
    ]
    assert bleu(np.array(sums)).tolist() == [float(bleu(np.array(row))) for row in sums]


def test_perplexity_weighs_tokens_not_rows() -> None:
    assert perplexity(np.array([math.log(2) + math.log(8), 2])) == pytest.approx(4)


def test_rouge_counts_stems_only_if_asked() -> None:
    assert TextScorer(use_stemmer=True)("fevers", "fever", "")["rouge1"] == 1
    assert TextScorer(use_stemmer=False)("fevers", "fever", "")["rouge1"] == 0


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
    row = TextScorer(use_stemmer=True)(prediction, reference, "")
    (score,) = [score for score in SCORES if score.name == name]
    table = pa.Table.from_pylist([row])
    assert score.value(statistics(table, score))[0] == pytest.approx(value)


def test_every_score_says_its_range_and_its_example_is_among_those_above() -> None:
    for score in SCORES:
        assert "0 to 1" in score.about or "and up" in score.about, score.name
        if "(" in score.about and score.name not in ("perplexity", *CONTENT):
            assert score.name in {name for name, *_ in EXAMPLES}


def test_rows_that_rouge_does_not_see_whole_are_marked() -> None:
    score = TextScorer(use_stemmer=True)
    plain, greek = score("beta cell", "beta cells", ""), score("beta cell", "β cell", "")
    assert (plain["non_ascii"], greek["non_ascii"]) == (False, True)
    assert plain["rougeL_unicode"] == plain["rougeL"]


def test_numbers_of_the_question_are_supported() -> None:
    score = TextScorer(use_stemmer=True)
    row = score("Type 2 begins at 40 years, 30 at the earliest.", "In adults.", "What is type 2?")
    assert (row["unsupported"], row["unsupported_numbers"]) == (True, "40 years; 30")


def test_signatures_are_those_that_sacrebleu_prints() -> None:
    metric = sacrebleu.metrics.BLEU()
    metric.corpus_score(PREDICTIONS, [REFERENCES])
    found = signatures(use_stemmer=True, references=REFERENCES)
    assert found["bleu_signature"] == str(metric.get_signature())
    assert found["chrf_signature"].startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0")
    assert found["rouge_signature"].startswith("stem:yes|tok:a-z0-9|version:")


def test_gated_scores_are_those_with_a_better_side() -> None:
    assert set(get_args(ScoreName)) == {score.name for score in SCORES if score.better}


def test_a_table_gets_every_score_but_those_of_content() -> None:
    score = TextScorer(use_stemmer=True)
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
