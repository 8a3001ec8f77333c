"""More sections of benchmarks.gpu: equality with one-by-one processing, answers, memory, bytes."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from itertools import islice
from typing import Any

from benchmarks.gpu_sections import (
    HEALTHCARE_ASSISTANT,
    MED_LLAMA,
    NEVER,
    SEED,
    T4_GIB,
    Bench,
    Results,
    evaluate_params,
    first_rows,
    gpu,
    peak_gib,
    reset_peak,
    synchronize,
    train_params,
    training_rate,
)
from benchmarks.shapes import Rows, prompts, random_cards, tokens


def equality(bench: Bench) -> Results:
    """Losses, answers and gradients of batches against those of rows one by one."""
    for precision in ("fp32", "bf16", "fp16") if gpu() else ("fp32",):
        model = bench.model(precision)
        yield f"equality, {precision}", losses_and_answers(bench, model)
        del model
        reset_peak()
    yield "gradients, fp32", {"relative_error": gradient_error(bench)}


def losses_and_answers(bench: Bench, model: Any) -> dict[str, Any]:
    import torch
    from torch.nn.functional import cross_entropy

    from medtune.generation.generate import generate
    from medtune.modeling.token_losses import summed_losses

    rows = bench.cards(12, seed=5)
    ours = [loss for loss, _ in summed_losses(model, *rows.values())]
    questions, params = prompts(rows), evaluate_params(max_new_tokens=24)
    answers = generate(model, questions, params, set())
    model.set_attn_implementation("sdpa")
    plain, equal = [], 0
    for ids, start, answer in zip(*rows.values(), answers, strict=True):
        x = torch.tensor([ids], device=model.device)
        with torch.inference_mode():
            logits = model(x).logits[0, start - 1 : -1].float()
        plain.append(cross_entropy(logits, x[0, start:], reduction="sum").item())
        equal += generated(model, [ids[:start]], params.max_new_tokens)[0] == answer
    errors = [abs(a - b) / b for a, b in zip(ours, plain, strict=True)]
    return {"loss_error": max(errors), "answers": len(questions), "answers_equal": equal}


def generated(model: Any, questions: list[list[int]], new: int) -> list[list[int]]:
    """Returns the greedy answers of transformers' `generate`, padded on the left."""
    import torch

    width = max(map(len, questions))
    ids = torch.tensor([[0] * (width - len(q)) + q for q in questions], device=model.device)
    lengths = torch.tensor([len(q) for q in questions], device=model.device)
    mask = (torch.arange(width, device=model.device) >= width - lengths[:, None]).long()
    options = {"max_new_tokens": new, "do_sample": False, "pad_token_id": 0}
    return model.generate(ids, attention_mask=mask, **options)[:, width:].tolist()


def gradient_error(bench: Bench) -> float:
    """Returns the relative distance of the adapter's gradients, packed and row by row, in fp32."""
    import torch

    from medtune.modeling.collation import padded
    from medtune.modeling.token_losses import SupervisedLoss
    from medtune.training.fused_layers import fused_layers

    params, rows = train_params(precision="fp32", lora_dropout=0.0), bench.cards(8, seed=5)
    run_tokens = NEVER**2 if gpu() else 0  # long enough to compile

    def gradients(batches: list[list[int]], attention: str | None) -> Any:
        model = bench.adapted(params)
        torch.manual_seed(SEED)
        for name, weight in model.named_parameters():
            if "lora_B" in name:  # zero at first, and then A has no gradient
                weight.data.normal_(0, 0.01)
        loss = SupervisedLoss(model).train()
        if attention:
            model.set_attn_implementation(attention)
        with nullcontext() if attention else fused_layers(model, {}, run_tokens):
            for numbers in batches:
                ids, starts = ([rows[name][n] for n in numbers] for name in rows)
                loss(padded(ids, starts, 0)).sum().backward()
        trained = (weight.grad for weight in model.parameters() if weight.requires_grad)
        return torch.cat([gradient.flatten().double() for gradient in trained])

    packed, plain = gradients([list(range(8))], None), gradients([[n] for n in range(8)], "sdpa")
    return float((packed - plain).norm() / plain.norm())


def answers(bench: Bench) -> Results:
    from medtune.modeling.token_losses import summed_losses

    model, new = bench.model(), 16 if bench.tiny else 64
    for count in (8,) if bench.tiny else (32, 200):
        yield from answering(model, prompts(bench.cards(count, seed=count)), new)
    rows = bench.cards(64, seed=9)
    summed_losses(model, *first_rows(rows, 16).values())
    yield "likelihoods", rate(lambda: summed_losses(model, *rows.values()), tokens(rows))


def answering(model: Any, questions: list[list[int]], new: int) -> Results:
    from medtune.generation.generate import generate

    count = len(questions)

    def ours(**changed: Any) -> Any:
        params = evaluate_params(**{"max_new_tokens": new} | changed)
        return generate(model, questions, params, set(), range(count))

    ours()  # prepares libraries for these shapes
    yield f"answers, {count} at a time", rate(ours, count * new)
    sampling = {"temperature": 0.7, "top_p": 0.9}
    ours(**sampling)
    sampled = rate(lambda: ours(**sampling), count * new)
    yield f"answers, {count} at a time, sampled", sampled
    attention = model.config._attn_implementation
    model.set_attn_implementation("sdpa")
    generated(model, questions, new)
    plain = rate(lambda: generated(model, questions, new), count * new)
    yield f"transformers, {count} at a time", plain
    model.set_attn_implementation(attention)


def rate(work: Callable[[], Any], count: int) -> dict[str, Any]:
    reset_peak(empty=False)  # a second batch does not ask for memory anew either
    synchronize()
    start = time.perf_counter()
    work()
    synchronize()
    seconds = time.perf_counter() - start
    return {"tokens_per_s": round(count / seconds), "s": seconds, "peak_gib": peak_gib()}


def presets(bench: Bench) -> Results:
    """The largest steps of the published presets within a T4's memory, on this GPU's kernels."""
    import torch

    from medtune.modeling.token_losses import summed_losses

    half, longest = ("fp16" if gpu() else "fp32"), 128 if bench.tiny else 512
    if gpu():
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, T4_GIB * 2**30 / total))

    def full_cards(shape: str, count: int = 28) -> Rows:
        return random_cards(shape, count, seed=4, longest=longest, full=True)

    large = bench.large_shape
    quantized = HEALTHCARE_ASSISTANT if gpu() else HEALTHCARE_ASSISTANT | {"optim": "adamw_torch"}
    runs: dict[str, tuple[str, dict[str, Any]]] = {
        "healthcare-assistant": (bench.shape, quantized),
        "med-llama": (large, MED_LLAMA | {"gradient_checkpointing": True}),
        "med-llama without checkpointing": (large, MED_LLAMA),
    }
    for name, (shape, changed) in runs.items():
        params = train_params(precision=half, **changed)
        try:
            yield f"T4, {name}", training_rate(bench, full_cards(shape), params, shape)
        except torch.cuda.OutOfMemoryError:
            yield f"T4, {name}", {"error": "out of memory", "peak_gib": peak_gib()}
    reset_peak()
    model, rows = bench.model(half, large), full_cards(large, 16)
    try:
        likelihoods = rate(lambda: summed_losses(model, *rows.values()), tokens(rows))
        yield "T4, med-llama likelihoods", likelihoods
    except torch.cuda.OutOfMemoryError:
        yield "T4, med-llama likelihoods", {"error": "out of memory", "peak_gib": peak_gib()}


def repeated(bench: Bench) -> Results:
    """The same steps twice, and interrupted and resumed: how far apart are the adapters?"""
    import torch

    from medtune.training import fused_layers as fused
    from medtune.training.checkpoints import Checkpoints
    from medtune.training.loop import train

    fused.WORTH_COMPILING = 0 if gpu() else NEVER**2

    params = train_params(save_steps=4, lora_dropout=0.05)
    rows = bench.cards(8 * 8, seed=7)

    def weights(name: str | None = None, stop_after: int | None = None) -> Any:
        model = bench.adapted(params)
        saved = Checkpoints(bench.root / name) if name else None
        list(islice(train(model, rows, first_rows(rows, 2), params, SEED, 0, saved), stop_after))
        trained = (weight for weight in model.parameters() if weight.requires_grad)
        return torch.cat([weight.detach().flatten().cpu() for weight in trained])

    def distance(other: Any) -> float:
        return float((first - other).norm() / first.norm())

    first = weights()
    yield "repeated", {"distance": distance(weights())}
    weights("interrupted", stop_after=5)
    yield "resumed", {"distance": distance(weights("interrupted"))}


def memory(bench: Bench) -> Results:
    """The memory that `medtune check` calculates for a training step, and what it takes."""
    from medtune.preflight.memory import Batches, Decoder, train_bytes

    if not gpu():
        return
    rows = bench.cards(8 * 5, seed=1, longest=200, full=True)
    params = train_params()
    supervised = tokens(rows) - sum(rows["loss_start"])
    batches = Batches(8 * 200, supervised // 5, 200, 0, 0, 0, 0)
    decoder = Decoder.read(bench.folder())
    calculated = train_bytes(decoder, params, batches, gpu=True, half=True) / 2**30
    training_rate(bench, rows, params)
    yield "memory of a step", {"calculated_gib": calculated, "measured_gib": used_gib()}


def used_gib() -> float:
    """Returns what the GPU's driver counts: torch's memory, also the free part, and CUDA's own."""
    import torch

    free, total = torch.cuda.mem_get_info()
    return (total - free) / 2**30
