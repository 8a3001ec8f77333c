"""Types of the fields that requests share.

Fields of the official client that this server does not support take only the values that change no
answer, which clients send as their defaults.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

UNSUPPORTED = "unsupported"  # the type of an error that `refused` has written
MOST_STOPS = 4


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it contains half of a surrogate pair") from None
    return text


Text = Annotated[str, AfterValidator(_whole)]


class Body(BaseModel):
    """Closed and strict: no unknown field, no text where a number belongs."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def refused(reason: str) -> WrapValidator:
    """Replaces what pydantic says about other values by a reason that ends in a remedy."""

    def validate(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise PydanticCustomError(UNSUPPORTED, "{reason}", {"reason": reason}) from None

    return WrapValidator(validate)


NO_TOOLS = refused("this server has no tools: leave it out")
NO_LOGPROBS = refused("log-probabilities come from /v1/completions: leave it out")
NO_SOUND = refused("this server answers with text only: leave it out")
NO_REASONING = refused("the models do not reason before they answer: leave it out")
ONE_ANSWER = refused("a request gets one answer: leave it out and send more requests")
NO_BIAS = refused("single tokens cannot be made more or less likely: leave it out")
NO_PRESENCE_PENALTY = refused("only 0 is possible: use frequency_penalty")
NO_STORE = refused("answers are not stored: leave it out")
PLAIN_TEXT = refused("only plain text is possible: leave it out")


def _is_off(value: bool) -> bool:
    if value:
        raise ValueError("it must be false")
    return value


# Literal[False] would take 0 as well.
Off = Annotated[bool, AfterValidator(_is_off), Field(json_schema_extra={"const": False})]
Nothing = Annotated[list[Any], Field(max_length=0)]
NoBias = Annotated[Annotated[dict[str, Any], Field(max_length=0)] | None, NO_BIAS]
Zero = Annotated[float, Field(ge=0, le=0)]
One = Annotated[int, Field(ge=1, le=1)]
Stop = Annotated[Text, Field(min_length=1)]
Stops = Annotated[
    Stop | Annotated[list[Stop], Field(max_length=MOST_STOPS)],
    refused(f"it must be a text, or up to {MOST_STOPS} texts, none of them empty"),
]
Temperature = Annotated[float, Field(ge=0, le=2)]
TopP = Annotated[float, Field(gt=0, le=1)]
FrequencyPenalty = Annotated[float, Field(ge=-2, le=2)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]


def stop_strings(given: str | Sequence[str] | None) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given or ())
