"""Runs the same LoRA training with several trainers, each at its best settings.

benchmarks.train starts one process for each run. Its argument is a Job as JSON; the last line that
it prints is the result as JSON.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medtune.config.loading import load_params
from medtune.config.schema import Train
from medtune.modeling.token_files import read_tokens
from medtune.runtime.errors import InputError
from medtune.runtime.stage import one_line_errors, set_up_logging

PADDED_TOKENS = 256  # the length to which published notebooks pad every example
PACKED_TOKENS = 512  # about a batch of 8 cards, so that a step sees as many tokens as elsewhere
NEVER = 10**9

Result = dict[str, float]


@dataclass(frozen=True)
class Job:
    """What one arm trains on; `cards` of the training cards are drawn by the seed."""

    arm: str
    model: str
    tokens: str
    cards: int
    threads: int

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    def params(self) -> tuple[Train, int]:
        """Returns the train section of params.yaml for one plain epoch, and the seed."""
        params, seed = load_params("train", "seed")
        changes: dict[str, Any] = {
            "num_train_epochs": 1,
            "gradient_accumulation_steps": 1,
            "gradient_checkpointing": False,
            "logging_steps": 1,
            "eval_steps": NEVER,
            "save_steps": NEVER,
            "load_best_model_at_end": False,
            "early_stopping_patience": None,
        }
        return params.model_copy(update=changes), seed

    def rows(self, split: str) -> dict[str, list[Any]]:
        table = read_tokens(Path(self.tokens, f"{split}.arrow"))
        if split == "train":
            _, seed = self.params()
            chosen = np.random.default_rng(seed).permutation(len(table))[: self.cards]
            table = table.take(np.sort(chosen))
        return table.select(["input_ids", "loss_start"]).to_pydict()


class Clock:
    """Counts the useful tokens of a run and times all its steps but the first.

    The first step pays for one-time allocation and compilation. An arm calls `count` with the
    useful tokens of each forward pass and `end_step` after each optimiser step.
    """

    def __init__(self, total: int) -> None:
        self.total = total  # useful tokens of the whole run
        self.tokens = self.tokens_of_first = 0
        self.start_s: float | None = None
        self.result: Result = {}

    def count(self, tokens: int) -> None:
        self.tokens += tokens

    def end_step(self) -> None:
        if self.start_s is None:
            synchronize()
            self.start_s, self.tokens_of_first = time.perf_counter(), self.tokens
        elif self.tokens >= self.total:
            synchronize()
            seconds = time.perf_counter() - self.start_s
            rate = (self.tokens - self.tokens_of_first) / seconds
            self.result = {"tokens_per_s": rate, "peak_memory_gib": peak_memory_gib()}

    def finished(self) -> Result:
        """Returns the rate and the memory; raises if the arm saw other tokens than it was given."""
        if self.tokens != self.total:
            raise AssertionError(f"{self.tokens} useful tokens were trained on, not {self.total}")
        if not self.result:
            raise InputError("the run has a single step: raise --cards")
        return self.result


def synchronize() -> None:
    if gpu():
        import torch

        torch.cuda.synchronize()


def peak_memory_gib() -> float:
    if gpu():
        import torch

        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def gpu() -> bool:
    import torch

    return torch.cuda.is_available()


@dataclass(frozen=True)
class Arm:
    """`train` trains and returns the rate, the peak memory and the validation loss."""

    title: str
    train: Callable[[Job, Clock], Result]
    needs: str | None = None  # a package that medtune does not install


def ours(job: Job, clock: Clock) -> Result:
    from medtune.training.loop import train

    params, seed = job.params()
    model, tokenizer = adapted(job)
    validation = job.rows("validation")
    # `train` validates after its last step: here on one card, to keep that out of the time.
    one = {name: column[:1] for name, column in validation.items()}
    for point in train(model, job.rows("train"), one, params, seed, tokenizer.pad_token_id):
        if point.curve == "train":
            clock.count(point.tokens - clock.tokens)  # a shared prefix runs once, and counts
            clock.end_step()
    return with_loss(job, model, tokenizer, clock)


def hf_trainer(job: Job, clock: Clock, **padding: Any) -> Result:
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    def make(folder: str, tokenizer: Any, **same: Any) -> Any:
        collator = DataCollatorForSeq2Seq(tokenizer, **padding)
        settings = TrainingArguments(folder, **arguments(job))
        return Trainer(args=settings, data_collator=collator, **same)

    return trained_by(make, job, clock)


def trl(job: Job, clock: Clock, **options: Any) -> Result:
    from trl import SFTConfig, SFTTrainer

    def make(folder: str, tokenizer: Any, **same: Any) -> Any:
        settings = SFTConfig(folder, **arguments(job) | options)
        return SFTTrainer(args=settings, processing_class=tokenizer, **same)

    return trained_by(make, job, clock)


def trained_by(make: Callable[..., Any], job: Job, clock: Clock) -> Result:
    """Trains with the Trainer that `make` returns, transformers' own or a similar one."""
    from transformers import PrinterCallback, TrainerCallback

    class Timing(TrainerCallback):
        def on_step_end(self, *_: Any, **named: Any) -> None:
            clock.end_step()

    model, tokenizer = adapted(job)
    count_tokens(model, clock)
    with tempfile.TemporaryDirectory() as folder:
        same = {"model": model, "train_dataset": examples(job), "callbacks": [Timing()]}
        trainer = make(folder, tokenizer, **same)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return with_loss(job, model, tokenizer, clock)


def litgpt(job: Job, clock: Clock) -> Result:
    from benchmarks.litgpt_arm import train

    return train(job, clock)


def adapted(job: Job) -> tuple[Any, Any]:
    """Returns the base model with a new adapter, the same in each arm, and its tokenizer."""
    from medtune.modeling.adapters import add_adapter
    from medtune.modeling.loading import load_base, load_tokenizer

    params, seed = job.params()
    folder = Path(job.model)
    model = load_base(params.precision, params.quantization, folder)
    return add_adapter(model, params, seed), load_tokenizer(folder)


def count_tokens(model: Any, clock: Clock) -> None:
    """Counts the tokens that go through the model in training, padding excluded."""
    import torch

    def count(_: Any, arguments: Any, named: dict[str, Any]) -> None:
        if torch.is_grad_enabled():  # not in a validation pass
            mask = named.get("attention_mask")
            clock.count(named["input_ids"].numel() if mask is None else int(mask.sum()))

    model.get_decoder().register_forward_pre_hook(count, with_kwargs=True)


def arguments(job: Job) -> dict[str, Any]:
    """Returns params.yaml as TrainingArguments of transformers; nothing is saved or logged."""
    params, seed = job.params()
    same = (
        "optim",
        "lr_scheduler_type",
        "lr_scheduler_kwargs",
        "warmup_steps",
        "weight_decay",
        "max_grad_norm",
        "num_train_epochs",
        "per_device_train_batch_size",
        "gradient_checkpointing",
    )
    return {name: getattr(params, name) for name in same} | {
        "learning_rate": params.lr,
        "seed": seed,
        "bf16": gpu(),
        "dataloader_pin_memory": gpu(),
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def examples(job: Job) -> Any:
    from datasets import Dataset

    from medtune.modeling.collation import IGNORED

    rows = job.rows("train")
    pairs = zip(rows["input_ids"], rows["loss_start"], strict=True)
    labels = [[IGNORED] * start + ids[start:] for ids, start in pairs]
    return Dataset.from_dict({"input_ids": rows["input_ids"], "labels": labels})


def with_loss(job: Job, model: Any, tokenizer: Any, clock: Clock) -> Result:
    """Adds the loss over all validation cards, the same sum for all arms."""
    from medtune.training.loop import mean_loss

    params, _ = job.params()
    loss = mean_loss(model, job.rows("validation"), params, tokenizer.pad_token_id)
    return clock.finished() | {"validation_loss": loss}


def _trl(title: str, **options: Any) -> Arm:
    return Arm(f"TRL SFTTrainer{title}", lambda job, clock: trl(job, clock, **options), "trl")


def _hf(title: str, **padding: Any) -> Arm:
    return Arm(f"HF Trainer, {title}", lambda job, clock: hf_trainer(job, clock, **padding))


PADDED = {"padding": "max_length", "max_length": PADDED_TOKENS}
PACKED = {"packing": True, "max_length": PACKED_TOKENS, "per_device_train_batch_size": 1}
ARMS = {
    "hf_padded": _hf(f"padded to {PADDED_TOKENS}", **PADDED),
    "hf_dynamic": _hf("dynamic padding"),
    "trl_default": _trl(""),
    "trl_grouped": _trl(", group_by_length", train_sampling_strategy="group_by_length"),
    "trl_packing": _trl(f", packing to {PACKED_TOKENS}", **PACKED),
    "trl_liger": _trl(", Liger kernels", use_liger_kernel=True),
    "litgpt": Arm("LitGPT", litgpt, "litgpt"),
    "ours": Arm("medtune", ours),
}


def main() -> None:
    import torch

    job = Job(**json.loads(sys.argv[1]))
    set_up_logging(job.arm)
    with one_line_errors():
        torch.set_num_threads(job.threads)
        clock = Clock(sum(map(len, job.rows("train")["input_ids"])))
        print(json.dumps(ARMS[job.arm].train(job, clock)))


if __name__ == "__main__":
    main()
