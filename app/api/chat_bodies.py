"""The bodies of OpenAI's chat completions; other fields are refused.

https://platform.openai.com/docs/api-reference/chat
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.api.field_types import (
    NO_LOGPROBS,
    NO_PRESENCE_PENALTY,
    NO_REASONING,
    NO_SOUND,
    NO_STORE,
    NO_TOOLS,
    ONE_ANSWER,
    PLAIN_TEXT,
    UNSUPPORTED,
    Body,
    FrequencyPenalty,
    NoBias,
    Nothing,
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

FinishReason = Literal["stop", "length"]


class TextPart(Body):
    type: Literal["text"]
    text: Text
    prompt_cache_breakpoint: dict[str, Any] | None = None  # makes no answer different


class Message(Body):
    """`developer` is another name for `system`; system messages are joined, before all others."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | Annotated[list[TextPart], Field(min_length=1)] | None = Field(
        None, description="only an assistant's may be null or missing"
    )
    name: str | None = Field(None, description="not used")
    # Empty fields that clients send back with an answer: OpenAI's, then Gradio's.
    refusal: None = None
    annotations: Nothing | None = None
    audio: None = None
    function_call: None = None
    tool_calls: Annotated[Nothing | None, NO_TOOLS] = None
    metadata: None = None
    options: None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.content is None and self.role != "assistant":
            problem = "content must be text: only an assistant's may be null"
            raise PydanticCustomError(UNSUPPORTED, "{problem}", {"problem": problem})
        return self

    def for_prompt(self) -> dict[str, str]:
        """Returns the message as medtune.modeling.prompts takes it."""
        content = self.content or ""
        parts = [content] if isinstance(content, str) else (part.text for part in content)
        role = "system" if self.role == "developer" else self.role
        return {"role": role, "content": "".join(parts)}


class StreamOptions(Body):
    include_usage: bool = False
    include_obfuscation: Annotated[
        Off | None, refused("chunks are not padded to hide their length: leave it out")
    ] = None


class TextFormat(Body):
    type: Literal["text"]


class ChatRequest(Body):
    """`evaluate` in params.yaml decides what a request leaves out."""

    model: str = Field(description="one of GET /v1/models")
    messages: Annotated[list[Message], Field(min_length=1)] = Field(
        description="the last is the user's"
    )
    stream: bool | None = Field(None, description="answer piece by piece, as server-sent events")
    stream_options: StreamOptions | None = None
    temperature: Temperature | None = Field(None, description="0 is greedy")
    top_p: TopP | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = Field(
        None, description="the older name of max_completion_tokens"
    )
    seed: Seed | None = Field(None, description="same seed, same answer")
    stop: Stops | None = Field(None, description="texts before which the answer ends")
    frequency_penalty: FrequencyPenalty | None = Field(
        None, description="above 0, words that the answer already has become less likely"
    )
    # What changes no answer is accepted and not used.
    user: str | None = None
    safety_identifier: str | None = None
    metadata: dict[str, str] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    prediction: dict[str, Any] | None = None  # would only make the answer faster
    parallel_tool_calls: bool | None = None  # there are no tools
    # What would change the answer takes only values that do not.
    n: Annotated[One | None, ONE_ANSWER] = None
    presence_penalty: Annotated[Zero | None, NO_PRESENCE_PENALTY] = None
    logit_bias: NoBias = None
    logprobs: Annotated[Off | None, NO_LOGPROBS] = None
    top_logprobs: Annotated[Annotated[int, Field(ge=0, le=0)] | None, NO_LOGPROBS] = None
    response_format: Annotated[TextFormat | None, PLAIN_TEXT] = None
    tools: Annotated[Nothing | None, NO_TOOLS] = None
    tool_choice: Annotated[Literal["none", "auto"] | None, NO_TOOLS] = None
    functions: Annotated[Nothing | None, NO_TOOLS] = None
    function_call: Annotated[Literal["none", "auto"] | None, NO_TOOLS] = None
    audio: Annotated[None, NO_SOUND] = None
    modalities: Annotated[
        Annotated[list[Literal["text"]], Field(max_length=1)] | None, NO_SOUND
    ] = None
    reasoning_effort: Annotated[Literal["none"] | None, NO_REASONING] = None
    verbosity: Annotated[
        Literal["medium"] | None, refused("ask for a length in a message: leave it out")
    ] = None
    service_tier: Annotated[
        Literal["auto", "default"] | None, refused("all requests wait in one queue: leave it out")
    ] = None
    store: Annotated[Off | None, NO_STORE] = None
    moderation: Annotated[
        None, refused("the guard of the server checks all questions: leave it out")
    ] = None
    web_search_options: Annotated[
        None, refused("this server does not search the web: leave it out")
    ] = None


def is_none(value: object) -> bool:
    return value is None


def is_false(value: bool) -> bool:
    return not value


class Usage(BaseModel):
    """Numbers of tokens, including the one that ends an answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AnswerMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class NoticeCall(BaseModel):
    """A number to call."""

    model_config = ConfigDict(from_attributes=True)

    label: str
    number: str


class Notice(BaseModel):
    """About an emergency; it is the answer's first paragraph, too. OpenAI has no such field."""

    model_config = ConfigDict(from_attributes=True)

    kind: str
    title: str
    text: str
    calls: list[NoticeCall]


TIMED_OUT = "the server's time limit has cut the answer; OpenAI has no such field"


class Choice(BaseModel):
    index: int = 0
    message: AnswerMessage
    finish_reason: FinishReason
    timed_out: bool = Field(default=False, exclude_if=is_false, description=TIMED_OUT)
    logprobs: None = None


class ChatCompletion(BaseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(description="seconds since 1970")
    model: str
    choices: list[Choice]
    usage: Usage
    notice: Notice | None = Field(default=None, exclude_if=is_none)


class Delta(BaseModel):
    role: Literal["assistant"] | None = Field(default=None, exclude_if=is_none)
    content: str | None = Field(default=None, exclude_if=is_none)


class ChunkChoice(BaseModel):
    index: int = 0
    delta: Delta
    finish_reason: FinishReason | None = None
    timed_out: bool = Field(default=False, exclude_if=is_false, description=TIMED_OUT)
    logprobs: None = None


class ChatCompletionChunk(BaseModel):
    """One event of a stream; the one with `usage` has no choices, the first may have a notice."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = Field(default=None, exclude_if=is_none)
    notice: Notice | None = Field(default=None, exclude_if=is_none)
