"""Compares our multiple-choice scores with those of lm-evaluation-harness.

Needs `pip install lm-eval==0.4.13` beside the pinned requirements, and the outputs of `dvc repro
evaluate@base`. lm-eval gets each prompt and its options as text, encodes them itself, and reports
its own log-likelihoods and `acc_norm`.

    python -m benchmarks.check_choices [--rows 100] [--set medical]
"""

import argparse
from typing import Any

import numpy as np

from medtune.config.loading import load_params
from medtune.modeling.loading import BASE, load_base, load_tokenizer
from medtune.modeling.logit_checks import enable_prefix_sharing
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.modeling.token_files import PROMPT_FORMAT
from medtune.scoring.calibration import choice_metrics
from medtune.scoring.choice_answers import answer_choices, log_likelihoods
from medtune.scoring.choice_questions import Question, read_questions


def harness(encoder: PromptEncoder, questions: list[Question]) -> dict[str, Any]:
    """Returns lm-eval's results for the base model, with a log of each question."""
    from datasets import Dataset
    from lm_eval import simple_evaluate
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.models.huggingface import HFLM

    rows = [
        {
            "context": encoder.tokenizer.decode(encoder.question_ids(question.question)),
            "options": question.options,
            "correct": question.correct,
        }
        for question in questions
    ]
    config = {
        "task": "choices",
        "custom_dataset": lambda **_: {"test": Dataset.from_list(rows)},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "context",
        "doc_to_choice": "options",
        "doc_to_target": "correct",
        "target_delimiter": "",
        "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
    }
    model = HFLM(pretrained=str(BASE), device="cpu", dtype="float32", batch_size=4)
    return simple_evaluate(model=model, tasks=[ConfigurableTask(config=config)], bootstrap_iters=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100, help="questions of the set")
    parser.add_argument("--set", default="medical", help="medical or general")
    arguments = parser.parse_args()
    questions, _ = read_questions(load_params("evaluate.choice_questions"))
    questions = [q for q in questions if q.set == arguments.set][: arguments.rows]
    encoder = PromptEncoder(load_tokenizer(), PromptFormat.load(PROMPT_FORMAT))
    results = harness(encoder, questions)
    samples = sorted(results["samples"]["choices"], key=lambda sample: sample["doc_id"])
    theirs = [np.array([score for score, _ in sample["filtered_resps"]]) for sample in samples]
    model = load_base("fp32")
    enable_prefix_sharing(model)
    ours = [log_likelihoods(model, encoder, [question])[0] for question in questions]
    gaps = [their - our for their, our in zip(theirs, ours, strict=True)]
    print(f"{len(questions)} {arguments.set} questions, {sum(map(len, ours))} options")
    print(f"largest difference of log-likelihoods: {max(abs(gap).max() for gap in gaps):.1e} nats,")
    print(f"between options of a question: {max(np.ptp(gap) for gap in gaps):.1e} nats")
    answers = answer_choices(model, encoder, questions)
    print(f"accuracy: lm-eval {results['results']['choices']}, ours {choice_metrics(answers)}")


if __name__ == "__main__":
    main()
