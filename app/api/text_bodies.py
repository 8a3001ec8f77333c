"""The bodies of OpenAI's completions, which continue a prompt that is no conversation.

lm-evaluation-harness asks for them, to read the log-probabilities of given texts.
https://platform.openai.com/docs/api-reference/completions
"""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from app.api.chat_bodies import TIMED_OUT, FinishReason, Notice, Usage, is_false, is_none
from app.api.field_types import (
    NO_PRESENCE_PENALTY,
    ONE_ANSWER,
    Body,
    FrequencyPenalty,
    NoBias,
    Off,
    One,
    Seed,
    Stops,
    Temperature,
    Text,
    TopP,
    Zero,
    refused,
)

NO_STREAM = refused("only chat completions are streamed: leave it out")

Ids = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]


class CompletionRequest(Body):
    """`evaluate` in params.yaml decides what a request leaves out."""

    model: str = Field(description="one of GET /v1/models")
    prompt: Annotated[
        Annotated[Text, Field(min_length=1)]
        | Annotated[list[Annotated[Text, Field(min_length=1)]], Field(min_length=1)]
        | Ids
        | Annotated[list[Ids], Field(min_length=1)],
        refused("it must be a text, its token ids, or a list of texts or of token ids"),
    ] = Field(description="as the model gets it, control tokens included: no template is applied")
    echo: bool | None = Field(None, description="the answer begins with the prompt")
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = Field(
        None, description="how many tokens to name at each position, beside the one that is there"
    )
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    temperature: Temperature | None = Field(None, description="0 is greedy")
    top_p: TopP | None = None
    seed: Seed | None = Field(None, description="same seed, same answer")
    stop: Stops | None = Field(None, description="texts before which the answer ends")
    frequency_penalty: FrequencyPenalty | None = None
    user: str | None = Field(None, description="not used")
    # What would change the answer takes only values that do not.
    n: Annotated[One | None, ONE_ANSWER] = None
    best_of: Annotated[One | None, ONE_ANSWER] = None
    presence_penalty: Annotated[Zero | None, NO_PRESENCE_PENALTY] = None
    logit_bias: NoBias = None
    suffix: Annotated[
        Literal[""] | None, refused("no text can follow the answer: leave it out")
    ] = None
    stream: Annotated[Off | None, NO_STREAM] = None
    stream_options: Annotated[None, NO_STREAM] = None


class Logprobs(BaseModel):
    """Of each token: its text, its log-probability, those of the likeliest, and where it begins.

    Nothing predicts the first token of a prompt. A character that takes several tokens belongs to
    the last of them.
    """

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class TextChoice(BaseModel):
    """`notice` is about an emergency in the prompt. OpenAI has no such field."""

    index: int
    text: str
    finish_reason: FinishReason
    logprobs: Logprobs | None = None
    timed_out: bool = Field(default=False, exclude_if=is_false, description=TIMED_OUT)
    notice: Notice | None = Field(default=None, exclude_if=is_none)


class TextCompletion(BaseModel):
    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[TextChoice]
    usage: Usage
