"""Ends the training when validations bring no lower loss (`train.early_stopping_patience`)."""

import math
from collections.abc import Iterable

from medtune.config.schema import Train


def is_out_of_patience(validation_losses: Iterable[float], params: Train) -> bool:
    """Whether the last `early_stopping_patience` validations have brought no lower loss."""
    if params.early_stopping_patience is None:
        return False
    lowest, stale = math.inf, 0
    for loss in validation_losses:
        better = loss < lowest - params.early_stopping_threshold
        lowest, stale = (loss, 0) if better else (lowest, stale + 1)
    return stale >= params.early_stopping_patience
