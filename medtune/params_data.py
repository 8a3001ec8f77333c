"""The sections of params.yaml that make the cards and their splits, and what a section is."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


class Section(BaseModel):
    """Closed and strict: no unknown key, no text where a number belongs, no default in code."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Columns(Section):
    """Which column of a table holds which field of a record; kind and topic may be left out."""

    question: str
    answer: str
    kind: str | None = None
    topic: str | None = None


class Rules(Section):
    """Which rules of medtune.cleaning are applied, in their order."""

    encoding: bool
    html: bool
    markup: bool
    control_characters: bool
    bidi_controls: bool
    zero_width: bool
    unicode: bool
    whitespace: bool


class Clean(Section):
    reader: Literal["hpo", "medical_meadow", "medquad", "columns"]
    columns: Columns | None
    rules: Rules
    min_question_words: Annotated[int, Field(ge=0)]
    max_question_words: Count
    min_answer_words: Annotated[int, Field(ge=0)]
    max_answer_words: Count
    max_unreadable_share: Share
    personal_data: Literal["ignore", "count", "mask", "drop"]

    @model_validator(mode="after")
    def check_words_and_columns(self) -> Self:
        for cell in ("question", "answer"):
            low, high = getattr(self, f"min_{cell}_words"), getattr(self, f"max_{cell}_words")
            if low > high:
                raise ValueError(f"min_{cell}_words ({low}) exceeds max_{cell}_words ({high})")
        if (self.columns is not None) != (self.reader == "columns"):
            raise ValueError("columns belongs to reader: columns, and that reader needs it")
        return self


class Shares(Section):
    """Fractions of the records, which add up to 1, or counts of records."""

    train: Annotated[float, Field(gt=0)]
    validation: Annotated[float, Field(gt=0)]
    test: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def check_sum(self) -> Self:
        counts = all(self[name] >= 1 and self[name].is_integer() for name in SPLITS)
        if not counts and abs(self.total - 1) > 1e-6:
            raise ValueError(
                "shares must add up to 1, or all be counts of records; "
                f"they add up to {self.total:g}"
            )
        return self

    def __getitem__(self, name: SplitName) -> float:
        return getattr(self, name)

    @property
    def total(self) -> float:
        return sum(self[name] for name in SPLITS)

    def fraction(self, name: SplitName) -> float:
        return self[name] / self.total

    def count(self, name: SplitName) -> int | None:
        return int(self[name]) if self[name] >= 1 else None


class MaxRecords(Section):
    train: Count | None
    validation: Count | None
    test: Count | None


class Split(Section):
    shares: Shares
    max_records: MaxRecords
    balance_kinds: bool
    near_duplicate_similarity: Annotated[float, Field(gt=0, le=1)]
    max_group_share: Annotated[float, Field(gt=0, le=1)]

    def limit(self, name: SplitName) -> int | None:
        """The most records that a split may have: its count or max_records, whichever is less."""
        limits = (self.shares.count(name), getattr(self.max_records, name))
        return min((limit for limit in limits if limit), default=None)
