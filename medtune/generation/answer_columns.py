"""What of a model's answer is scored: the answer without a thought before it or a disclaimer."""

import logging
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from medtune.modeling.prompts import PromptEncoder

if TYPE_CHECKING:
    from medtune.generation.answering import Answer

logger = logging.getLogger("medtune")

Row = dict[str, Any]


def answer_columns(encoder: PromptEncoder, answer: "Answer", loss: tuple[float, int]) -> Row:
    """Returns what a row of predictions holds of a model's answer and the reference's loss."""
    text, thought = encoder.without_thought(answer.text)
    text, disclaimed = encoder.format.without_disclaimer(text)
    known = {"prediction": text, "nll": loss[0], "answer_tokens": loss[1], "disclaimer": disclaimed}
    known |= {"stopped": answer.stopped, "new_tokens": answer.tokens}
    return known | ({"thought": thought} if encoder.thought_markers else {})


def warn_of_thoughts(name: str, answers: pa.Table) -> None:
    """Says how many answers came after a thought, and how many were cut within it."""
    if "thought" not in answers.column_names:
        return
    thoughts = answers.filter(answers["thought"])
    cut = thoughts["prediction"].to_pylist().count("")
    if len(thoughts):
        logger.warning(
            f"{name}: {len(thoughts)} of {len(answers)} answers began with a thought, which is not "
            f"scored; {cut} have nothing after it: raise evaluate.max_new_tokens, or turn thoughts "
            "off (tokenize.chat_template_kwargs)"
        )
