"""Answers the test questions with the base or the fine-tuned model and scores the answers.

Reads data/tokens/test.arrow, data/tokens/prompt.json, data/choices/, models/base/ and, for
`finetuned`, models/adapter/; writes data/predictions/<name>.parquet, <name>_choices.parquet
(multiple choice), <name>_general.parquet (questions that are not medical) and
metrics/evaluate_<name>.json.

    python -m stages.evaluate base
    python -m stages.evaluate finetuned
"""

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from medtune.config.loading import load_params
from medtune.config.schema import Evaluate
from medtune.modeling.adapters import ADAPTER, load_adapter
from medtune.modeling.launch import launch
from medtune.modeling.loading import load_base, load_tokenizer
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.modeling.token_files import PROMPT_FORMAT, TOKENS, read_tokens
from medtune.runtime.errors import InputError
from medtune.runtime.files import write_json, write_table
from medtune.runtime.progress import is_main_process
from medtune.runtime.stage import run
from medtune.scoring.calibration import choice_metrics
from medtune.scoring.choice_questions import Question, read_questions
from medtune.scoring.multiple_choice import answer_choices
from medtune.scoring.out_of_domain import QUESTIONS
from medtune.scoring.scores import TextScorer, score_table, signatures

if TYPE_CHECKING:
    from medtune.generation.generate import Answer

logger = logging.getLogger("medtune")

PREDICTIONS = Path("data/predictions")
METRICS = Path("metrics")
NAMES = ("base", "finetuned")


def ask(
    name: str,
    encoder: PromptEncoder,
    rows: dict[str, list[Any]],
    questions: list[Question],
    params: Evaluate,
    seed: int,
) -> tuple[list[tuple[float, int]], pa.Table, list["Answer"]]:
    """Returns the references' losses, the choices, and answers to the rows and QUESTIONS."""
    from medtune.generation.generate import answer_all, end_ids
    from medtune.modeling.losses import summed_losses

    logger.info("loading the model")
    model = load_base()
    if name == "finetuned":
        model = load_adapter(model)
    losses = summed_losses(model, rows["input_ids"], rows["prompt_length"])
    choices = answer_choices(model, encoder, questions)
    cut = zip(rows["input_ids"], rows["prompt_length"], strict=True)
    prompts = [ids[:length] for ids, length in cut]
    prompts += [encoder.question_ids(question) for question in QUESTIONS]
    if params.engine == "medtune":
        return losses, choices, answer_all(model, encoder, prompts, params, seed)
    ends = end_ids(model, encoder)
    del model  # vLLM needs the memory
    from medtune.generation import vllm as vllm_engine

    adapter = ADAPTER if name == "finetuned" else None
    answers = vllm_engine.answer_all(encoder, prompts, params, seed, ends, adapter)
    return losses, choices, answers


def predictions(
    rows: dict[str, list[Any]],
    losses: list[tuple[float, int]],
    answers: list["Answer"],
    encoder: PromptEncoder,
    params: Evaluate,
) -> pa.Table:
    """Returns the test records with answers and the counts that medtune.scoring.scores sums."""
    score = TextScorer(params.use_stemmer)
    columns = ("id", "kind", "topic", "group", "question")
    table = []
    for n, (answer, (nll, answer_tokens)) in enumerate(zip(answers, losses, strict=True)):
        text, disclaimed = encoder.format.without_disclaimer(answer.text)
        table.append(
            {
                **{column: rows[column][n] for column in columns},
                "reference": rows["answer"][n],
                "prediction": text,
                "nll": nll,
                "answer_tokens": answer_tokens,
                "stopped": answer.stopped,
                "new_tokens": answer.tokens,
                "disclaimer": disclaimed,
                **score(text, rows["answer"][n], rows["question"][n]),
            }
        )
    return pa.Table.from_pylist(table)


def main() -> int:
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if name not in NAMES:
        raise InputError(
            f"evaluate takes one of {', '.join(NAMES)}, got {' '.join(sys.argv[1:])!r}"
        )
    params, seed = load_params("evaluate", "seed")
    launch(params.launch, "stages.evaluate", name)
    rows = read_tokens(TOKENS / "test.arrow").to_pydict()
    encoder = PromptEncoder(load_tokenizer(), PromptFormat.load(PROMPT_FORMAT))
    questions, dropped = read_questions(params.choice_questions)
    losses, choices, answers = ask(name, encoder, rows, questions, params, seed)
    if not is_main_process():
        return 0
    table = predictions(rows, losses, answers[: len(losses)], encoder, params)
    general = [
        {"question": question, "prediction": answer.text, "stopped": answer.stopped}
        for question, answer in zip(QUESTIONS, answers[len(losses) :], strict=True)
    ]
    scores = score_table(table)
    counts = {"n": table.num_rows, "non_ascii_rows": sum(table["non_ascii"].to_pylist())}
    write_table(PREDICTIONS / f"{name}.parquet", table)
    write_table(PREDICTIONS / f"{name}_choices.parquet", choices)
    write_table(PREDICTIONS / f"{name}_general.parquet", pa.Table.from_pylist(general))
    metrics = counts | scores | signatures(params.use_stemmer) | dropped | choice_metrics(choices)
    write_json(METRICS / f"evaluate_{name}.json", metrics)
    logger.info(
        f"{name}: {table.num_rows} questions → ROUGE-L {scores['rougeL']:.3f}, perplexity "
        f"{scores['perplexity']:.2f}: {PREDICTIONS / name}.parquet"
    )
    return sum(answer.tokens for answer in answers)


if __name__ == "__main__":
    run("_".join(["evaluate", *(name for name in sys.argv[1:] if name in NAMES)]), main)
