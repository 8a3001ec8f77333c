"""The schema of params.yaml: one class for each section, and Params for the whole file."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from medtune.config.allowed_values import (
    SPLITS,
    Count,
    Identifier,
    Launch,
    RivalAndScore,
    SchedulerName,
    ScoreName,
    Seed,
    Share,
    Source,
    SplitName,
    StepsOrShare,
)


class Section(BaseModel):
    """A section of params.yaml: rejects unknown keys and wrong types, and has no defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Download(Section):
    model: str
    dataset: Source
    choices_medical: str | None
    choices_general: str | None


class Columns(Section):
    """The columns of a table with the fields of a record; kind and topic are optional."""

    question: str
    answer: str
    kind: str | None = None
    topic: str | None = None


class Rules(Section):
    """The rules of medtune.cards.cleaning to apply, in this order."""

    encoding: bool
    html: bool
    markup: bool
    control_characters: bool
    bidi_controls: bool
    zero_width: bool
    unicode: bool
    whitespace: bool


class Clean(Section):
    reader: Literal["auto", "ontologies", "hpo", "medical_meadow", "medquad", "columns"]
    columns: Columns | None
    encoding: str
    rules: Rules
    min_question_words: Annotated[int, Field(ge=0)]
    max_question_words: Count
    min_answer_words: Annotated[int, Field(ge=0)]
    max_answer_words: Count
    max_unreadable_share: Share
    personal_data: Literal["ignore", "count", "mask", "drop"]

    @field_validator("encoding")
    @classmethod
    def check_encoding(cls, encoding: str) -> str:
        try:
            "".encode(encoding)  # refuses codecs that are not for text, such as base64
        except LookupError:
            raise ValueError(
                f"encoding must be one that Python knows, such as utf-8, cp1252 or utf-16, got "
                f"{encoding!r}"
            ) from None
        return encoding

    @model_validator(mode="after")
    def check_words_and_columns(self) -> Self:
        for cell in ("question", "answer"):
            low, high = getattr(self, f"min_{cell}_words"), getattr(self, f"max_{cell}_words")
            if low > high:
                raise ValueError(f"min_{cell}_words ({low}) exceeds max_{cell}_words ({high})")
        if (self.columns is not None) != (self.reader == "columns"):
            raise ValueError("columns must be set if reader is columns, and null otherwise")
        return self


class Shares(Section):
    """Fractions of the records that add up to 1, or counts of records."""

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
        """Returns the most records a split may have: its count or max_records, if that is less."""
        limits = (self.shares.count(name), getattr(self.max_records, name))
        return min((limit for limit in limits if limit), default=None)


class Tokenize(Section):
    prompt_style: Literal["chat", "question_answer"]
    system_prompt: str | None
    chat_template_kwargs: dict[Identifier, int | float | str | bool]
    close_thoughts: bool
    max_length_tokens: Annotated[int, Field(ge=16, lt=2**31)]
    truncation: Literal["cut", "drop"]
    loss_on: Literal["answer", "all"]
    turns: Literal["all", "last"]
    disclaimer: str | None


class Train(Section):
    launch: Launch
    seed: Seed | None
    precision: Literal["auto", "fp32", "bf16", "fp16"]
    quantization: Literal["none", "nf4", "fp4"]
    bnb_4bit_use_double_quant: bool
    r: Count
    lora_alpha: Count
    use_rslora: bool
    use_dora: bool
    init_lora_weights: Literal[True, "gaussian", "pissa", "pissa_niter_4", "pissa_niter_16"]
    loraplus_lr_ratio: Annotated[float, Field(ge=1)] | None
    lora_dropout: Annotated[float, Field(ge=0, lt=1)]
    bias: Literal["none", "all", "lora_only"]
    target_modules: Literal["all-linear"] | Annotated[list[str], Field(min_length=1)]
    optim: Literal["adamw_torch", "paged_adamw_8bit"]
    lr: Annotated[float, Field(gt=0)]
    lr_scheduler_type: SchedulerName
    lr_scheduler_kwargs: dict[str, int | float | str | bool]
    warmup_steps: StepsOrShare
    weight_decay: Annotated[float, Field(ge=0)]
    max_grad_norm: Annotated[float, Field(gt=0)]
    neftune_noise_alpha: Annotated[float, Field(gt=0)] | None
    num_train_epochs: Annotated[int, Field(ge=1, le=10_000)]
    per_device_train_batch_size: Count
    gradient_accumulation_steps: Count
    tokens_per_pass: Literal["auto"] | Count
    gradient_checkpointing: bool
    logging_steps: Count
    eval_steps: Annotated[float, Field(gt=0)]
    load_best_model_at_end: bool
    early_stopping_patience: Count | None
    early_stopping_threshold: Annotated[float, Field(ge=0)]
    save_steps: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def check_pissa(self) -> Self:
        """What PiSSA learned is saved as a difference of low-rank matrices, and nothing else."""
        needed = {"quantization": "none", "use_dora": False, "bias": "none"}
        wrong = [name for name, value in needed.items() if getattr(self, name) != value]
        if wrong and str(self.init_lora_weights).startswith("pissa"):
            remedies = (f"{n}: {str(needed[n]).lower()}, not {getattr(self, n)}" for n in wrong)
            raise ValueError(
                f"init_lora_weights: {self.init_lora_weights} needs {' and '.join(remedies)}; "
                "or set init_lora_weights: true"
            )
        return self

    def seed_or(self, shared: int) -> int:
        """Returns the seed of the training: its own, or else the one that all stages share."""
        return shared if self.seed is None else self.seed


class Metric(Section):
    """A metric of the library evaluate: a name, or a folder in custom_metrics/."""

    name: Annotated[str, Field(pattern=r"^[\w-]+(/[\w-]+)?$")]
    value: str | None = None  # which of its values, if it has several
    higher_is_better: bool | None = None  # null: neither, so that it has no best system
    revision: str | None = None

    @model_validator(mode="before")
    @classmethod
    def from_name(cls, metric: Any) -> Any:
        return {"name": metric} if isinstance(metric, str) else metric

    @property
    def score(self) -> str:
        """The name of its score, in the metrics and as a column of predictions."""
        parts = ("metrics", self.name.rpartition("/")[2], self.value)
        return ".".join(part for part in parts if part)


class Evaluate(Section):
    launch: Launch
    engine: Literal["medtune", "openvino", "vllm"]
    max_new_tokens: Count
    batch_size: Count
    temperature: Annotated[float, Field(ge=0)]
    top_p: Annotated[float, Field(gt=0, le=1)]
    repetition_penalty: Annotated[float, Field(gt=0)]
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)]
    few_shot: Annotated[int, Field(ge=0, le=1000)]
    few_shot_finetuned: bool
    use_stemmer: bool
    metrics: list[Metric]
    choice_questions: Annotated[int, Field(ge=0, lt=2**31)] | None

    @field_validator("metrics")
    @classmethod
    def check_metrics(cls, metrics: list[Metric]) -> list[Metric]:
        for n, b in enumerate(metrics):
            for a in metrics[:n]:
                if a.score == b.score:
                    raise ValueError(f"metrics: {a.name} and {b.name} are both {a.score}: drop one")
        return metrics


class Compare(Section):
    resamples: Annotated[int, Field(ge=100, le=1_000_000)]
    confidence: Annotated[float, Field(gt=0, lt=1)]
    primary: Annotated[list[ScoreName], Field(min_length=1)]
    fail_if_worse: dict[RivalAndScore, Annotated[float, Field(ge=0)]]

    @field_validator("fail_if_worse", mode="before")
    @classmethod
    def join_best(cls, tolerances: Any) -> Any:
        """Turns {best: {rougeL: 0.0}}, which `dvc exp run -S` writes, into {best.rougeL: 0.0}."""
        best = tolerances.get("best") if isinstance(tolerances, dict) else None
        if not isinstance(best, dict):
            return tolerances
        others = {name: value for name, value in tolerances.items() if name != "best"}
        return others | {f"best.{name}": value for name, value in best.items()}

    @model_validator(mode="after")
    def check_primary(self) -> Self:
        if len(set(self.primary)) < len(self.primary):
            raise ValueError("primary: name each score once")
        return self


class Guard(Section):
    scope: Literal["off", "warn", "block"]
    max_false_block_rate: Annotated[float, Field(ge=0, lt=1)]
    questions_per_template: Count
    regularization: Annotated[float, Field(ge=1e-6, le=1e6)]


class Params(Section):
    """All of params.yaml."""

    preset: str
    seed: Seed
    download: Download
    clean: Clean
    split: Split
    tokenize: Tokenize
    train: Train
    evaluate: Evaluate
    compare: Compare
    guard: Guard
