"""Answers the validation and test questions with a model and scores the answers.

Reads data/tokens/{validation,test}.arrow, data/tokens/prompt.json, data/choices/, models/base/,
models/adapter/ (`finetuned`) and data/split/train.parquet (`few_shot`); writes in
data/predictions/ <name>.parquet (test questions), <name>_validation.parquet, <name>_choices.parquet
(multiple choice) and <name>_general.parquet (not medical), and metrics/evaluate_<name>.json.
Run: python -m stages.evaluate base (or few_shot, finetuned, finetuned_few_shot)
"""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from medtune.baselines.few_shot_prompts import FewShotPrompts
from medtune.baselines.nearest import TEXTS
from medtune.config.loading import load_params
from medtune.config.schema import Evaluate
from medtune.generation.answer_columns import answer_columns, warn_of_thoughts
from medtune.generation.freed_memory import keep_freed_memory
from medtune.modeling.adapters import ADAPTER, load_adapter
from medtune.modeling.launch import launch
from medtune.modeling.loading import context_tokens, load_base, load_tokenizer
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.modeling.token_files import PROMPT_FORMAT, TOKENS, ListColumn, read_tokens, texts
from medtune.runtime.atomic_files import read_table, write_json, write_table
from medtune.runtime.errors import InputError
from medtune.runtime.progress import is_main_process
from medtune.runtime.stage import run
from medtune.scoring import choice_answers, out_of_domain_questions, predictions
from medtune.scoring.answer_counts import TextCounter, signatures
from medtune.scoring.calibration import choice_metrics
from medtune.scoring.choice_questions import Question, read_questions
from medtune.scoring.scores import score_table
from medtune.scoring.system_names import ADAPTED, MODELS, SHOWN_CARDS, is_off

if TYPE_CHECKING:
    from medtune.generation.answering import Answer

logger = logging.getLogger("medtune")

TRAINING = Path("data/split/train.parquet")
PREDICTIONS = Path("data/predictions")
SCHEMAS = {  # of the tables that are written, by the end of the file's name
    "": predictions.SCHEMA,
    "_validation": predictions.SCHEMA,
    "_choices": choice_answers.SCHEMA,
    "_general": out_of_domain_questions.SCHEMA,
}


def ask(
    name: str,
    encoder: PromptEncoder,
    cards: pa.Table,
    questions: list[Question],
    general: Sequence[str],
    params: Evaluate,
    seed: int,
) -> tuple[list[tuple[float, int]], pa.Table, list["Answer"]]:
    """Returns the references' losses, the choices, and answers to cards and general questions."""
    from medtune.generation import answering, engines, generate
    from medtune.modeling.token_losses import summed_losses

    engine = engines.find_engine(params)  # fails before the model answers
    logger.info("loading the model")
    model = load_base()
    if name in SHOWN_CARDS:
        training = read_table(TRAINING, "split", TEXTS)
        prompts = FewShotPrompts(encoder, training, params.few_shot, cards["question"].to_pylist())
        cards = prompts.table(cards, context_tokens(model.config), params.max_new_tokens)
        del training, prompts  # they may be large
    if name in ADAPTED:
        model = load_adapter(model)
    ids, lengths = cards["input_ids"], cards["prompt_length"].to_pylist()
    choices = choice_answers.answer_choices(model, encoder, questions)
    more = encoder.batch_question_ids(general)
    lengths += map(len, more)
    all_ids = pa.chunked_array([*ids.chunks, pa.array(more, ids.type)])
    asked, references = ListColumn(all_ids, ends=lengths), ListColumn(all_ids, starts=lengths)
    if engine is None:
        answers = answering.answer_all(model, encoder, asked, params, seed, references)
        return [answer.reference_loss for answer in answers[: len(cards)]], choices, answers
    answering.longest_answer(model, asked, params)  # fails if it does not fit
    losses = summed_losses(model, ListColumn(ids), lengths[: len(cards)])
    ends, adapter = generate.end_ids(model, encoder), ADAPTER if name in ADAPTED else None
    del model  # the engine needs the memory
    if not is_main_process():  # the engine answers all questions in one
        return losses, choices, []
    return losses, choices, engine.answer_all(encoder, asked, params, seed, ends, adapter)


def write(name: str, tables: list[pa.Table], metrics: dict[str, Any]) -> None:
    for suffix, table in zip(SCHEMAS, tables, strict=True):
        write_table(PREDICTIONS / f"{name}{suffix}.parquet", table)
    write_json(Path("metrics") / f"evaluate_{name}.json", metrics)


def answer(name: str, params: Evaluate, seed: int) -> int:
    """Writes a model's answers and scores; returns the number of generated tokens."""
    test, validation = (read_tokens(TOKENS / f"{split}.arrow") for split in ("test", "validation"))
    cards = pa.concat_tables([test, validation])
    counter = TextCounter(params.use_stemmer, params.metrics)  # fails before the model answers
    encoder = PromptEncoder(load_tokenizer(), PromptFormat.load(PROMPT_FORMAT))
    general = () if name in SHOWN_CARDS else out_of_domain_questions.QUESTIONS
    questions, dropped = read_questions(params.choice_questions if general else 0)
    losses, choices, answers = ask(name, encoder, cards, questions, general, params, seed)
    if not is_main_process():
        return 0
    columns = (answer_columns(encoder, *pair) for pair in zip(answers, losses, strict=False))
    table = predictions.prediction_table(texts(cards), columns, counter)
    warn_of_thoughts(name, table)
    rows = [
        {"question": q, "prediction": encoder.without_thought(a.text)[0], "stopped": a.stopped}
        for q, a in zip(general, answers[len(losses) :], strict=True)
    ]
    asked = pa.Table.from_pylist(rows, out_of_domain_questions.SCHEMA)
    tested = table[: len(test)]
    scores = score_table(tested, counter.scores)
    metrics = {"n": len(test), "non_ascii_rows": sum(tested["non_ascii"].to_pylist())}
    metrics |= signatures(params.use_stemmer, table["reference"].to_pylist())
    metrics |= scores | dropped | choice_metrics(choices)
    write(name, [tested, table[len(test) :], choices, asked], metrics)
    found = f"ROUGE-L {scores['rougeL']:.3f}, perplexity {scores['perplexity']:.2f}"
    logger.info(f"{name}: {len(test)} questions → {found}: {PREDICTIONS / name}.parquet")
    return sum(answer.tokens for answer in answers)


def main() -> int:
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if name not in MODELS:
        raise InputError(
            f"evaluate takes one of {', '.join(MODELS)}, got {' '.join(sys.argv[1:])!r}"
        )
    params, seed = load_params("evaluate", "seed")
    if is_off(name, params.few_shot, params.few_shot_finetuned):
        write(name, [schema.empty_table() for schema in SCHEMAS.values()], {"n": 0})
        logger.info(f"{name} is switched off by evaluate.few_shot or evaluate.few_shot_finetuned")
        return 0
    launch(params.launch, "stages.evaluate", name)
    keep_freed_memory()
    return answer(name, params, seed)


if __name__ == "__main__":
    run("_".join(["evaluate", *(name for name in sys.argv[1:] if name in MODELS)]), main)
