"""`medtune replicate`: the same training with other seeds, and what all of them show together.

Queues the trainings as DVC experiments. When they are done, it reads their answers from DVC's cache
and writes metrics/seeds.json, which is committed and no output of the pipeline: `make` trains once.
"""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medtune.commands.comparable_runs import (
    Runs,
    check_rows,
    find_runs,
    finetuned_answers,
    params_hash,
    read_best_untrained,
    workspace_answers,
)
from medtune.commands.experiments import (
    ANSWERING,
    PARAMS,
    Experiment,
    flat,
    inputs_of,
    queue_experiments,
    read_lock,
)
from medtune.runtime.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from medtune.comparison.seeds import Estimate
    from medtune.scoring.scores import Score

EXAMPLES = (
    "medtune replicate --seeds 5",
    "medtune replicate --seeds 5 --dry-run",
    "medtune replicate --table",
)
SEEDS = Path("metrics/seeds.json")
VARIED = "train.seed"
SCORING = ("medtune/comparison", "medtune/content")  # code that scores, beside the runs' inputs
DATA = ("data/", "models/")
MOST_SEEDS = 2**32


def seed_of(run: Experiment) -> int:
    own = run.params.get(VARIED)
    return run.params["seed"] if own is None else own


def by_seed(runs: Runs) -> dict[int, Experiment]:
    """Returns a run for each seed that has one; the workspace's comes before others."""
    found: dict[int, Experiment] = {}
    for run in runs.alike:
        found.setdefault(seed_of(run), run)
    return found


def queue_commands(runs: Runs, seeds: int) -> list[list[str]]:
    """Returns the arguments of `dvc` for missing seeds, counted up from the shared one.

    A seed whose run waits in the queue is not missing.
    """
    mark, shared = params_hash(runs.here.params, (VARIED,))[:7], runs.here.params["seed"]
    names = {
        seed: f"{runs.here.params['preset']}-seed{seed}-{mark}"
        for seed in ((shared + n) % MOST_SEEDS for n in range(2 * seeds))
    }
    there = set(by_seed(runs)) | {seed for seed, name in names.items() if name in runs.waiting()}
    missing = [seed for seed in names if seed not in there][: max(0, seeds - len(there))]
    return [
        ["exp", "run", "--queue", "--name", names[seed], "-S", f"{VARIED}={seed}"]
        for seed in missing
    ]


def provenance(stages: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a run of `stages`, those of dvc.lock, comes from.

    Equal parameters, data and answers make equal scores, whatever happened to the code since;
    its hashes say which code made the run.
    """
    inputs, scoring = inputs_of(stages), stages.get("compare", {}).get("deps", [])
    params = {
        key: value
        for name in ANSWERING
        for key, value in flat(stages.get(name, {}).get("params", {}).get(PARAMS, {})).items()
    }
    return {
        "params": {key: params[key] for key in sorted(params) if key != VARIED},
        "data_md5": {path: md5 for path, md5 in inputs.items() if path.startswith(DATA)},
        "code_md5": {path: md5 for path, md5 in inputs.items() if not path.startswith(DATA)}
        | {dep["path"]: dep["md5"] for dep in scoring if dep["path"] in SCORING},
    }


def answers_sha256() -> dict[str, str]:
    """Returns a hash of what each system of the workspace answered, "<system>.<split>".

    It does not depend on how the answers are scored.
    """
    from medtune.comparison.systems import read_systems
    from medtune.scoring.predictions import texts_sha256

    return {
        f"{name}.{split}": texts_sha256(table)
        for split, tables in read_systems().items()
        for name, table in tables.items()
    }


def replicated(found: Mapping[int, Experiment], confidence: float) -> dict[str, Any]:
    """Returns each score over all seeds: fine-tuned, and less each untrained system to beat."""
    from medtune.comparison.paired_scores import group_numbers
    from medtune.scoring.system_names import BASE

    best = read_best_untrained()
    tables = finetuned_answers(list(found.values()))
    others = {name: workspace_answers(name) for name in dict.fromkeys((BASE, *best.values()))}
    for name, table in others.items():
        check_rows(table, tables[0], name)
    groups = group_numbers(tables[0])
    scores = {}
    metrics = next(iter(found.values())).params.get("evaluate.metrics", ())
    for score in comparable_scores(tables[0], metrics):
        systems = dict.fromkeys((BASE, best.get(score.name, BASE)))
        rivals = {name: others[name] for name in systems}
        scores[score.name] = score_over_seeds(score, tables, rivals, groups, confidence)
        scores[score.name]["best"] = best.get(score.name, BASE)
    return {
        "n": tables[0].num_rows,
        "groups": int(groups.max()) + 1,
        "confidence": confidence,
        "seeds": list(found),
        "scores": scores,
    }


def comparable_scores(table: "pa.Table", metrics: Sequence[Any] = ()) -> list["Score"]:
    """Returns the scores that can get better or worse and whose columns the table has."""
    from medtune.scoring.hf_evaluate_metrics import all_scores
    from medtune.scoring.scores import scores_of

    return [score for score in scores_of(table, all_scores(metrics)) if score.better]


def score_over_seeds(
    score: "Score",
    tables: Sequence["pa.Table"],
    rivals: Mapping[str, "pa.Table"],
    groups: Any,
    confidence: float,
) -> dict[str, Any]:
    from medtune.comparison.seeds import differences, estimate
    from medtune.scoring.scores import statistics

    rows = [statistics(table, score) for table in tables]
    values = differences(score, rows, None, groups)
    result: dict[str, Any] = {
        "finetuned": _fields(estimate(values, confidence)),
        "by_seed": values[:, 0].tolist(),
        "sd_over_seeds": float(values[:, 0].std(ddof=1)),
    }
    for name, table in rivals.items():
        other = statistics(table, score)
        gain = estimate(differences(score, rows, other, groups), confidence)
        whole = float(score.value(other.sum(axis=0)))
        result[name] = {"value": whole, "gain": _fields(gain, with_p=True)}
    return result


def _fields(estimate: "Estimate", with_p: bool = False) -> dict[str, float]:
    fields = {"value": estimate.value, "ci_low": estimate.ci_low, "ci_high": estimate.ci_high}
    return fields | ({"p_value": estimate.p_value} if with_p else {})


def table_text(content: Mapping[str, Any], few_shot: int) -> str:
    """Returns metrics/seeds.json as a Markdown table that aligns in a terminal."""
    from medtune.comparison.verdict import sample
    from medtune.report.number_formats import interval_text, number, p_text, percent
    from medtune.report.rendering import markdown_table
    from medtune.scoring.hf_evaluate_metrics import all_scores
    from medtune.scoring.system_names import BASE, title

    interval = f"{percent(content['confidence'])} interval"
    header = ["score", "base", "best without training", "fine-tuned", "SD over seeds"]
    rows = [[*header, "fine-tuned minus best", interval, "p"]]
    for score in all_scores(content.get("params", {}).get("evaluate.metrics", ())):
        if (found := content["scores"].get(score.name)) is None:
            continue
        best, gain = found[found["best"]], found[found["best"]]["gain"]
        named = f"{number(best['value'], score.digits)} ({title(found['best'], few_shot)})"
        rows.append([
            *(score.title, number(found[BASE]["value"], score.digits), named),
            number(found["finetuned"]["value"], score.digits),
            number(found["sd_over_seeds"], score.digits + 1),
            number(gain["value"], score.digits, sign=True),
            interval_text(gain["ci_low"], gain["ci_high"], score.digits),
            p_text(gain["p_value"]),
        ])  # fmt: skip
    seeds = ", ".join(map(str, content["seeds"]))
    origin = f"{sample(content['n'], content['groups'])}; training seeds {seeds}"
    return f"{markdown_table(rows)}\n\n{origin}"


def write_seeds(runs: Runs) -> str:
    """Writes metrics/seeds.json from the runs that are done, and returns it as a table."""
    from medtune.runtime.atomic_files import read_json, write_json

    found = by_seed(runs)
    if len(found) < 2:
        raise InputError(
            "there is a run of one seed only: run `medtune replicate --seeds 5`, or add --num -1 "
            "to look at the experiments of earlier commits too"
        )
    content = replicated(found, runs.here.params["compare.confidence"])
    content |= provenance(read_lock("")) | {"answers_sha256": answers_sha256()}
    write_json(SEEDS, content)
    few_shot = runs.here.params.get("evaluate.few_shot", 0)
    return f"{table_text(read_json(SEEDS, 'compare'), few_shot)}\n{SEEDS}"


def replicate(
    seeds: Annotated[
        int, typer.Option(min=2, help="Total number of seeds, including finished ones.")
    ] = 5,
    table: Annotated[
        bool, typer.Option("--table", help="Queue nothing; compare the runs that are done.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be queued, and queue nothing.")
    ] = False,
    num: Annotated[
        int, typer.Option(help="Look at the experiments of this many commits; -1 takes all.")
    ] = 1,
) -> None:
    """Train again with other seeds and compare over all seeds.

    The first call queues DVC experiments that differ in train.seed alone. Once they are done, the
    same call writes metrics/seeds.json and prints its table.
    """
    runs = find_runs(num, VARIED)
    commands = [] if table else queue_commands(runs, seeds)
    if dry_run:
        print("\n".join(shlex.join(["dvc", *command]) for command in commands) or "nothing to do")
    elif commands:
        queue_experiments(commands)
        print("When they are done, `medtune replicate --table` compares all seeds.")
    elif not table and len(by_seed(runs)) < seeds:
        print(f"waiting for {', '.join(sorted(runs.waiting()))}: see `dvc queue status`")
    else:
        print(write_seeds(runs))
