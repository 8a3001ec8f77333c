"""Loads both models from one set of weights, and switches the adapter on for one of them."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from app.assistant import Assistant
from app.guard_remarks import Remarker, Scope
from app.limits import Limits
from app.request_queue import Engine
from medtune.config.schema import Evaluate
from medtune.guard.classifier import Guard
from medtune.modeling.adapters import ADAPTER, beside_base
from medtune.modeling.collation import common_prefix_length
from medtune.modeling.loading import context_tokens, load_base, load_tokenizer
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.runtime.errors import InputError

QUESTION = "What is gout?"
ROWS = 8  # batch size that the weights are packed for; others work too


def load(params: Evaluate, scope: Scope, region: str | None, limits: Limits) -> Assistant:
    """Loads the assistant from models/base and models/adapter, ready to start.

    Loading runs in a thread that then ends. torch's OpenMP gives each computing thread its own team
    of threads. If teams have more threads than there are cores, steps take twice as long, so only
    the engine's team may remain.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_load, params, scope, region, limits).result()


def _load(params: Evaluate, scope: Scope, region: str | None, limits: Limits) -> Assistant:
    from app.continuous_batching.batch import ContinuousBatch
    from medtune.generation.generate import end_ids

    encoder = PromptEncoder(load_tokenizer(), PromptFormat.load(ADAPTER / "prompt.json", "train"))
    adapter = SwitchedAdapter()
    model, beginning = adapter.model, _beginning(encoder)
    batches = {
        "finetuned": ContinuousBatch(model, lambda: adapter.switch(True), beginning),
        "base": ContinuousBatch(model, lambda: adapter.switch(False), beginning),
    }
    for batch in batches.values():
        _warm_up(batch, encoder, params)
    remarker = Remarker(Guard.load().check, scope, region)
    remarker.check(QUESTION, ())  # loads its encoder
    engine = Engine(batches, end_ids(model, encoder), limits)
    context = context_tokens(model.config)
    return Assistant(encoder, engine, params, context, remarker.remarks)


class SwitchedAdapter:
    """The base model with the adapter in its layers, unmerged, and weights packed for speed."""

    def __init__(self) -> None:
        base: Any = load_base()
        has_biases = any(name.endswith(".bias") for name, _ in base.named_parameters())
        self.peft: Any = beside_base(base)
        from peft.tuners.tuners_utils import BaseTunerLayer

        from medtune.modeling.onednn import packed_weights

        if has_biases and getattr(self.peft.peft_config["default"], "bias", "none") != "none":
            raise InputError(
                "the adapter has changed the base model's biases, which cannot be switched off: "
                "set train.bias to none and run dvc repro train to serve both"
            )
        self.model: Any = self.peft.get_base_model()
        self.packed = ExitStack()  # never closed
        self.packed.enter_context(packed_weights(self.model, ROWS))
        self.layers = [m for m in self.model.modules() if isinstance(m, BaseTunerLayer)]

    def switch(self, on: bool) -> None:
        """Does the same as peft's methods, which touch each parameter and take 20 times as long."""
        for layer in self.layers:
            layer._disable_adapters = not on


def _beginning(encoder: PromptEncoder) -> list[int]:
    """Returns the ids that all prompts with the system prompt of params.yaml begin with."""
    prompts = [encoder.question_ids(question) for question in ("a", "1")]
    return prompts[0][: common_prefix_length(prompts)]


def _warm_up(batch: Any, encoder: PromptEncoder, params: Evaluate) -> None:
    """Generates two tokens, because the first ones allocate memory and are slow."""
    batch.join([encoder.question_ids(QUESTION)], [params], [0])
    batch.step()
    batch.step()
    batch.clear()
