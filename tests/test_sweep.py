import pytest

from crowd_sim.errors import InputError
from crowd_sim.loading import load_people
from crowd_sim.results.tables import point_row
from crowd_sim.services import InProcess
from crowd_sim.simulation import simulate
from crowd_sim.sweep import Sweep, batches, run_batch

CONTENT = {
    "runs": 3,
    "crowd": {"n_workers": 10},
    "tournament": {"rounds": 5},
    "valuation": {"budget": 300, "kernel_shap_budget": 200},
    "sweep": {
        "crowd": {"n_workers": [8, 12]},
        "tournament": {"score": ["l2", "dot", "l1"], "step": [0.1, 0.2]},
        "seed": [0, 1],
    },
}


def test_points_are_every_combination_the_last_field_fastest():
    sweep = Sweep.parse(CONTENT)
    assert list(sweep.fields) == ["crowd.n_workers", "tournament.score", "tournament.step", "seed"]
    assert len(sweep.points) == 24
    assert [point.index for point in sweep.points] == list(range(24))
    assert sweep.points[1].swept == {
        "crowd.n_workers": 8,
        "tournament.score": "l2",
        "tournament.step": 0.1,
        "seed": 1,
    }
    last = sweep.points[-1].config
    assert (last.crowd.n_workers, last.tournament.score, last.tournament.step, last.seed) == (12, "l1", 0.2, 1)
    assert last.tournament.rounds == 5


@pytest.mark.parametrize("max_runs", [1, 3, 7, 20, 1000])
def test_batches_hold_every_point_once_within_their_room(max_runs):
    points = Sweep.parse(CONTENT).points
    cut = batches(points, max_runs)
    assert sorted(point.index for batch in cut for point in batch) == list(range(24))
    assert all(sum(p.config.runs for p in batch) <= max_runs or len(batch) == 1 for batch in cut)


def test_points_of_the_same_games_stand_together():
    for batch in batches(Sweep.parse(CONTENT).points, 6):
        assert len({(p.config.crowd, p.config.tournament.score) for p in batch}) == 1


def test_a_points_row_does_not_depend_on_its_batch():
    points = Sweep.parse(CONTENT).points
    people = load_people(points[0].config.crowd)
    rows = {row["point"]: row for batch in batches(points, 30) for row in run_batch(batch, people, False).rows}
    for point in points[::5]:
        (outcome,) = simulate([point.config], people, InProcess())
        assert repr(rows[point.index]) == repr(point_row(point.index, point.swept, outcome))


def test_a_row_has_the_swept_fields_then_mean_and_error_of_every_metric():
    point = Sweep.parse(CONTENT).points[0]
    result = run_batch([point], load_people(point.config.crowd), True)
    metrics = ["final_distance", "rounds_to_converge"]
    metrics += [f"{name}_{which}" for which in ("kernel_shap", "accurate") for name in ("pearson", "spearman")]
    columns = [f"{metric}_{part}" for metric in metrics for part in ("mean", "se")]
    assert list(result.rows[0]) == ["point", *point.swept, *columns, "converged"]
    (workers,) = result.workers
    assert len(workers) == 8
    assert set(point.swept) < set(workers.columns)


@pytest.mark.parametrize("node", [None, {}, 3, {"crowd": {"n_workers": []}}, {"crowd": {"n_workers": [8, 8]}}])
def test_what_is_not_a_list_of_different_values_is_refused(node):
    with pytest.raises(InputError, match="sweep"):
        Sweep.parse({**CONTENT, "sweep": node})
