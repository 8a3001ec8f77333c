"""Takes the largest steps of a stage with its own code, for medtune.preflight.memory.

Reads jobs as JSON from standard input and prints their high-water marks in bytes.
"""

import ctypes
import json
import sys
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from medtune.config.schema import Train
from medtune.preflight.cards import stand_ins

SIDE_BY_SIDE = 2  # jobs


def measure_here(jobs: list[dict[str, Any]]) -> list[list[int]]:
    """Does each job in a process of its own, forked once the imports are done; two at a time."""
    import peft  # noqa: F401

    import medtune.training.loop  # noqa: F401

    context = get_context("fork")
    marks = []
    for start in range(0, len(jobs), SIDE_BY_SIDE):
        answers = []
        for job in jobs[start : start + SIDE_BY_SIDE]:
            answer, sender = context.Pipe(duplex=False)
            context.Process(target=_send_marks, args=(job, sender)).start()
            sender.close()
            answers.append(answer)
        marks += [answer.recv() for answer in answers]
    return marks


def _send_marks(job: dict[str, Any], sender: Any) -> None:
    sender.send(take_largest_steps(job))


def take_largest_steps(job: dict[str, Any]) -> list[int]:
    """The largest work of a stage, with its own code, on the slice in `job["folder"]`.

    Returns the high-water mark of each phase: each grows linearly with the layers, their maximum
    does not.
    """
    folder, params = Path(job["folder"]), Train.model_validate(job["train"])
    if job["stage"] == "train":
        _train(folder, params, stand_ins(job["rows"], job["beginning"]), job["loss_starts"])
        return [high_water_bytes()]
    from medtune.modeling.losses import summed_losses

    model = _load_for_answers(folder, params)
    rows = stand_ins(job["likelihood"], job["beginning"])
    summed_losses(model, rows, [len(ids) // 2 for ids in rows])
    marks = [high_water_bytes()]
    forget_high_water()
    _answer(model, job["prompts"], job["cached"])
    return [*marks, high_water_bytes()]


def _train(folder: Path, params: Train, ids: list[list[int]], loss_starts: list[int]) -> None:
    from medtune.modeling.adapters import add_adapter
    from medtune.modeling.loading import load_base
    from medtune.training.loop import train

    params = params.model_copy(
        update={
            "init_lora_weights": True,  # another way to begin takes no other memory
            "gradient_accumulation_steps": 1,
            "num_train_epochs": 2,  # the optimiser's state is there from the second step on
            "per_device_train_batch_size": len(ids),
        }
    )
    rows: dict[str, list[Any]] = {"input_ids": ids, "loss_start": loss_starts}
    few = {name: column[:1] for name, column in rows.items()}
    model = load_base(
        params.precision, params.quantization, folder, params.bnb_4bit_use_double_quant
    )
    for _ in train(add_adapter(model, params, 0), rows, few, params, 0, 0):
        pass


def _load_for_answers(folder: Path, params: Train) -> Any:
    import torch

    from medtune.modeling.adapters import add_adapter
    from medtune.modeling.loading import load_base

    model = load_base(folder=folder)
    if model.dtype != torch.float32:
        return model
    recipe = params.model_copy(update={"quantization": "none", "init_lora_weights": True})
    return add_adapter(model, recipe, 0).eval().merge_and_unload()


def _answer(model: Any, prompts: list[int], cached: int) -> None:
    """The pass over the prompts, and one with as many tokens cached as there will be at most."""
    import torch
    from transformers import DynamicCache

    from medtune.modeling.onednn import packed_weights

    cache: Any = DynamicCache(config=model.config)
    step = torch.ones((len(prompts), max(prompts)), dtype=torch.long, device=model.device)
    with torch.inference_mode(), packed_weights(model, len(prompts)):
        _next_token(model, cache, step)
        for layer in cache.layers:
            missing = max(0, cached - max(prompts))
            more = layer.keys.new_zeros((*layer.keys.shape[:2], missing, layer.keys.shape[3]))
            layer.update(more, more)
        _next_token(model, cache, step[:, :1])


def _next_token(model: Any, cache: Any, ids: Any) -> None:
    mask = ids.new_ones((ids.shape[0], cache.get_seq_length() + ids.shape[1]))
    output = model(input_ids=ids, attention_mask=mask, past_key_values=cache, logits_to_keep=1)
    output.logits[:, -1].float().argmax(dim=-1)


def high_water_bytes() -> int:
    """Of the GPU's memory, or of this process: as the cost files have it."""
    import torch

    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would give that of the parent, if it is higher
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def forget_high_water() -> None:
    """Starts the next mark at what is in use; where the system cannot, the old one stands."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    print(measure_here(json.load(sys.stdin)))
