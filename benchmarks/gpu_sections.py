"""The sections of benchmarks.gpu. Each yields named results and runs in its own process."""

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.shapes import Rows, random_cards, random_weights, tokens, train_flops
from medtune.config.loading import load_params
from medtune.config.schema import Evaluate, Train

SEED = 42
NEVER = 10**9
T4_GIB = 14.6  # what torch sees of a T4's 16 GB
Results = Iterator[tuple[str, dict[str, Any]]]
QUIET = {
    "num_train_epochs": 1,
    "gradient_accumulation_steps": 1,
    "logging_steps": 1,
    "eval_steps": NEVER,
    "save_steps": NEVER,
    "load_best_model_at_end": False,
    "early_stopping_patience": None,
}
TRAINER: dict[str, Any] = {  # settings of transformers' Trainer: it saves and logs nothing
    "num_train_epochs": 1,
    "remove_unused_columns": False,
    "save_strategy": "no",
    "logging_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
}
# What the published presets change, apart from the numbers of cards.
MEDICAL_EDUCATION = {"r": 8, "lora_dropout": 0.05, "target_modules": ["q_proj", "v_proj"]}
HEALTHCARE_ASSISTANT = {
    "quantization": "nf4",
    "optim": "paged_adamw_8bit",
    "lora_dropout": 0.05,
    "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"],
    "per_device_train_batch_size": 4,
    "lr": 2e-4,
}
MED_LLAMA = {"neftune_noise_alpha": 5.0, "lora_dropout": 0.05, "per_device_train_batch_size": 4}


@dataclass(frozen=True)
class Bench:
    """Where the random weights are; `tiny` tries the benchmark itself, on a CPU too."""

    root: Path
    tiny: bool

    @property
    def shape(self) -> str:
        return "tiny" if self.tiny else "TinyLlama-1.1B"

    @property
    def large_shape(self) -> str:
        return "tiny" if self.tiny else "Llama-3.2-1B"

    def folder(self, shape: str | None = None) -> Path:
        return random_weights(shape or self.shape, self.root, "cuda" if gpu() else "cpu")

    def cards(self, count: int, seed: int = 0, **options: Any) -> Rows:
        return random_cards(self.shape, count, seed, **options)

    def model(self, precision: str = "auto", shape: str | None = None) -> Any:
        from medtune.modeling.loading import load_base

        return load_base(precision, folder=self.folder(shape))

    def adapted(self, params: Train, shape: str | None = None) -> Any:
        from medtune.modeling.adapters import add_adapter
        from medtune.modeling.loading import load_base

        base = load_base(params.precision, params.quantization, self.folder(shape))
        return add_adapter(base, params, SEED)


def gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def synchronize() -> None:
    import torch

    if gpu():
        torch.cuda.synchronize()


def reset_peak(empty: bool = True) -> None:
    import gc

    import torch

    gc.collect()
    if gpu() and empty:
        torch.cuda.empty_cache()
    if gpu():
        torch.cuda.reset_peak_memory_stats()


def peak_gib() -> float:
    import torch

    return torch.cuda.max_memory_allocated() / 2**30 if gpu() else 0.0


def timed(work: Callable[[], Any], times: int = 1) -> float:
    """Returns the seconds of one call, after one call to warm up."""
    work()
    synchronize()
    start = time.perf_counter()
    for _ in range(times):
        work()
    synchronize()
    return (time.perf_counter() - start) / times


def train_params(**changed: Any) -> Train:
    return load_params("train").model_copy(update=QUIET | changed)


def evaluate_params(**changed: Any) -> Evaluate:
    greedy = {"temperature": 0.0, "repetition_penalty": 1.0, "frequency_penalty": 0.0, "top_p": 1.0}
    return load_params("evaluate").model_copy(update=greedy | changed)


def first_rows(rows: Rows, count: int) -> Rows:
    return {name: column[:count] for name, column in rows.items()}


def training_rate(
    bench: Bench, rows: Rows, params: Train, shape: str | None = None, compiled: bool = False
) -> dict[str, Any]:
    """Trains on the rows. The first two steps warm up; the last, which validates, is not timed.

    `compiled` compiles parts of the model as in a longer run.
    """
    from medtune.training import fused_layers as fused
    from medtune.training.loop import train

    fused.WORTH_COMPILING = 0 if compiled and gpu() else NEVER**2
    bench.folder(shape)  # making the weights takes more memory than loading them
    reset_peak()
    model = bench.adapted(params, shape)
    loaded, marks = peak_gib(), []
    for point in train(model, rows, first_rows(rows, 1), params, SEED, 0):
        if point.curve == "train":
            synchronize()
            marks.append((time.perf_counter(), point.tokens, point.loss))
    (start, before, first), (end, after, last) = marks[1], marks[-2]
    rate = (after - before) / (end - start)
    return {
        "tokens_per_s": round(rate),
        "tflops": rate * train_flops(bench.folder(shape), rows, params) / tokens(rows) / 1e12,
        "ms_step": 1e3 * (end - start) / (len(marks) - 3),
        "peak_gib": peak_gib(),
        "loaded_gib": loaded,
        "first_loss": first,
        "last_loss": last,
    }


def ceilings(bench: Bench) -> Results:
    """What this GPU gives at best: matrix products, copies, and launches of its CPU."""
    import torch

    if not gpu():
        return
    size = 512 if bench.tiny else 8192
    a, b = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    product = torch.empty_like(a)
    seconds = timed(lambda: torch.mm(a, b, out=product), 20)
    yield "bf16 product", {"tflops": 2 * size**3 / seconds / 1e12}
    x = torch.randn(2**20 if bench.tiny else 2**30, device="cuda")
    y = torch.empty_like(x)
    yield "copy", {"tb_per_s": 2 * 4 * x.numel() / timed(lambda: y.copy_(x), 10) / 1e12}
    one = torch.zeros(1, device="cuda")
    yield "launch", {"us": 1e6 * timed(lambda: one.add_(1), 10_000)}


def training(bench: Bench) -> Results:
    few = 6 if bench.tiny else 200  # steps
    params = train_params(per_device_train_batch_size=64)
    rows = bench.cards(64 * (6 if bench.tiny else 48))
    yield "train, 64 cards a step, compiled", training_rate(bench, rows, params, compiled=True)
    yield "train, 64 cards a step", training_rate(bench, rows, params)
    rows = bench.cards(8 * few)
    yield (
        "train, 8 cards a step, compiled",
        training_rate(bench, rows, train_params(), compiled=True),
    )
    yield "train, 8 cards a step", training_rate(bench, rows, train_params())
    changed = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}
    params = train_params(**MEDICAL_EDUCATION, **changed)
    yield "train, medical-education", training_rate(bench, bench.cards(8 * few, seed=1), params)
    if gpu():
        yield "one step of 8 cards", step_profile(bench)


def step_profile(bench: Bench) -> dict[str, Any]:
    """Counts in one optimiser step: waits for the GPU, kernel launches, time the GPU is busy."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    from medtune.training.loop import Trainer

    params, rows = train_params(logging_steps=NEVER), bench.cards(80, seed=3)
    run = Trainer(bench.adapted(params), rows, first_rows(rows, 1), params, SEED, 0)
    with run.fast_layers():
        list(run.advance()), list(run.advance())
        synchronize()
        torch.cuda.set_sync_debug_mode("warn")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            list(run.advance())
        torch.cuda.set_sync_debug_mode("default")
        synchronize()
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
            list(run.advance())
            synchronize()
        events = profiled.key_averages()
        seconds = timed(lambda: list(run.advance()), 3)
    return {
        "waits": sum("synchroniz" in str(warning.message) for warning in caught),
        "launches": sum(event.count for event in events if "LaunchKernel" in event.key),
        "ms": 1e3 * seconds,
        "gpu_busy_ms": sum(event.self_device_time_total for event in events) / 1e3,
    }


def peers(bench: Bench) -> Results:
    """The same cards and adapter with transformers' Trainer, in bf16 and without checkpointing."""
    few = 6 if bench.tiny else 24
    yield "HF Trainer, 8 cards a step", trainer_rate(bench, bench.cards(8 * few), 8)
    yield (
        "HF Trainer, 64 cards a step",
        trainer_rate(bench, bench.cards(64 * (6 if bench.tiny else 12)), 64),
    )


def trainer_rate(bench: Bench, rows: Rows, batch_size: int) -> dict[str, Any]:
    from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

    from medtune.modeling.collation import padded

    marks: list[float] = []

    class Marks(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            synchronize()
            marks.append(time.perf_counter())

    def collated(numbers: list[int]) -> Any:
        ids, starts = ([rows[name][n] for n in numbers] for name in rows)
        return padded(ids, starts, 0)

    reset_peak()
    params = train_params()
    settings = TrainingArguments(
        str(bench.root / "trainer"),
        per_device_train_batch_size=batch_size,
        learning_rate=params.lr,
        max_grad_norm=params.max_grad_norm,
        **TRAINER,
        bf16=gpu(),
        use_cpu=not gpu(),
    )
    count = len(rows["input_ids"])
    trainer = Trainer(
        model=bench.adapted(params),
        args=settings,
        train_dataset=list(range(count)),
        data_collator=collated,
        callbacks=[Marks()],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    share = (len(marks) - 2) / len(marks)
    rate = share * tokens(rows) / (marks[-1] - marks[1])
    flops = train_flops(bench.folder(), rows, params) / tokens(rows)
    return {"tokens_per_s": round(rate), "tflops": rate * flops / 1e12, "peak_gib": peak_gib()}
