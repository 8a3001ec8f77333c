"""The bodies of OpenAI's chat completions, as far as supported; other fields are refused.

https://platform.openai.com/docs/api-reference/chat
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it contains half of a surrogate pair") from None
    return text


Text = Annotated[str, AfterValidator(_whole)]
FinishReason = Literal["stop", "length"]


class Body(BaseModel):
    """Closed and strict: no unknown field, no text where a number belongs."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class TextPart(Body):
    type: Literal["text"]
    text: Text


class Message(Body):
    """`developer` is another name for `system`."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | Annotated[list[TextPart], Field(min_length=1)]
    # Empty fields that clients send back with an answer: OpenAI's, then Gradio's.
    refusal: None = None
    annotations: None = None
    audio: None = None
    function_call: None = None
    tool_calls: None = None
    metadata: None = None
    options: None = None

    def for_prompt(self) -> dict[str, str]:
        """Returns the message as medtune.modeling.prompts takes it."""
        parts = [self.content] if isinstance(self.content, str) else (p.text for p in self.content)
        role = "system" if self.role == "developer" else self.role
        return {"role": role, "content": "".join(parts)}


class StreamOptions(Body):
    include_usage: bool = False


class ChatRequest(Body):
    """`evaluate` in params.yaml decides what a request leaves out."""

    model: str = Field(description="one of GET /v1/models")
    messages: Annotated[list[Message], Field(min_length=1)] = Field(
        description="at most one system message, which comes first; the last is the user's"
    )
    stream: bool = Field(False, description="answer piece by piece, as server-sent events")
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(None, description="0 is greedy")
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = Field(
        None, description="the older name of max_completion_tokens"
    )
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = Field(
        None, description="same seed, same answer"
    )
    n: Annotated[int, Field(ge=1, le=1)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = Field(
        None, description="above 0, words that the answer already has become less likely"
    )
    presence_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    user: str | None = Field(None, description="not used")


def _is_none(value: object) -> bool:
    return value is None


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


class Choice(BaseModel):
    index: int = 0
    message: AnswerMessage
    finish_reason: FinishReason
    logprobs: None = None


class ChatCompletion(BaseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(description="seconds since 1970")
    model: str
    choices: list[Choice]
    usage: Usage
    notice: Notice | None = Field(default=None, exclude_if=_is_none)


class Delta(BaseModel):
    role: Literal["assistant"] | None = Field(default=None, exclude_if=_is_none)
    content: str | None = Field(default=None, exclude_if=_is_none)


class ChunkChoice(BaseModel):
    index: int = 0
    delta: Delta
    finish_reason: FinishReason | None = None
    logprobs: None = None


class ChatCompletionChunk(BaseModel):
    """One event of a stream; the one with `usage` has no choices, the first may have a notice."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = Field(default=None, exclude_if=_is_none)
    notice: Notice | None = Field(default=None, exclude_if=_is_none)


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "medtune"


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


class Status(BaseModel):
    status: str
