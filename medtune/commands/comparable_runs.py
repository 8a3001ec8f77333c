"""Finds runs that differ from the workspace's in one parameter, and reads what they answered."""

import hashlib
import io
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medtune.commands.experiments import SYSTEMS, WORKSPACE, Experiment, load_experiments
from medtune.runtime.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

# What changes the answers: the sections of all stages before compare, and the shared seed.
SECTIONS = ("seed", "download", "clean", "split", "tokenize", "train", "evaluate")
FINETUNED = Path("data/predictions/finetuned.parquet")


@dataclass(frozen=True)
class Runs:
    """The workspace's run, the runs like it, and the names of others by their state."""

    here: Experiment
    alike: list[Experiment]
    others: dict[str, list[str]]

    def waiting(self) -> set[str]:
        return {*self.others.get("queued", ()), *self.others.get("running", ())}


def params_that_count(params: Mapping[str, Any], varied: Collection[str] = ()) -> dict[str, Any]:
    """Returns the parameters that change answers, by dotted key, without those that are varied."""
    return {
        key: value
        for key, value in sorted(params.items())
        if key.split(".")[0] in SECTIONS and key not in varied
    }


def params_hash(params: Mapping[str, Any], varied: Collection[str]) -> str:
    """Returns the sha256 of the parameters that change answers and are not varied."""
    text = json.dumps(params_that_count(params, varied), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def find_runs(commits: int, varied: str, input_varied: str | None = None) -> Runs:
    """Returns the finished runs that differ from the workspace's in one parameter at most.

    With it, the hash of one input may differ. `commits` counts back from HEAD; -1 takes all.
    """
    runs, others = load_experiments(commits)
    here = next((run for run in runs if run.name == WORKSPACE), None)
    if here is None:
        raise InputError("the workspace has no run with the settings of params.yaml: run dvc repro")

    def rest(run: Experiment) -> tuple[dict[str, Any], dict[str, str]]:
        inputs = {path: md5 for path, md5 in run.inputs.items() if path != input_varied}
        return params_that_count(run.params, (varied,)), inputs

    alike = [run for run in runs if rest(run) == rest(here)]
    return Runs(here, [here, *(run for run in alike if run is not here)], others)


def read_output(run: Experiment, path: Path, stage: str) -> "pa.Table":
    """Reads a Parquet file of a run; that of an experiment from DVC's cache or a remote."""
    import pyarrow.parquet as pq

    from medtune.runtime.atomic_files import read_table

    if not run.commit:
        return read_table(path, stage)
    import dvc.api
    from dvc.exceptions import DvcException

    try:
        content = dvc.api.read(str(path), rev=run.commit, mode="rb")
    except (DvcException, FileNotFoundError):
        raise InputError(
            f"{path} of {run.name} is not in DVC's cache: run `dvc exp remove {run.name}` and "
            "queue it again"
        ) from None
    return pq.read_table(io.BytesIO(content))


def finetuned_answers(runs: Sequence[Experiment]) -> list["pa.Table"]:
    """Returns the scored answers of the fine-tuned model of each run to the same test cards."""
    tables = [read_output(run, FINETUNED, "evaluate@finetuned") for run in runs]
    for run, table in zip(runs, tables, strict=True):
        check_rows(table, tables[0], run.name)
    return [scored(table) for table in tables]


def workspace_answers(system: str) -> "pa.Table":
    """Returns the scored test answers of a system, from the workspace."""
    from medtune.comparison.systems import read_answers

    table = read_answers(system)
    if not table.num_rows:
        raise InputError(f"{system} has no answers: set evaluate.few_shot above 0, run dvc repro")
    return scored(table)


def scored(table: "pa.Table") -> "pa.Table":
    """Adds the scores of content as the stage compare does, with the workspace's cards.

    So runs with fewer training cards are measured by the same definition.
    """
    from medtune.content.columns import with_content
    from medtune.runtime.atomic_files import read_table

    folder = Path("data/split")
    cards = read_table(folder / "test.parquet", "split")
    return with_content(table, cards, read_table(folder / "train.parquet", "split"))


def check_rows(table: "pa.Table", first: "pa.Table", name: str) -> None:
    if not table.column("id").equals(first.column("id")):
        raise InputError(f"{name} answered other test cards than the workspace: run it again")


def read_best_untrained() -> dict[str, str]:
    """Returns the best system without training for each score, as picked on validation cards."""
    from medtune.comparison.systems import best_named
    from medtune.runtime.atomic_files import read_json

    return best_named(read_json(Path(SYSTEMS), "compare"))
