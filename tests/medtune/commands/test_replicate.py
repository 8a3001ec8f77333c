from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from medtune.commands import replicate
from medtune.commands.comparable_runs import Runs
from medtune.commands.experiments import Experiment
from medtune.commands.replicate import by_seed, provenance, queue_commands, table_text, write_seeds
from medtune.runtime.errors import InputError

PARAMS = {"preset": "mine", "seed": 42, "train.seed": None, "train.lr": 0.1, "guard.scope": "off"}


def made(name: str, own: int | None = None, **more: Any) -> Experiment:
    commit = "" if name == "workspace" else "abc"
    return Experiment(name, commit, PARAMS | {"train.seed": own} | more, {}, {})


def runs(*others: Experiment, queued: list[str] | None = None) -> Runs:
    here = made("workspace")
    return Runs(here, [here, *others], {"queued": queued or []})


def seeds(commands: list[list[str]]) -> list[str]:
    return [command[-1].removeprefix("train.seed=") for command in commands]


def test_seeds_count_up_from_the_shared_one_which_is_done() -> None:
    commands = queue_commands(runs(), 5)
    assert seeds(commands) == ["43", "44", "45", "46"]
    assert commands[0][:4] == ["exp", "run", "--queue", "--name"]
    assert commands[0][5:] == ["-S", "train.seed=43"]
    assert len({command[4] for command in commands}) == 4


def test_seeds_that_are_done_or_wait_are_not_queued_again() -> None:
    first = queue_commands(runs(), 3)
    waiting = runs(queued=[first[0][4]])
    assert seeds(queue_commands(waiting, 3)) == ["44"]
    assert seeds(queue_commands(runs(made("a", 43), made("b", 7)), 4)) == ["44"]
    assert queue_commands(runs(made("a", 43), made("b", 44)), 3) == []
    assert queue_commands(runs(made("a", 43), made("b", 44)), 2) == []


def test_other_parameters_give_experiments_other_names() -> None:
    other = made("workspace", **{"train.lr": 0.2})
    names = [queue_commands(each, 2)[0][4] for each in (runs(), Runs(other, [other], {}))]
    assert names[0] != names[1]
    guarded = made("workspace", **{"guard.scope": "block"})
    assert queue_commands(Runs(guarded, [guarded], {}), 2)[0][4] == names[0]


def test_one_seed_counts_once_whether_it_is_shared_or_the_trainings_own() -> None:
    found = by_seed(runs(made("same", 42), made("other", 43)))
    assert {seed: run.name for seed, run in found.items()} == {42: "workspace", 43: "other"}


def test_a_single_run_is_told_where_the_others_may_be() -> None:
    with pytest.raises(InputError, match="add --num -1 to look at the experiments of earlier"):
        write_seeds(runs())


def stages(**changed: Any) -> dict[str, Any]:
    def deps(*paths: str) -> dict[str, Any]:
        return {"deps": [{"path": path, "md5": changed.get(path, "0")} for path in paths]}

    def outs(*paths: str) -> dict[str, Any]:
        return {"outs": [{"path": path, "md5": changed.get(path, "0")} for path in paths]}

    adapter, answers = "models/adapter/adapter_model.safetensors", "data/predictions/tuned.parquet"
    params = {key: changed.get(key, 1) for key in ("seed", "train.seed", "train.lr")}
    return {
        "train": deps("data/tokens/train.arrow", "medtune/training") | outs(adapter)
        | {"params": {"params.yaml": params}},
        "evaluate@finetuned": deps(adapter, "medtune/scoring") | outs(answers),
        "compare": deps("medtune/comparison", "medtune/content", "medtune/report"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ("data/tokens/train.arrow", "data_md5"),
        ("medtune/training", "code_md5"),
        ("medtune/scoring", "code_md5"),
        ("medtune/content", "code_md5"),
        ("data/predictions/tuned.parquet", None),
        ("seed", "params"),
        ("train.lr", "params"),
        ("medtune/report", None),
        ("train.seed", None),
        ("models/adapter/adapter_model.safetensors", None),
    ],
)
def test_a_table_of_seeds_names_all_that_its_scores_come_from(
    changed: str, part: str | None
) -> None:
    before, after = provenance(stages()), provenance(stages(**{changed: 2}))
    assert [key for key in before if before[key] != after[key]] == ([part] if part else [])


def answers(values: list[float]) -> pa.Table:
    names = [f"card {n}" for n in range(len(values))]
    return pa.table({"id": names, "group": names, "rougeL": values, "metrics.wer": values})


@pytest.fixture
def content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Two seeds, of which each is 0.1 off 0.5, against a rule with 0.4 and a base with 0.2."""
    tuned = [answers([0.5, 0.6, 0.7]), answers([0.3, 0.4, 0.5])]
    untrained = {"base": answers([0.2, 0.2, 0.2]), "echo": answers([0.3, 0.4, 0.5])}
    monkeypatch.setattr(replicate, "finetuned_answers", lambda found: tuned)
    monkeypatch.setattr(replicate, "workspace_answers", untrained.__getitem__)
    monkeypatch.setattr(replicate, "read_best_untrained", lambda: {"rougeL": "echo"})
    return replicate.replicated({42: made("workspace"), 43: made("other", 43)}, 0.95)


def test_a_score_has_its_seeds_and_its_gain_over_base_and_the_best_without_training(
    content: dict[str, Any],
) -> None:
    assert (content["seeds"], content["n"], content["groups"]) == ([42, 43], 3, 3)
    score = content["scores"]["rougeL"]
    assert list(content["scores"]) == ["rougeL"]
    assert score["by_seed"] == pytest.approx([0.6, 0.4])
    assert score["finetuned"]["value"] == pytest.approx(0.5)
    assert score["sd_over_seeds"] == pytest.approx(0.2 / 2**0.5)
    assert (score["best"], score["echo"]["value"]) == ("echo", pytest.approx(0.4))
    assert score["echo"]["gain"]["value"] == pytest.approx(0.1)
    assert score["base"]["gain"]["value"] == pytest.approx(0.3)
    gain = score["echo"]["gain"]  # only seeds differ: Student's interval with one degree of freedom
    assert gain["ci_high"] - gain["value"] == pytest.approx(0.1 * 12.7062, rel=1e-4)


def test_a_metric_that_has_a_better_side_is_compared_over_seeds_too(
    content: dict[str, Any],
) -> None:
    assert "metrics.wer" not in content["scores"]
    wer = {"name": "wer", "higher_is_better": False}
    alike = {seed: made(str(seed), seed, **{"evaluate.metrics": [wer]}) for seed in (42, 43)}
    found = replicate.replicated(alike, 0.95)
    assert found["scores"]["metrics.wer"]["by_seed"] == pytest.approx([0.6, 0.4])
    shown = table_text(found | {"params": {"evaluate.metrics": [wer]}}, few_shot=3)
    assert "| wer " in shown


def test_the_table_names_the_best_system_and_the_seeds(content: dict[str, Any]) -> None:
    header, _, row, _, origin = table_text(content, few_shot=3).splitlines()
    assert [cell.strip() for cell in header.strip("|").split("|")][:3] == [
        *("score", "base", "best without training"),
    ]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == [
        *("ROUGE-L", "0.200", "0.400 (question echoed)", "0.500", "0.1414"),
        *("+0.100", "-1.171 to +1.371", "0.500"),
    ]
    assert origin == "3 test cards in 3 groups; training seeds 42, 43"
