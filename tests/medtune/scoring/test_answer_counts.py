import numpy as np
import pytest
import sacrebleu

from medtune.scoring.answer_counts import TextCounter, repetition, signatures
from medtune.scoring.scores import bleu

CHINESE = {"prediction": "高血压是一种慢性疾病。", "reference": "高血压是常见的慢性疾病。"}
THAI = {"prediction": "โรคนี้เป็นโรคเรื้อรัง", "reference": "โรคนี้เป็นโรคปอดเรื้อรัง"}
HINDI = {"prediction": "मधुमेह एक पुराना रोग है", "reference": "मधुमेह एक सामान्य रोग है"}
JAPANESE = {"prediction": "これは肺の慢性の病気です", "reference": "これは肺の病気です"}


@pytest.mark.parametrize(
    ("texts", "words"), [(CHINESE, 10), (HINDI, 5), (JAPANESE, 12), (THAI, 15)]
)
def test_near_equal_sentences_score_high_in_every_script(texts: dict[str, str], words: int) -> None:
    row = TextCounter(use_stemmer=True)(**texts, question="")
    assert row["rougeL_unicode"] > 0.75
    assert bleu(np.array(row["bleu_statistics"])) > 20
    assert row["words"] == words


def test_bleu_of_chinese_is_that_of_sacrebleu_and_its_signature_says_so() -> None:
    row = TextCounter(use_stemmer=True)(**CHINESE, question="")
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
    row = TextCounter(use_stemmer=True)("慢性疾病慢性疾病", "慢性疾病", "")
    assert (row["words"], row["reference_words"], row["repetition"]) == (8, 4, pytest.approx(0.2))


def test_rouge_counts_stems_only_if_asked() -> None:
    assert TextCounter(use_stemmer=True)("fevers", "fever", "")["rouge1"] == 1
    assert TextCounter(use_stemmer=False)("fevers", "fever", "")["rouge1"] == 0


def test_rows_that_rouge_does_not_see_whole_are_marked() -> None:
    score = TextCounter(use_stemmer=True)
    plain, greek = score("beta cell", "beta cells", ""), score("beta cell", "β cell", "")
    assert (plain["non_ascii"], greek["non_ascii"]) == (False, True)
    assert plain["rougeL_unicode"] == plain["rougeL"]


def test_numbers_of_the_question_are_supported() -> None:
    score = TextCounter(use_stemmer=True)
    row = score("Type 2 begins at 40 years, 30 at the earliest.", "In adults.", "What is type 2?")
    assert (row["unsupported"], row["unsupported_numbers"]) == (True, "40 years; 30")


def test_signatures_are_those_that_sacrebleu_prints() -> None:
    metric = sacrebleu.metrics.BLEU()
    metric.corpus_score(["a cat"], [["a dog"]])
    found = signatures(use_stemmer=True, references=["a dog"])
    assert found["bleu_signature"] == str(metric.get_signature())
    assert found["chrf_signature"].startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0")
    assert found["rouge_signature"].startswith("stem:yes|tok:a-z0-9|version:")


@pytest.mark.parametrize(
    ("text", "share"), [("a b c d a b c d", 0.2), ("a b c d", 0.0), ("", 0.0), ("a a a a a", 0.5)]
)
def test_repetition_is_the_share_of_4_grams_seen_before(text: str, share: float) -> None:
    assert repetition(text.split()) == pytest.approx(share)
