"""The parameters: the schema of params.yaml, and the only way to read it."""

from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from medtune.errors import InputError
from medtune.params_data import Clean, Count, Section, Split
from medtune.params_errors import explained

PARAMS_FILE = Path("params.yaml")

StepsOrShare = Annotated[float, Field(ge=0)]
Launch = Annotated[str, Field(pattern=r"^\w+$")]  # a file in launch/
# fmt: off
SchedulerName = Literal[
    "linear", "cosine", "cosine_with_restarts", "cosine_with_min_lr", "cosine_warmup_with_min_lr",
    "polynomial", "constant", "constant_with_warmup", "inverse_sqrt", "reduce_lr_on_plateau",
    "warmup_stable_decay", "greedy",
]
ScoreName = Literal[  # those of medtune.scores with a better side
    "rouge1", "rouge2", "rougeL", "rougeL_unicode", "bleu", "chrf", "perplexity", "stopped_rate",
    "repetition_rate", "unsupported_number_rate",
]
# fmt: on


class Download(Section):
    model: str
    dataset: str
    choices_medical: str | None
    choices_general: str | None


class Tokenize(Section):
    prompt_style: Literal["chat", "question_answer"]
    system_prompt: str | None
    max_length_tokens: Annotated[int, Field(ge=16)]
    truncation: Literal["cut", "drop"]
    loss_on: Literal["answer", "all"]
    disclaimer: str | None


class Train(Section):
    launch: Launch
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
    num_train_epochs: Count
    per_device_train_batch_size: Count
    gradient_accumulation_steps: Count
    gradient_checkpointing: bool
    logging_steps: Count
    eval_steps: Annotated[float, Field(gt=0)]
    load_best_model_at_end: bool
    early_stopping_patience: Count | None
    early_stopping_threshold: Annotated[float, Field(ge=0)]
    save_steps: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def check_pissa(self) -> Self:
        if self.quantization != "none" and str(self.init_lora_weights).startswith("pissa"):
            raise ValueError("init_lora_weights: pissa needs quantization: none")
        return self


class Evaluate(Section):
    launch: Launch
    engine: Literal["medtune", "vllm"]
    max_new_tokens: Count
    batch_size: Count
    temperature: Annotated[float, Field(ge=0)]
    top_p: Annotated[float, Field(gt=0, le=1)]
    repetition_penalty: Annotated[float, Field(gt=0)]
    use_stemmer: bool
    choice_questions: Annotated[int, Field(ge=0)] | None


class Compare(Section):
    resamples: Annotated[int, Field(ge=100)]
    confidence: Annotated[float, Field(gt=0, lt=1)]
    fail_if_worse: dict[ScoreName, Annotated[float, Field(ge=0)]]


class Guard(Section):
    scope: Literal["off", "warn", "block"]
    max_false_block_rate: Annotated[float, Field(ge=0, lt=1)]
    questions_per_template: Count
    regularization: Annotated[float, Field(gt=0)]


class Params(Section):
    """All of params.yaml."""

    preset: str
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    download: Download
    clean: Clean
    split: Split
    tokenize: Tokenize
    train: Train
    evaluate: Evaluate
    compare: Compare
    guard: Guard


def read_yaml(path: Path) -> Any:
    """Reads YAML 1.2 with comments kept: `1e-05`, as DVC writes it, is a number."""
    try:
        return YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: restore it with `git checkout {path}`") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{path}{where} is not valid YAML: {problem}") from None


def validate(content: Any, source: Path = PARAMS_FILE) -> Params:
    """Checks the whole file; raises one InputError that lists every problem, value and remedy."""
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(explained(error, content, Params))
        raise InputError(f"{problems} ({source})") from None


def load_params(*names: str) -> Any:
    """Returns the named parts of params.yaml, and no other, after checking the whole file.

    A name is a section (`train`), a value (`seed`) or a dotted path (`download.model`). One name
    gives its value, several give a tuple in their order.
    """
    params = validate(read_yaml(PARAMS_FILE))
    values = tuple(reduce(getattr, name.split("."), params) for name in names)
    return values[0] if len(values) == 1 else values
