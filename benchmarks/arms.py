"""The arms: the same LoRA training, each by another trainer at its best settings."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.turns import Report, Turns, gpu

if TYPE_CHECKING:
    from benchmarks.worker import Job

PADDED_TOKENS = 256  # to which the published notebooks pad every example
PACKED_TOKENS = 512  # about a batch of 8 cards, so that a step sees as many tokens as elsewhere


@dataclass(frozen=True)
class Arm:
    """`train` trains, handing over at each turn's end, and returns the final report."""

    title: str
    train: Callable[["Job", Turns], Report]
    needs: str | None = None  # a package that medtune does not bring


def ours(job: "Job", turns: Turns) -> Report:
    from medtune.training.loop import train

    params, seed = job.params()
    model, tokenizer = adapted(job)
    validation = job.rows("validation")
    # After its last step `train` validates: on one card, for that time is measured too.
    one = {name: column[:1] for name, column in validation.items()}
    points = train(model, job.rows("train"), one, params, seed, tokenizer.pad_token_id)
    for point in points:
        if point.curve == "train":
            turns.count(point.tokens - turns.tokens)  # a shared beginning runs once, and counts
            turns.end_step()
    return final_report(job, model, tokenizer, turns)


def hf_trainer(job: "Job", turns: Turns, **padding: Any) -> Report:
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    def make(folder: str, tokenizer: Any, **same: Any) -> Any:
        collator = DataCollatorForSeq2Seq(tokenizer, **padding)
        settings = TrainingArguments(folder, **arguments(job))
        return Trainer(args=settings, data_collator=collator, **same)

    return trained_by(make, job, turns)


def trl(job: "Job", turns: Turns, **options: Any) -> Report:
    from trl import SFTConfig, SFTTrainer

    def make(folder: str, tokenizer: Any, **same: Any) -> Any:
        settings = SFTConfig(folder, **arguments(job) | options)
        return SFTTrainer(args=settings, processing_class=tokenizer, **same)

    return trained_by(make, job, turns)


def trained_by(make: Callable[..., Any], job: "Job", turns: Turns) -> Report:
    """Trains with the Trainer, transformers' own or one of its kind, that `make` makes."""
    from transformers import PrinterCallback

    model, tokenizer = adapted(job)
    count_tokens(model, turns)
    with tempfile.TemporaryDirectory() as folder:
        trainer = make(
            folder,
            tokenizer,
            model=model,
            train_dataset=examples(job),
            callbacks=[handing_over(turns)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return final_report(job, model, tokenizer, turns)


def litgpt(job: "Job", turns: Turns) -> Report:
    from benchmarks.litgpt_arm import train

    return train(job, turns)


def adapted(job: "Job") -> tuple[Any, Any]:
    """The base model with a fresh adapter, the same in each arm, and its tokenizer."""
    from medtune.modeling.adapters import add_adapter
    from medtune.modeling.loading import load_base, load_tokenizer

    params, seed = job.params()
    model = load_base(params.precision, params.quantization, job.model)
    return add_adapter(model, params, seed), load_tokenizer(job.model)


def count_tokens(model: Any, turns: Turns) -> None:
    """Has turns count the tokens that go through the model in training, padding excluded."""
    import torch

    def count(_: Any, arguments: Any, named: dict[str, Any]) -> None:
        if torch.is_grad_enabled():  # no validation pass
            mask = named.get("attention_mask")
            turns.count(named["input_ids"].numel() if mask is None else int(mask.sum()))

    model.get_decoder().register_forward_pre_hook(count, with_kwargs=True)


def arguments(job: "Job") -> dict[str, Any]:
    """params.yaml in the words of transformers' TrainingArguments; nothing is saved or logged."""
    params, seed = job.params()
    same = {
        name: getattr(params, name)
        for name in (
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
    }
    return same | {
        "learning_rate": params.lr,
        "seed": seed,
        "bf16": gpu(),
        "dataloader_pin_memory": gpu(),
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def examples(job: "Job") -> Any:
    from datasets import Dataset

    from medtune.modeling.collation import IGNORED

    rows = job.rows("train")
    pairs = zip(rows["input_ids"], rows["loss_start"], strict=True)
    labels = [[IGNORED] * start + ids[start:] for ids, start in pairs]
    return Dataset.from_dict({"input_ids": rows["input_ids"], "labels": labels})


def handing_over(turns: Turns) -> Any:
    from transformers import TrainerCallback

    class HandOver(TrainerCallback):
        def on_step_end(self, *_: Any, **named: Any) -> None:
            turns.end_step()

    return HandOver()


def final_report(job: "Job", model: Any, tokenizer: Any, turns: Turns) -> Report:
    """The loss over the validation cards, the same sum for all arms, and the model's sizes."""
    from medtune.training.loop import mean_loss

    turns.check_finished()
    params, _ = job.params()
    loss = mean_loss(model, job.rows("validation"), params, tokenizer.pad_token_id)
    trainable, total = model.get_nb_trainable_parameters()
    embedding = model.get_input_embeddings().weight
    head = model.get_output_embeddings().weight
    tables = embedding.numel() + (0 if head is embedding else head.numel())
    sizes = {"lora": trainable, "head": head.numel(), "body": total - trainable - tables}
    return {"validation_loss": loss, "parameters": sizes}


def _trl(title: str, **options: Any) -> Arm:
    return Arm(f"TRL SFTTrainer{title}", lambda job, turns: trl(job, turns, **options), "trl")


def _hf(title: str, **padding: Any) -> Arm:
    return Arm(f"HF Trainer, {title}", lambda job, turns: hf_trainer(job, turns, **padding))


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
