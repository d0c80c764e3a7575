"""Trackers: what they are told, that they change nothing, and what becomes of one that fails."""

import sys
from types import SimpleNamespace

import pytest

import crowd_sim
from crowd_sim.errors import InputError
from tests.bad_input.command import IN_PROCESS, call, check_line

SMALL = {
    "runs": 2,
    "crowd": {"n_workers": 6},
    "tournament": {"rounds": 3, "n_groups": 2},
    "valuation": {"method": "none", "kernel_shap_budget": 0},
}


class Notebook:
    """A tracker that keeps all that it is told."""

    def __init__(self, fails_in=""):
        self.calls = []
        self.fails_in = fails_in

    def _told(self, name, *what):
        self.calls.append((name, *what))
        if name == self.fails_in:
            raise RuntimeError("no\nnetwork")

    def start(self, name, folder, config):
        self._told("start", name, folder, config)

    def log(self, step, values):
        self._told("log", step, values)

    def finish(self, metrics, files):
        self._told("finish", metrics, files)

    def close(self, state):
        self._told("close", state)


def test_a_tracker_is_told_of_the_configuration_the_rounds_and_the_outcome_and_changes_no_byte(tmp_path):
    told = Notebook()
    outcome = crowd_sim.run(SMALL, tmp_path / "told", trackers=[told])
    crowd_sim.run(SMALL, tmp_path / "alone")
    assert told.calls[0][:2] == ("start", "told")
    assert told.calls[0][3]["crowd"]["n_workers"] == 6
    distances = [call[2]["distance"] for call in told.calls if call[0] == "log" and "distance" in call[2]]
    assert distances == pytest.approx(outcome.history.distances.mean(axis=1).tolist())
    ((_, metrics, files),) = [call for call in told.calls if call[0] == "finish"]
    assert metrics["final_distance"] == pytest.approx(outcome.metrics["final_distance"].mean())
    assert [path.name for path in files] == ["report.html", "config.yaml"]
    assert told.calls[-1] == ("close", "finished")
    written = {path.relative_to(tmp_path / "told") for path in (tmp_path / "told").rglob("*")}
    assert written == {path.relative_to(tmp_path / "alone") for path in (tmp_path / "alone").rglob("*")}
    for name in ("rounds.parquet", "workers.parquet", "summary.json", "config.yaml"):
        assert (tmp_path / "told" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    again = Notebook()
    crowd_sim.run(SMALL, tmp_path / "told", trackers=[again])
    assert not [call for call in again.calls if call[0] != "close"]  # nothing was done again


def test_distances_are_told_while_the_rounds_go_on_each_once_and_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr("crowd_sim.trackers.watch._SECONDS_BETWEEN", 0.0)
    told, known = Notebook(), []

    def look(stage, done, total, note="", /):
        if stage == "rounds":
            known.append(sum("distance" in call[2] for call in told.calls if call[0] == "log"))

    outcome = crowd_sim.run(SMALL, tmp_path / "told", trackers=[told], progress=look)
    assert known[-1] >= 3
    distances = [call for call in told.calls if call[0] == "log" and "distance" in call[2]]
    assert [step for _, step, _ in distances] == [0, 1, 2, 3]
    means = outcome.history.distances.mean(axis=1).tolist()
    assert [values["distance"] for _, _, values in distances] == pytest.approx(means)


@pytest.mark.parametrize("call", ["start", "log", "finish", "close"])
def test_a_tracker_that_fails_is_a_line_and_the_others_go_on(call, capsys):
    bad, good = Notebook(fails_in=call), Notebook()
    crowd_sim.run(SMALL, trackers=[bad, good])
    said = capsys.readouterr().err
    assert said.splitlines() == [
        f"crowd-sim: tracker Notebook failed in {call} (RuntimeError: no network); the work goes on without it"
    ]
    assert bad.calls[-1][0] == call
    assert good.calls[-1] == ("close", "finished")


class Unsayable(Exception):
    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "said"),
    [(SystemExit(3), "SystemExit: 3"), (Unsayable(), "Unsayable"), (ValueError("\x1b[31m"), "\\x1b[31m")],
)
def test_whatever_a_tracker_raises_the_work_goes_on(error, said, capsys):
    bad = Notebook(fails_in="log")
    bad.log = lambda *_: (_ for _ in ()).throw(error)
    crowd_sim.run(SMALL, trackers=[bad])
    line = capsys.readouterr().err
    assert said in line
    assert line.rstrip("\n").isprintable()


def test_trackers_hear_of_what_fails():
    def stop(stage, done, total, note="", /):
        if stage == "rounds":
            raise KeyboardInterrupt

    told = Notebook()
    with pytest.raises(KeyboardInterrupt):
        crowd_sim.run(SMALL, trackers=[told], progress=stop)
    assert told.calls[-1] == ("close", "interrupted")
    assert "finish" not in [call[0] for call in told.calls]


def test_a_sweep_and_a_search_are_tracked():
    told = Notebook()
    swept = crowd_sim.sweep(SMALL, grid={"tournament.step": [0.1, 0.2]}, trackers=[told])
    metrics = next(call[1] for call in told.calls if call[0] == "finish")
    assert metrics["final_distance_mean"] == pytest.approx(swept.points["final_distance_mean"].mean())
    pytest.importorskip("optuna")
    told = Notebook()
    space = {"tournament.step": {"low": 0.1, "high": 1}}
    found = crowd_sim.search(SMALL, space=space, metric="final_distance", trials=3, held_out=0, trackers=[told])
    values = {
        call[1]: call[2]["final_distance"] for call in told.calls if call[0] == "log" and "final_distance" in call[2]
    }
    assert list(values.values()) == found.trials["value"].tolist()
    assert told.calls[-1] == ("close", "finished")


def test_tensorboard_reads_its_events_back(tmp_path):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    outcome = crowd_sim.run(SMALL, tmp_path / "runs" / "one", trackers=["tensorboard"])
    events = accumulators.EventAccumulator(str(tmp_path / "runs" / "tensorboard" / "one"))
    events.Reload()
    found = events.Scalars("distance")
    assert [event.step for event in found] == [0, 1, 2, 3]
    assert [event.value for event in found] == pytest.approx(outcome.history.distances.mean(axis=1), rel=1e-6)
    assert events.Scalars("metrics/final_distance")[0].value == pytest.approx(found[-1].value)
    (config,) = events.Tensors("config/text_summary")
    assert b"| crowd.n_workers | 6 |" in config.tensor_proto.string_val[0]


def test_mlflow_reads_its_run_back(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    outcome = crowd_sim.run(SMALL, tmp_path / "one", trackers=["mlflow"])
    client = mlflow.tracking.MlflowClient()
    experiment = client.get_experiment_by_name("crowd-sim")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["crowd.n_workers"] == "6"
    assert run.data.metrics["final_distance"] == pytest.approx(outcome.metrics["final_distance"].mean())
    assert [point.step for point in client.get_metric_history(run.info.run_id, "distance")] == [0, 1, 2, 3]
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {"report.html", "config.yaml"}


def test_weights_and_biases_is_called_as_it_wants_to_be(tmp_path, monkeypatch):
    logged, saved, ended, summary = [], [], [], {}
    run = SimpleNamespace(
        log=logged.append,
        summary=summary,
        save=lambda path, base_path, policy: saved.append(path),
        finish=lambda exit_code: ended.append(exit_code),  # noqa: PLW0108 - by keyword
    )
    made = []
    module = SimpleNamespace(init=lambda **options: made.append(options) or run)
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setattr("crowd_sim.trackers.by_name.find_spec", lambda name: name)
    crowd_sim.run(SMALL, tmp_path / "one", trackers=["wandb"])
    assert made[0]["project"] == "crowd-sim"
    assert made[0]["config"]["crowd"]["n_workers"] == 6
    assert [told["step"] for told in logged if "distance" in told] == [0, 1, 2, 3]
    assert "final_distance" in summary
    assert saved == [str(tmp_path / "one" / name) for name in ("report.html", "config.yaml")]
    assert ended == [0]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("neptune", "--tracker = 'neptune': must be one of tensorboard, mlflow, wandb, or user-defined"),
        ("nowhere:Tracker", "--tracker = 'nowhere:Tracker': cannot be loaded"),
        ("wandb", "--tracker = 'wandb': needs its package: pip install 'crowd-sim[trackers]'"),
        ("os:system", "must not be of Python's standard library"),
    ],
)
def test_a_tracker_that_is_none_is_refused_in_a_line(name, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("crowd_sim.trackers.by_name.find_spec", lambda name: None)
    assert call(["run", "quickstart", "--tracker", name, *IN_PROCESS]) == 2
    check_line(capsys.readouterr().err, [says])
    assert not list(tmp_path.iterdir())


def test_a_tracker_of_ones_own_is_named_as_strategies_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_tracking.py").write_text(
        "class Tracker:\n"
        "    def start(self, *_): open('told.txt', 'w').write('start')\n"
        "    def log(self, *_): pass\n"
        "    finish = close = log\n"
    )
    small = ["runs=1", "crowd.n_workers=6", "tournament.rounds=2", "valuation.method=none"]
    assert call(["run", "quickstart", *small, "--tracker", "my_tracking:Tracker", "--quiet", *IN_PROCESS]) == 0
    assert (tmp_path / "told.txt").read_text() == "start"


def test_what_is_no_tracker_is_refused():
    with pytest.raises(InputError, match="start is missing"):
        crowd_sim.run(SMALL, trackers=[object()])
    with pytest.raises(InputError, match="cannot be used"):
        crowd_sim.run(SMALL, trackers=[type("Bad", (Notebook,), {"log": property(lambda self: 1 / 0)})()])
    with pytest.raises(InputError, match="must be a list"):
        crowd_sim.run(SMALL, trackers="tensorboard")
