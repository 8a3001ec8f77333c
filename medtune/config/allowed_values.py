"""The types of the values in params.yaml: ranges, and names to choose from."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidatorFunctionWrapHandler, WrapValidator

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
StepsOrShare = Annotated[float, Field(ge=0)]
Launch = Annotated[str, Field(pattern=r"^\w+$")]  # a file in launch/
Source = str | Annotated[list[str], Field(min_length=1)]  # a URI, or several
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]
# fmt: off
ScoreName = Literal[  # the scores of medtune.scoring.scores that can get better or worse
    "rouge1", "rouge2", "rougeL", "rougeL_unicode", "bleu", "chrf", "content_f1", "meaning",
    "facts", "perplexity", "stopped_rate", "repetition_rate", "unsupported_number_rate",
]
SchedulerName = Literal[  # the learning-rate schedules of transformers
    "linear", "cosine", "cosine_with_restarts", "cosine_with_min_lr", "cosine_warmup_with_min_lr",
    "polynomial", "constant", "constant_with_warmup", "inverse_sqrt", "reduce_lr_on_plateau",
    "warmup_stable_decay", "greedy",
]
# fmt: on


def _rival_and_score(name: Any, check: ValidatorFunctionWrapHandler) -> Any:
    check(name.removeprefix("best.") if isinstance(name, str) else name)
    return name


RivalAndScore = Annotated[ScoreName, WrapValidator(_rival_and_score)]  # rougeL or best.rougeL


def as_list(source: str | list[str] | None) -> list[str]:
    """Returns the URIs of a source of section download."""
    return [source] if isinstance(source, str) else source or []
