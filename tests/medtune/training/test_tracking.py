import logging
from pathlib import Path

import pytest
from accelerate.tracking import LOGGER_TYPE_TO_CLASS

from medtune.runtime.errors import InputError
from medtune.training.history import Point
from medtune.training.tracking import REPORT_TO, TRACKERS, reporting, requested_trackers

POINTS = [
    Point("train", 5, 0.5, 2.5, 1e-3, 100),
    Point("validation", 10, 1.0, 2.25, 5e-4, 200),
    Point("train", 10, 1.0, 2.0, 5e-4, 200),
]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "DVC_EXP_NAME", REPORT_TO):
        monkeypatch.setenv(name, "")  # so that it is put back after the test
        monkeypatch.delenv(name)
    return tmp_path


def send(names: list[str]) -> None:
    with reporting(names, {"lr": 1e-3, "target_modules": ["q_proj"], "patience": None}) as report:
        for point in POINTS:
            report(point)


def test_without_the_variable_nothing_is_tracked_or_written(project: Path) -> None:
    send(requested_trackers())
    assert not list(project.iterdir())


def test_names_are_separated_by_commas_and_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REPORT_TO, " TensorBoard,mlflow, tensorboard,")
    assert requested_trackers() == ["tensorboard", "mlflow"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("wandbb", r"did you mean wandb\?$"),
        ("tensorbord", r"did you mean tensorboard\?$"),
        ("aim", "it can name dvclive, mlflow, tensorboard, wandb$"),
    ],
)
def test_an_unknown_tracker_is_refused_with_the_one_meant_or_all(
    monkeypatch: pytest.MonkeyPatch, name: str, hint: str
) -> None:
    monkeypatch.setenv(REPORT_TO, name)
    with pytest.raises(InputError, match=f"'{name}': {hint}"):
        requested_trackers()


def test_a_tracker_without_its_package_names_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("medtune.training.tracking.get_available_trackers", lambda: [])
    monkeypatch.setenv(REPORT_TO, "wandb")
    with pytest.raises(InputError, match=r"not installed: run `make \.venv/trackers`"):
        requested_trackers()


def test_accelerate_still_knows_each_tracker() -> None:
    assert set(TRACKERS) <= {str(name) for name in LOGGER_TYPE_TO_CLASS}


@pytest.mark.slow
def test_tensorboard_gets_the_curves(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("DVC_EXP_NAME", "gouty-toe")
    send(["tensorboard"])
    (run,) = (project / "runs/tensorboard").iterdir()
    assert run.name.startswith("gouty-toe-")
    events = EventAccumulator(str(run)).Reload()
    losses = {
        curve: [(event.step, event.value) for event in events.Scalars(f"{curve}/loss")]
        for curve in ("train", "validation")
    }
    assert losses == {"train": [(5, 2.5), (10, 2.0)], "validation": [(10, 2.25)]}


@pytest.mark.slow
def test_mlflow_gets_curves_and_settings_in_the_project(project: Path) -> None:
    import mlflow

    send(["mlflow"])
    assert (project / "runs/mlflow.db").is_file()
    (run,) = mlflow.search_runs(experiment_names=["medtune"], output_format="list")
    assert run.info.status == "FINISHED"
    assert run.data.params == {"lr": "0.001", "target_modules": "['q_proj']", "patience": "None"}
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "train/loss")
    assert [(metric.step, metric.value) for metric in history] == [(5, 2.5), (10, 2.0)]


class Broken:
    """A tracker of which one method fails."""

    def __init__(self, broken: str) -> None:
        self.broken, self.called = broken, list[str]()

    def __getattr__(self, name: str) -> object:
        def method(*_: object, **__: object) -> None:
            self.called.append(name)
            if name == self.broken:
                raise ConnectionError("no route\nto host")

        return method


@pytest.mark.parametrize("broken", ["log", "finish"])
def test_a_tracker_that_fails_later_costs_a_warning_and_no_run(
    broken: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = Broken(broken)
    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "wandb", lambda **_: tracker)
    with caplog.at_level(logging.WARNING, "medtune"):
        send(["wandb"])
    assert caplog.messages == ["wandb failed and gets no more points: ConnectionError no route"]
    assert tracker.called.count(broken) == 1


def test_a_tracker_that_does_not_start_ends_the_run_and_the_trackers_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good = Broken("")
    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "dvclive", lambda **_: good)
    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "wandb", lambda **_: Broken("start"))
    with pytest.raises(InputError, match=r"wandb did not start \(ConnectionError no route\)"):
        send(["dvclive", "wandb"])
    assert good.called == ["start", "store_init_configuration", "finish"]
