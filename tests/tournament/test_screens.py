"""Vector runs with screens: columns, metrics, what follows for weights and points, the same bits."""

import numpy as np
import pandas as pd
import pytest

from crowd_sim import run, sweep
from crowd_sim.config import RunConfig
from crowd_sim.errors import InputError

SMALL = {
    "seed": 3,
    "runs": 2,
    "crowd": {"n_workers": 24, "bad": {"behaviour": "echo", "share": 0.25}},
    "tournament": {"rounds": 8, "n_groups": 3, "observe": ["marginal"]},
    "valuation": {"method": "none"},
}


def test_columns_and_metrics_say_who_is_flagged(tmp_path):
    outcome = run(SMALL | {"screens": {}}, tmp_path)
    workers = pd.read_parquet(tmp_path / "workers.parquet")
    names = ["screen_near_model", "screen_inconsistency", "screen_duplicates", "screen_constants"]
    assert [name for name in workers.columns if name.startswith("screen_")] == names
    assert workers.loc[workers["bad"], "flagged"].all()
    assert (workers.loc[workers["bad"], "screen_near_model"] == 1).all()
    assert outcome.metrics["auc_near_model"].tolist() == [1, 1]
    assert outcome.metrics["screens_found"].tolist() == [1, 1]
    again = run(SMALL | {"screens": {}}, tmp_path)
    assert again.screened.flagged.tolist() == outcome.screened.flagged.tolist()


def test_a_report_changes_no_round():
    plain, report = run(SMALL), run(SMALL | {"screens": {"action": "report"}})
    assert plain.history.points.tobytes() == report.history.points.tobytes()
    assert plain.history.distances.tobytes() == report.history.distances.tobytes()
    assert plain.screened is None


def test_excluded_workers_move_nothing_from_their_round_on_and_end_without_points():
    plain, out = run(SMALL), run(SMALL | {"screens": {"action": "exclude", "from_round": 3}})
    assert (out.history.distances[:3] == plain.history.distances[:3]).all()
    assert (out.history.distances[3] != plain.history.distances[3]).any()
    flagged = out.screened.flagged
    assert (out.history.points[flagged] == 0).all()
    assert (out.history.observed["marginal"][flagged] == 0).all()
    assert (out.history.points[~flagged] > 0).all()


def test_merged_duplicates_share_a_weight():
    mimics = SMALL | {"crowd": {"n_workers": 24, "bad": {"behaviour": "mimic", "share": 0.5}}}
    plain, merged = run(mimics), run(mimics | {"screens": {"action": "merge", "from_round": 2}})
    assert merged.history.distances[1].tolist() == plain.history.distances[1].tolist()
    assert (merged.history.distances[-1] != plain.history.distances[-1]).all()
    assert (merged.history.points > 0).all()


@pytest.mark.parametrize("action", ["merge", "exclude"])
def test_a_run_that_was_stopped_goes_on_alike(tmp_path, action):
    setup = SMALL | {"screens": {"action": action}, "actors": {"checkpoints": {"rounds": 1}}}
    whole = run(setup)
    told = []

    def stop(stage, done, total, note=""):
        told.append(done)
        if stage == "rounds" and done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(setup, tmp_path, progress=stop)
    went_on = run(setup, tmp_path)
    assert went_on.history.points.tobytes() == whole.history.points.tobytes()
    assert went_on.history.distances.tobytes() == whole.history.distances.tobytes()
    assert np.array_equal(went_on.screened.flagged, whole.screened.flagged)


def test_a_sweep_over_actions_is_that_of_single_runs():
    made = sweep(SMALL | {"screens": {}}, grid={"screens.action": ["report", "merge", "exclude"]})
    for action, distance in zip(("report", "merge", "exclude"), made.points["final_distance_mean"], strict=True):
        assert run(SMALL | {"screens": {"action": action}}).metrics["final_distance"].mean() == distance
    assert "auc_near_model_mean" in made.points


@pytest.mark.parametrize(
    ("screens", "says"),
    [
        ({"action": "drop"}, "screens.action = 'drop'"),
        ({"use": ["repetition"]}, "screens.use = 'repetition': must be among near_model"),
        ({"action": "merge", "use": ["constants"]}, "must list duplicates with screens.action=merge"),
        ({"from_round": 1}, "screens.from_round = 1"),
    ],
)
def test_screens_that_cannot_be_are_refused(screens, says):
    with pytest.raises(InputError, match=says):
        RunConfig.parse(SMALL | {"screens": screens})
