"""LitGPT's own training loop on our cards; runs in an interpreter that has litgpt."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from benchmarks.trainers import Clock, Job, Result, gpu
from medtune.modeling.collation import IGNORED, by_length, padded
from medtune.runtime.errors import InputError

ALL_LINEAR = {f"lora_{part}": True for part in ("query", "key", "value", "projection", "mlp")}


class Loader:
    """Shuffled batches of the cards, padded to the longest, as LitGPT's collator makes them."""

    def __init__(self, rows: dict[str, list[Any]], batch_size: int, seed: int) -> None:
        order = np.random.default_rng(seed).permutation(len(rows["input_ids"]))
        cut = range(0, len(order), batch_size)
        self.rows, self.batches = rows, [order[start : start + batch_size] for start in cut]
        self.dataset = [{"input_ids": ids} for ids in rows["input_ids"]]
        self.clock: Clock | None = None

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for numbers in self.batches:
            batch = _batch(self.rows, numbers)
            tokens = batch["attention_mask"].sum()
            if self.clock:
                self.clock.count(int(tokens))
            yield {**batch, "token_counts": {"raw": tokens, "raw_plus_prompt_template": tokens}}


def train(job: Job, clock: Clock) -> Result:
    """Trains with `litgpt.finetune.lora.fit`, and clips gradients, which its script does not do.

    Its LoRA and schedule follow params.yaml; settings that it does not support are refused.
    """
    import lightning
    from litgpt.args import EvalArgs, TrainArgs
    from litgpt.finetune.lora import fit, get_lr_scheduler

    params, seed = job.params()
    if params.target_modules != "all-linear" or params.lr_scheduler_type != "cosine":
        raise InputError("the arm litgpt supports only target_modules all-linear and cosine")
    size = params.per_device_train_batch_size
    loader = Loader(job.rows("train"), size, seed)
    check = Loader(job.rows("validation"), size, seed)
    loader.clock = clock
    fabric = lightning.Fabric(devices=1, precision="bf16-true" if gpu() else "32-true")
    fabric.seed_everything(seed, verbose=False)
    model = fabric.setup_module(_model(job, params))
    optimizer = fabric.setup_optimizers(_optimizer(model, params, clock))
    warmup = params.warmup_steps * (1 if params.warmup_steps >= 1 else len(loader))
    steps = TrainArgs(
        save_interval=None,
        log_interval=len(loader) + 1,
        global_batch_size=size,
        micro_batch_size=size,
        lr_warmup_steps=None,
        epochs=1,
        max_steps=len(loader),
    )
    with tempfile.TemporaryDirectory() as folder:
        fit(
            fabric=fabric,
            model=model,
            optimizer=optimizer,
            scheduler=get_lr_scheduler(optimizer, max(1, round(warmup)), len(loader)),
            train_dataloader=loader,
            val_dataloader=check,
            devices=1,
            checkpoint_dir=Path(job.model),
            out_dir=Path(folder),
            train=steps,
            eval=EvalArgs(interval=len(loader) + 1, max_new_tokens=1),
            data=None,
        )
    loss = _mean_loss(model, job.rows("validation"), size)
    return clock.finished() | {"validation_loss": loss}


def _model(job: Job, params: Any) -> Any:
    from litgpt.lora import GPT, Config, mark_only_lora_as_trainable
    from litgpt.scripts.convert_hf_checkpoint import copy_weights_hf_llama
    from safetensors.torch import load_file

    ours = json.loads(Path(job.model, "config.json").read_text(encoding="utf-8"))
    config = Config(
        block_size=ours["max_position_embeddings"],
        vocab_size=ours["vocab_size"],
        padded_vocab_size=ours["vocab_size"],
        n_layer=ours["num_hidden_layers"],
        n_head=ours["num_attention_heads"],
        n_embd=ours["hidden_size"],
        n_query_groups=ours["num_key_value_heads"],
        head_size=ours["head_dim"],
        rotary_percentage=1.0,
        rope_base=int(ours["rope_parameters"]["rope_theta"]),
        parallel_residual=False,
        bias=False,
        norm_class_name="RMSNorm",
        norm_eps=ours["rms_norm_eps"],
        mlp_class_name="LLaMAMLP",
        intermediate_size=ours["intermediate_size"],
        lora_r=params.r,
        lora_alpha=params.lora_alpha,
        lora_dropout=params.lora_dropout,
        **ALL_LINEAR,
    )
    state: dict[str, Any] = {}
    weights = load_file(Path(job.model, "model.safetensors"))
    copy_weights_hf_llama(config, {}, state, weights)
    model = GPT(config)
    model.load_state_dict(state, strict=False)
    model.lm_head.weight = model.transformer.wte.weight
    mark_only_lora_as_trainable(model)
    return model


def _optimizer(model: Any, params: Any, clock: Clock) -> torch.optim.AdamW:
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=params.lr, weight_decay=params.weight_decay)

    def clip(*_: Any) -> None:
        torch.nn.utils.clip_grad_norm_(trained, params.max_grad_norm)

    optimizer.register_step_pre_hook(clip)
    optimizer.register_step_post_hook(lambda *_: clock.end_step())
    return optimizer


def _batch(rows: dict[str, list[Any]], numbers: Any) -> dict[str, torch.Tensor]:
    ids = [rows["input_ids"][number] for number in numbers]
    batch = padded(ids, [rows["loss_start"][number] for number in numbers], pad_id=0)
    return {name: tensor.cuda() if gpu() else tensor for name, tensor in batch.items()}


def _mean_loss(model: Any, rows: dict[str, list[Any]], batch_size: int) -> float:
    """Computes medtune.training.loop.mean_loss with LitGPT's own forward pass."""
    total, tokens = 0.0, 0
    model.eval()
    for numbers in by_length([len(ids) for ids in rows["input_ids"]], batch_size):
        batch = _batch(rows, numbers)
        targets = batch["labels"][:, 1:].flatten()
        with torch.no_grad():
            logits = model(batch["input_ids"])[:, :-1].flatten(0, 1).float()
        total += cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum").item()
        tokens += int((targets != IGNORED).sum())
    return total / tokens
