"""The preflight: what a run with the current params.yaml needs, before it starts.

Can the sources be downloaded, do the models fit into memory and onto the disk, how many answers are
cut, how long does it take? Writes nothing into the project.

    medtune check              # takes a few seconds
    medtune check --device t4  # for a GPU that this machine may lack
    medtune check --time       # times a few steps on this machine
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import pyarrow as pa

from medtune.config.allowed_values import SPLITS, SplitName, as_list
from medtune.config.loading import read_yaml, validate
from medtune.config.schema import Params
from medtune.modeling.collation import Cards
from medtune.modeling.launch import LAUNCH, unknown_launch
from medtune.modeling.loading import BASE
from medtune.modeling.token_files import TOKENS, columns, read_tokens
from medtune.preflight.known_gpus import find_device
from medtune.preflight.lengths import Lengths, Outputs, known_lengths, largest_batches
from medtune.preflight.memory import Decoder, evaluate_bytes, merged, train_bytes
from medtune.preflight.remedies import STAGES, Stage, find_changes
from medtune.preflight.remotes import default_remote, missing_package
from medtune.preflight.sources import ask_source, find_config
from medtune.runtime.errors import InputError
from medtune.runtime.params_file import PARAMS_FILE
from medtune.sources.fetch import Target
from medtune.training.checkpoints import KEPT

TIGHT = 0.85  # a run that takes more than this share of what is free gets a warning
MANY_CUT = 0.05  # a larger share of cut answers gets a warning
FOLDERS: dict[Target, Path] = {"model": BASE, "dataset": Path("data/raw")}
Level = Literal["ok", "warning", "problem"]
Finding = tuple[Level, str]
NO_MODEL: Finding = ("warning", "known once the model is downloaded: run dvc repro download@model")


def check(device: str | None, time_steps: bool) -> None:
    """Prints a line for each subject; exits with 1 if the run cannot work."""
    params = validate(read_yaml(PARAMS_FILE))
    problems = 0
    with TemporaryDirectory() as scratch:
        for subject, (level, text) in findings(params, Path(scratch), device, time_steps):
            print(f"{level:9}{subject:9}{text}", flush=True)
            problems += level == "problem"
    if problems:
        sys.exit(1)


def findings(
    params: Params, scratch: Path, device: str | None, time_steps: bool
) -> Iterator[tuple[str, Finding]]:
    """Yields (subject, finding); later checks use what earlier ones found."""
    preflight = Preflight(params, scratch, device)
    subjects: dict[str, Callable[[], Finding]] = {
        "model": lambda: preflight.source("model"),
        "dataset": lambda: preflight.source("dataset"),
        "device": preflight.device,
        "cards": preflight.cards,
        "weights": preflight.weights,
        "memory": preflight.memory,
        "disk": preflight.disk,
    }
    if address := default_remote():
        subjects["remote"] = lambda: remote(address)
    if time_steps:
        subjects["time"] = preflight.duration
    for subject, find in subjects.items():
        try:
            yield subject, find()
        except InputError as error:
            yield subject, ("problem", " ".join(str(error).split()))


def remote(address: str) -> Finding:
    if package := missing_package(address):
        return "problem", f"{address} needs the package {package}: run `make .venv/remotes`"
    return "ok", f"`dvc push` and `dvc pull` use {address}"


class Preflight:
    """The checks of one set of parameters on one device."""

    def __init__(self, params: Params, scratch: Path, device_name: str | None) -> None:
        self.params, self.scratch = params, scratch
        self.outputs = Outputs(params)
        self.lengths: dict[SplitName, Lengths] | None = None
        self.decoder: Decoder | None = None
        self.launch = _read_launch(params.train.launch)
        on_cpu = device_name is None and self.launch["use_cpu"]
        self.hardware = find_device("cpu" if on_cpu else device_name)

    def source(self, target: Target) -> Finding:
        uris = as_list(getattr(self.params.download, target))
        named = " and ".join(uris)
        if self.outputs.has(FOLDERS[target]):
            return "ok", f"{named} is in {FOLDERS[target]}"
        sizes = [ask_source(uri, target) for uri in uris]
        known = [size for size in sizes if size is not None]
        size = sum(known) if len(known) == len(sizes) else None
        return "ok", f"{named} can be downloaded" + (f", {_size(size)}" if size else "")

    def device(self) -> Finding:
        """Names the device that train.launch gets, and the number of its processes."""
        train, machines = self.params.train, self.launch["num_machines"]
        precision = self.hardware.auto if train.precision == "auto" else train.precision
        text = f"{self.hardware.name} with {_size(self.hardware.free_bytes)} free, {precision}"
        if train.quantization != "none":
            text += f", base weights in {train.quantization}"
        if self.launch["num_processes"] > 1:
            text += f", {self.processes} processes on each of {machines} machines"
        if not self.hardware.is_gpu and not self.launch["use_cpu"] and "gpu_ids" in self.launch:
            return "problem", f"train.launch is {train.launch}, which needs a GPU: set it to local"
        return "ok", text

    @property
    def processes(self) -> int:
        """The number of training processes on one machine."""
        return self.launch["num_processes"] // self.launch["num_machines"]

    def cards(self) -> Finding:
        """Counts the answers that are cut, in a sample of the records if tokenize has not run."""
        self.lengths = known_lengths(self.params, self.outputs)
        limit = self.params.tokenize.max_length_tokens
        if self.lengths is None:
            return "warning", f"lengths unknown, {limit} tokens assumed: run dvc repro tokenize"
        truncated = [cut for lengths in self.lengths.values() for cut in lengths.truncated]
        share = sum(truncated) / max(1, len(truncated))
        text = f"{share:.1%} of the answers are cut at {limit} tokens"
        full = max(lengths.without_room for lengths in self.lengths.values())
        if full and self.params.tokenize.truncation == "cut":
            return "problem", f"{full} prompts leave no room for an answer; {text}"
        return ("warning" if share > MANY_CUT else "ok"), text

    def weights(self) -> Finding:
        """Counts the parameters of the model that config.json describes."""
        uri = self.params.download.model
        here = self.outputs.has(BASE)
        folder = BASE if here else find_config(uri, self.scratch)
        if folder is None:
            return NO_MODEL
        try:
            self.decoder = Decoder.read(folder)
        except InputError as error:
            return "warning", str(error)
        trained, base = self.decoder.trained(self.params.train), self.decoder.parameters
        return "ok", (
            f"{base / 1e6:,.1f} M in {self.decoder.layers} layers, and {trained / 1e6:,.2f} M "
            f"trained ({trained / (base + trained):.2%})"
        )

    def memory(self) -> Finding:
        """Compares the peaks of train and evaluate with what is free, and says what to lower."""
        if self.decoder is None:
            return NO_MODEL
        peaks, free = self.peaks(self.params), self.hardware.free_bytes
        text = ", ".join(f"{stage} takes about {_size(peak)}" for stage, peak in peaks.items())
        text += f"; {_size(free)} free"
        if max(peaks.values()) <= free:
            return _level(max(peaks.values()), free), text
        changes: list[str] = []
        for stage in STAGES:
            found = find_changes(self.params, stage, self.peaks, free)
            if found is None:
                return "problem", f"{text}: choose a smaller model or a device with more memory"
            changes += [f"{key} to {value}" for key, value in found.items()]
        return "problem", f"{text}: set {' and '.join(changes)}"

    def peaks(self, params: Params) -> dict[Stage, int]:
        """Returns the peak of each stage in bytes; processes on one CPU share its memory."""
        assert self.decoder is not None
        batches, device = largest_batches(params, self.lengths), self.hardware
        if device.is_gpu and self.launch["num_processes"] == 1:
            batches = merged(batches, self.decoder, params.train)
        shards = self.launch["num_processes"] if "fsdp_config" in self.launch else 1
        half = device.computes_in_half(params.train.precision)
        train = train_bytes(self.decoder, params.train, batches, device.is_gpu, half, shards)
        half = device.computes_in_half("auto")
        return {
            "train": train * (1 if device.is_gpu else self.processes),
            "evaluate": evaluate_bytes(self.decoder, params, batches, device.is_gpu, half),
        }

    def disk(self) -> Finding:
        """Adds up base weights, adapter and checkpoints; DVC's cache has a second copy."""
        if self.decoder is None:
            return NO_MODEL
        train, trained = self.params.train, self.decoder.trained(self.params.train)
        here = self.outputs.has(BASE)
        base = 0 if here else 2 * self.decoder.parameters * self.decoder.stored_bytes
        adapter = 4 * trained
        outputs = 2 * adapter
        moments = (2 if train.optim == "paged_adamw_8bit" else 8) * trained
        checkpoint = adapter + moments + (adapter if train.load_best_model_at_end else 0)
        checkpoints = (KEPT + 1) * checkpoint  # those that are kept, while the next is written
        needed = base + outputs + checkpoints
        free = shutil.disk_usage(".").free
        text = f"adapter {_size(outputs)}, checkpoints {_size(checkpoints)}"
        text += f", base model {_size(base)}" if base else ""
        return _level(needed, free), f"{text}; {_size(free)} free"

    def duration(self) -> Finding:
        """Times a few steps of train and evaluate on this machine."""
        from medtune.preflight.timing import evaluate_seconds, train_seconds

        if not all(self.outputs.has(TOKENS / f"{split}.arrow") for split in SPLITS):
            return "warning", "known once the cards are tokenized: run dvc repro tokenize"
        busy = os.getloadavg()[0] / (os.cpu_count() or 1)
        training, validation, test = (read_tokens(TOKENS / f"{split}.arrow") for split in SPLITS)
        try:
            seed = self.params.train.seed_or(self.params.seed)
            cards = (columns(table, *Cards._fields) for table in (training, validation))
            train = train_seconds(self.params.train, seed, *cards)
            asked = columns(pa.concat_tables([test, validation]), "input_ids", "prompt_length")
            evaluate = evaluate_seconds(self.params.evaluate, asked)
        except (RuntimeError, MemoryError) as error:  # torch's OutOfMemoryError is one
            return "warning", f"the steps did not run: {str(error).splitlines()[0]}"
        text = f"train about {_span(train)}, evaluate about {_span(evaluate)} for each model"
        if self.processes > 1:
            text += ", measured with a single process"
        if busy > 1:
            return (
                "warning",
                f"{text}; measured on a busy machine (load {busy:.1f} per core)",
            )
        return "ok", text


def _read_launch(name: str) -> Any:
    path = LAUNCH / f"{name}.yaml"
    if not path.is_file():
        raise unknown_launch(name, "train")
    return read_yaml(path)


def _level(needed: float, free: float) -> Level:
    if needed > free:
        return "problem"
    return "warning" if needed > TIGHT * free else "ok"


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**29 else f"{count / 2**20:,.0f} MiB"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
