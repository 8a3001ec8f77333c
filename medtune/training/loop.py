"""The training loop.

Rows are columns as medtune.modeling.token_files returns them: `input_ids`, `loss_start` and, if
some are conversations, `masked_spans`. The order of the batches depends only on seed and epoch, and
noise only on seed and step. So a run that resumes from a checkpoint ends with the same bytes as an
uninterrupted one.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DistributedType

from medtune.config.schema import Train
from medtune.modeling.batch_limits import MOST_PACKED
from medtune.modeling.collation import Cards, by_length, padded
from medtune.modeling.distributed import accelerator, from_first, passes_of_process, placed, whole
from medtune.modeling.loading import autocast, device, resolve_precision, shards_weights
from medtune.modeling.onednn import packed_weights
from medtune.modeling.token_files import row_lengths
from medtune.modeling.token_losses import TOKENS_PER_ROW, SupervisedLoss
from medtune.runtime.errors import InputError
from medtune.runtime.progress import progress
from medtune.training.batch_plan import Plan, token_budget
from medtune.training.checkpoints import Checkpoints
from medtune.training.cuda_graphs import Graphs
from medtune.training.early_stopping import is_out_of_patience
from medtune.training.fused_layers import fused_layers
from medtune.training.history import History, Point
from medtune.training.learning_rate import Schedule
from medtune.training.optimizers import make_optimizer
from medtune.training.run_state import restore, save

logger = logging.getLogger("medtune")

Rows = Mapping[str, Sequence[Any]]
Tensors = dict[str, torch.Tensor]


def train(
    model: Any,
    training: Rows,
    validation: Rows,
    params: Train,
    seed: int,
    pad_id: int,
    checkpoints: Checkpoints | None = None,
) -> Iterator[Point]:
    """Trains the model in place and yields the points of its curves as they come.

    With checkpoints, it resumes from the newest one and first yields the earlier points. The first
    of several processes, which alone saves checkpoints, sends its newest to the others: they may
    run on machines that have none. With `load_best_model_at_end`, the model ends with the adapter
    of the lowest validation loss.
    """
    run = Trainer(model, training, validation, params, seed, pad_id)
    if checkpoints and (saved := from_first(checkpoints.latest)):
        restore(run, *saved)
    yield from run.history.points
    save_every = _steps(params.save_steps, len(run.plan))
    with (
        run.fast_layers(),
        progress(total=len(run.plan), unit="step", initial=run.history.step) as bar,
    ):
        while not run.done():
            yield from run.advance()
            if run.history.loss_tokens:
                loss = run.history.loss_sum / run.history.loss_tokens
                bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update()
            if checkpoints and (run.done() or run.history.step % save_every == 0):
                save(run, checkpoints)
    if run.best:
        run.load_adapter(run.best)


def mean_loss(model: Any, rows: Rows, params: Train, pad_id: int) -> float:
    """Returns the negative log-likelihood in nats per supervised token, over all rows."""
    size = 2 * params.per_device_train_batch_size
    return _mean_loss(SupervisedLoss(model), rows, params, pad_id, accelerator(), size)


class Trainer:
    """A training run: the model as accelerate places it, its plan, its optimiser, its state."""

    def __init__(
        self, model: Any, training: Rows, validation: Rows, params: Train, seed: int, pad_id: int
    ) -> None:
        self.cards, self.validation, self.params = Cards.all(training), validation, params
        self.seed, self.pad_id, self.accelerator = seed, pad_id, accelerator()
        processes = self.accelerator.num_processes
        self.lengths = row_lengths(self.cards.input_ids)
        self.supervised = self.cards.supervised_counts()
        self.budget = token_budget(params, model.config, max(self.lengths), processes)
        self.plan = Plan(self.lengths, params, seed, processes, self.budget)
        self.model, optimizer = self.accelerator.prepare(
            SupervisedLoss(model), make_optimizer(model, params)
        )
        self.optimizer = optimizer.optimizer
        self.schedule = Schedule(self.optimizer, params, len(self.plan))
        half = resolve_precision(params.precision) == "fp16"
        self.scaler = torch.amp.GradScaler(device(), enabled=half)
        self.graphs: Graphs | None = None
        if device() == "cuda" and self.accelerator.distributed_type == DistributedType.NO:
            self.graphs = Graphs(
                self.model.model,
                chain.from_iterable(self.plan),
                self.cards,
                lambda: autocast(params.precision),
                self.scaler.scale,
            )
        self.eval_every = _steps(params.eval_steps, len(self.plan))
        self.history = History()
        self.best: Tensors = {}  # the adapter of the lowest validation loss

    @contextmanager
    def fast_layers(self) -> Iterator[None]:
        """Within this context, the layers run in the form that suits the device."""
        model, params = self.model, self.params
        if shards_weights():
            yield
        elif device() == "cuda":
            tokens = params.num_train_epochs * sum(self.lengths)
            with fused_layers(model, {}, tokens // self.accelerator.num_processes):
                yield
        else:
            weights = sum(parameter.numel() for parameter in model.parameters())
            tokens = params.per_device_train_batch_size * TOKENS_PER_ROW
            packed = packed_weights(model, tokens if weights <= MOST_PACKED else 1, gradients=True)
            with packed as products, fused_layers(model, products):
                yield

    def done(self) -> bool:
        losses = self.history.validation_losses().values()
        return self.history.step == len(self.plan) or is_out_of_patience(losses, self.params)

    def advance(self) -> Iterator[Point]:
        """Takes one optimiser step, and yields the points that are due after it."""
        history, params = self.history, self.params
        learning_rate = self.optimizer.param_groups[0]["lr"]
        passes = self.plan[history.step]
        loss_sum, loss_tokens = self._step(passes)
        history.step += 1
        history.tokens += sum(self.lengths[n] for rows in passes for n in rows)
        history.loss_sum += loss_sum
        history.loss_tokens += loss_tokens
        epoch = history.step * params.num_train_epochs / len(self.plan)

        def add(curve: str, loss: float) -> Point:
            point = Point(curve, history.step, epoch, loss, learning_rate, history.tokens)
            history.points.append(point)
            return point

        validation_loss = None
        if history.step % self.eval_every == 0 or history.step == len(self.plan):
            validation_loss = self._validate()
            if params.load_best_model_at_end and history.is_lowest(validation_loss):
                self.best = self.adapter()
            yield add("validation", validation_loss)
        if history.step % params.logging_steps == 0 or self.done():
            yield add("train", history.loss_sum / history.loss_tokens)
            history.loss_sum, history.loss_tokens = 0.0, 0
        self.schedule.advance(validation_loss)

    def _step(self, passes: list[list[int]]) -> tuple[float, int]:
        """Takes one step on the mean loss of all supervised tokens; returns its sum and count."""
        tokens = sum(self.supervised[n] for rows in passes for n in rows)
        # Each process draws its own noise from seed and step, so no checkpoint stores it.
        process = self.accelerator.process_index
        noise = np.random.SeedSequence([self.seed, self.history.step, process])
        torch.manual_seed(int(noise.generate_state(1)[0]))
        total = torch.zeros((), dtype=torch.float64, device=device())
        self.model.train()
        own = passes_of_process(passes, self.accelerator.num_processes, process)
        for n, (rows, weight) in enumerate(own, start=1):
            last = n == len(own)
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                # DDP and FSDP average over the processes, but the sum is wanted.
                scale = weight * self.accelerator.num_processes / tokens
                total += weight * self._pass(rows, scale)
        if self.graphs and self.history.step + 1 < len(self.plan):
            self.graphs.prepare(self.plan[self.history.step + 1])
        self.scaler.unscale_(self.optimizer)
        self.accelerator.clip_grad_norm_(self._trained().values(), self.params.max_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.graphs and self.graphs.sizes:
            self.graphs.clear_gradients()
        else:
            self.optimizer.zero_grad()
        loss_sum = float(self.accelerator.reduce(total, "sum"))  # waits for the GPU
        self._require_finite("training", loss_sum / tokens)
        return loss_sum, tokens

    def _pass(self, rows: list[int], scale: float) -> torch.Tensor:
        """Adds the gradients of scale · the summed loss of these rows; returns this sum."""
        if self.graphs and (loss := self.graphs.run(rows, scale)) is not None:
            return loss
        with autocast(self.params.precision):
            losses = self.model(_batch(self.cards.chosen(rows), self.pad_id))
        self.scaler.scale(losses.sum() * scale).backward()
        return losses.detach().sum()

    def _validate(self) -> float:
        longest = max(row_lengths(self.validation["input_ids"]))
        size = max(2 * self.params.per_device_train_batch_size, (self.budget or 0) // longest)
        arguments = (self.validation, self.params, self.pad_id, self.accelerator, size)
        return self._require_finite("validation", _mean_loss(self.model, *arguments))

    def _require_finite(self, name: str, loss: float) -> float:
        if not math.isfinite(loss):
            raise InputError(
                f"the {name} loss is {loss} after step {self.history.step}: lower train.lr, or set "
                "train.precision to bf16 or fp32"
            )
        return loss

    def _trained(self) -> Tensors:
        named = self.model.named_parameters()
        return {name: parameter for name, parameter in named if parameter.requires_grad}

    def adapter(self) -> Tensors:
        """Returns a full copy of the trained parameters on each process."""
        return {name: whole(parameter) for name, parameter in self._trained().items()}

    def load_adapter(self, adapter: Tensors) -> None:
        with torch.no_grad():
            for name, parameter in self._trained().items():
                parameter.copy_(placed(adapter[name], parameter))


def _mean_loss(
    forward: Any, rows: Rows, params: Train, pad_id: int, accelerator: Accelerator, size: int
) -> float:
    """Returns the mean loss per supervised token; `size` rows go through the model at once."""
    cards = Cards.all(rows)
    batches = by_length(row_lengths(cards.input_ids), size)
    own = passes_of_process(batches, accelerator.num_processes, accelerator.process_index)
    total = torch.zeros((), dtype=torch.float64, device=device())
    forward.eval()
    with (
        progress(own, unit="validation batch") as bar,
        torch.no_grad(),
        autocast(params.precision),
    ):
        for numbers, weight in bar:
            total += weight * forward(_batch(cards.chosen(numbers), pad_id)).sum()
    tokens = sum(cards.supervised_counts())
    return float(accelerator.reduce(total, "sum")) / tokens


def _batch(cards: Cards, pad_id: int) -> Tensors:
    return padded(cards.input_ids, cards.loss_start, pad_id, cards.masked_spans)


def _steps(steps_or_share: float, total: int) -> int:
    return max(1, round(steps_or_share if steps_or_share >= 1 else steps_or_share * total))
