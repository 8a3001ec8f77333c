"""The learning-rate schedules that train.lr_scheduler_type may name, all made by transformers."""

from typing import Literal

# fmt: off
SchedulerName = Literal[
    "linear", "cosine", "cosine_with_restarts", "cosine_with_min_lr", "cosine_warmup_with_min_lr",
    "polynomial", "constant", "constant_with_warmup", "inverse_sqrt", "reduce_lr_on_plateau",
    "warmup_stable_decay", "greedy",
]
# fmt: on
WITHOUT_WARMUP = ("constant", "greedy", "reduce_lr_on_plateau")  # whatever train.warmup_steps says
