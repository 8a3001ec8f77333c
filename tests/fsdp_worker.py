"""Trains a few steps; launched processes share the weights with FSDP, on a CPU too.

Prints as JSON how many modules are sharded, the share of the weights here, and the losses.
"""

import json
import os
import sys
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import DistributedType
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

if "LOCAL_RANK" in os.environ:  # accelerate offers FSDP to GPUs only
    PartialState(cpu=True).distributed_type = DistributedType.MULTI_GPU

from medtune.config.loading import load_params
from medtune.modeling.adapters import add_adapter, fewer_imports
from medtune.modeling.loading import load_base

with fewer_imports(None):  # pytest, too, loads peft here first, without bitsandbytes
    from medtune.training.loop import Trainer

ROWS = {
    "input_ids": [[1, 10 + n % 5, *range(40, 44 + n % 7), 2] for n in range(24)],
    "loss_start": [2] * 24,
}


def main(base: Path, accumulated: int) -> None:
    changed = {"gradient_accumulation_steps": accumulated, "logging_steps": 1}
    params = load_params("train").model_copy(
        update=changed | {"num_train_epochs": 2, "per_device_train_batch_size": 4}
    )
    model = add_adapter(load_base(folder=base), params, seed=1)
    run = Trainer(model, ROWS, ROWS, params, seed=1, pad_id=0)
    weights = list(run.model.parameters())
    here = [w.to_local() if isinstance(w, DTensor) else w for w in weights]
    losses = []
    while not run.done():
        losses += [point.loss for point in run.advance()]
    if run.accelerator.is_main_process:
        sharded = sum(isinstance(module, FSDPModule) for module in run.model.modules())
        share = sum(w.numel() for w in here) / sum(w.numel() for w in weights)
        print(json.dumps({"sharded": sharded, "share": share, "losses": losses}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
