"""The preflight: what a run with the current params.yaml needs, before it starts.

Can the sources be had, does it fit into memory and on the disk, how long does it take, how many
answers are cut? Writes nothing into the project. Exit code 1 if the run cannot work.

    medtune check           # times nothing
    medtune check --time    # times a few steps where the model is there
"""

import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from medtune.config.loading import PARAMS_FILE, read_yaml, validate
from medtune.config.schema import Params, SplitName
from medtune.modeling.launch import LAUNCH
from medtune.modeling.loading import BASE
from medtune.preflight.cards import Cards, is_made, known_cards, largest_batches
from medtune.preflight.sources import ask_source, find_config
from medtune.runtime.errors import InputError
from medtune.sources.fetch import Target

logger = logging.getLogger("medtune")

TIGHT = 0.85  # share of what is free from which a warning is due
MANY_CUT = 0.05  # share of cut answers from which a warning is due
OUTPUTS: dict[Target, Path] = {"model": BASE, "dataset": Path("data/raw")}
Verdict = Literal["ok", "warning", "problem"]
Result = tuple[Verdict, str]
NO_CONFIG: Result = ("warning", "known when the model is there: run dvc repro download@model")


@dataclass
class Check:
    """The checks of one set of parameters; later ones use what earlier ones have found out."""

    params: Params
    scratch: Path
    found: list[Target] = field(default_factory=list)  # sources that can be had
    cards: dict[SplitName, Cards] = field(default_factory=dict)
    config: Path | None = None  # the folder of the model's config.json
    parameters: tuple[int, int] = (0, 0)  # trained, all
    processes: int = 1  # on this machine
    startup_s: float = 0.0

    def source(self, target: Target) -> Result:
        uri = getattr(self.params.download, target)
        if is_made(f"download@{target}", self.params):
            return "ok", f"{uri} is in {OUTPUTS[target]}"
        size = ask_source(uri, target)
        self.found.append(target)
        return "ok", f"{uri} can be had" + (f", {_size(size)}" if size else "")

    def length(self) -> Result:
        """How many answers are cut; counted on a sample where there are thousands."""
        self.cards = known_cards(self.params)
        limit = self.params.tokenize.max_length_tokens
        texts, worst = [], 0.0
        for split, cards in self.cards.items():
            share = sum(cards.truncated) / max(1, len(cards.lengths))
            worst = max(worst, share)
            about = "" if cards.is_whole else "about "
            texts.append(f"{about}{round(share * cards.count):,} of {cards.count:,} {split}")
        text = f"answers cut at {limit} tokens: {', '.join(texts)}"
        if full := sum(cards.without_room for cards in self.cards.values()):
            return "problem", f"{full} prompts leave no room for an answer; {text}"
        return ("warning" if worst > MANY_CUT else "ok"), text

    def device(self) -> Result:
        """As train.launch has it; sets what the launched processes would find in os.environ."""
        train, path = self.params.train, LAUNCH / f"{self.params.train.launch}.yaml"
        if not path.is_file():
            known = ", ".join(sorted(path.stem for path in LAUNCH.glob("*.yaml")))
            raise InputError(f"{path} does not exist: train.launch can be {known}")
        launch = read_yaml(path)
        os.environ["ACCELERATE_USE_CPU"] = str(launch["use_cpu"])
        self.processes = launch["num_processes"] // launch["num_machines"]
        start = time.perf_counter()
        import peft  # noqa: F401  what a stage imports before it starts
        import torch

        from medtune.modeling.loading import device, resolve_precision

        self.startup_s = time.perf_counter() - start
        name = torch.cuda.get_device_name() if device() == "cuda" else "CPU"
        text = f"{name}, {torch.get_num_threads()} threads, {resolve_precision(train.precision)}"
        if train.quantization != "none":
            text += f", base weights in {train.quantization}"
        if launch["num_processes"] > 1:
            text += f", {self.processes} processes on each of {launch['num_machines']} machines"
        if device() == "cpu" and not launch["use_cpu"] and "gpu_ids" in launch:
            return "problem", f"{path} asks for a GPU and torch sees none: use train.launch: local"
        return "ok", text

    def model(self) -> Result:
        """Counts the parameters of the model that config.json describes, without its weights."""
        from medtune.preflight.memory import count_parameters, layer_count

        made = is_made("download@model", self.params)
        uri = self.params.download.model
        if made:
            self.config = BASE
        elif "model" in self.found:
            self.config = find_config(uri, self.scratch)
        if not self.config:
            return NO_CONFIG
        trained, everything = self.parameters = count_parameters(self.config, self.params.train)
        return "ok", (
            f"{(everything - trained) / 1e6:,.1f} M parameters in {layer_count(self.config)} "
            f"layers, and {trained / 1e6:,.2f} M trained ({trained / everything:.2%})"
        )

    def memory(self) -> Result:
        """The peaks of train and evaluate against what is free."""
        import psutil
        import torch

        from medtune.modeling.loading import device
        from medtune.modeling.losses import LOSS_BATCH
        from medtune.preflight.memory import peak_bytes

        if not self.config:
            return NO_CONFIG
        logger.info("taking the largest steps with a few layers")
        job = largest_batches(self.cards, self.params, LOSS_BATCH)
        job["train"] = self.params.train.model_dump()
        peaks = peak_bytes(self.config, job)
        if device() == "cuda":
            free, where, processes = torch.cuda.mem_get_info()[0], "on each GPU", 1
        else:
            free, where, processes = psutil.virtual_memory().available, "here", self.processes
        needed = max(processes * peaks["train"], peaks["evaluate"])
        text = f"train {_size(peaks['train'])}" + (f" × {processes}" if processes > 1 else "")
        text += f", evaluate {_size(peaks['evaluate'])}; {_size(free)} are free {where}"
        if not self.cards:
            text += f" (cards unknown: all {self.params.tokenize.max_length_tokens} tokens long)"
        return _fit(needed, free), text

    def disk(self) -> Result:
        """Base weights, adapter and checkpoints; DVC's cache shares them by hard links."""
        if not self.config:
            return NO_CONFIG
        train, (trained, everything) = self.params.train, self.parameters
        config = json.loads((self.config / "config.json").read_text(encoding="utf-8"))
        width = (
            2 if config.get("dtype", config.get("torch_dtype")) in ("bfloat16", "float16") else 4
        )
        base = 0 if is_made("download@model", self.params) else (everything - trained) * width
        adapter = 4 * trained
        moments = 2 * trained if train.optim == "paged_adamw_8bit" else 8 * trained
        checkpoint = adapter + moments + (adapter if train.load_best_model_at_end else 0)
        needed = base + adapter + 3 * checkpoint  # two are kept while the next is written
        free = shutil.disk_usage(".").free
        text = f"adapter {_size(adapter)}, checkpoints {_size(3 * checkpoint)}"
        text += f", base model {_size(base)}" if base else ""
        return _fit(needed, free), f"{text}; {_size(free)} are free"

    def duration(self) -> Result:
        """Times a few steps of train and evaluate."""
        from medtune.preflight.timing import evaluate_seconds, train_seconds

        if not is_made("download@model", self.params):
            return NO_CONFIG
        if not self.cards:
            return "warning", "known when the cards are there: run dvc repro clean"
        logger.info("timing a few steps")
        load = os.getloadavg()[0]
        params, cards = self.params, self.cards
        train_s, steps = train_seconds(
            params.train, params.seed, cards["train"], cards["validation"]
        )
        evaluate_s = self.startup_s + evaluate_seconds(params, cards["test"])
        text = f"train about {_span(self.startup_s + train_s)} ({steps:,} steps)"
        if self.processes > 1:
            text += " in one process, which has the machine to itself"
        text += f", evaluate about {_span(evaluate_s)} for each of the two models"
        return "ok", text + (f"; but the machine is busy, load {load:.1f}" if load > 1 else "")


def run_checks(check: Check, quick: bool) -> Iterator[tuple[str, Verdict, str]]:
    """Subject, verdict and text of each check, one after the other."""
    checks: list[tuple[str, Verdict, Callable[[], Result]]] = [
        ("model", "problem", lambda: check.source("model")),
        ("dataset", "problem", lambda: check.source("dataset")),
        ("device", "problem", check.device),
        ("length", "warning", check.length),
        ("parameters", "problem", check.model),
        ("memory", "problem", check.memory),
        ("disk", "warning", check.disk),
        ("time", "warning", check.duration),
    ]
    for subject, on_error, run in checks[:-1] if quick else checks:
        try:
            verdict, text = run()
        except InputError as error:
            verdict, text = on_error, " ".join(str(error).split())
        yield subject, verdict, text


def _fit(needed: int, free: int) -> Verdict:
    if needed > free:
        return "problem"
    return "warning" if needed > TIGHT * free else "ok"


def _size(count: float) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**29 else f"{count / 2**20:,.0f} MiB"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def check(device: str | None, time_steps: bool) -> None:
    """Prints a line for each subject and exits with 1 if the run cannot work."""
    if device is not None:
        raise InputError(f"the memory of {device} is not known: leave --device out")
    params = validate(read_yaml(PARAMS_FILE))
    problems = 0
    with TemporaryDirectory() as scratch:
        for subject, verdict, text in run_checks(Check(params, Path(scratch)), not time_steps):
            print(f"{verdict:8}{subject:11}{text}", flush=True)
            problems += verdict == "problem"
    sys.exit(1 if problems else 0)
