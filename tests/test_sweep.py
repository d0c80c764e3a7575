import numpy as np
import pytest

from crowd_sim.engine import simulate
from crowd_sim.errors import InputError
from crowd_sim.host import InProcess
from crowd_sim.sweeps.batch import run_batch
from crowd_sim.sweeps.partition import Shard, batches, in_order
from crowd_sim.sweeps.plan import Sweep
from crowd_sim.tables import point_metrics, run_metrics
from crowd_sim.tasks.load import crowd_key, load_task, task_key

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
    plan = Sweep.parse(CONTENT)
    cut = [batch.tolist() for batch in batches(plan, max_runs)]
    assert sorted(number for batch in cut for number in batch) == list(range(24))
    assert all(3 * len(batch) <= max_runs or len(batch) == 1 for batch in cut)


def test_what_is_to_be_skipped_is_in_no_batch():
    skip = np.arange(24) % 5 == 2
    cut = batches(Sweep.parse(CONTENT), 7, skip=skip)
    assert sorted(np.concatenate(list(cut)).tolist()) == np.flatnonzero(~skip).tolist()


TEXTS = {
    "crowd": {"source": "example_feedback", "target": "warm", "n_workers": 8},
    "tournament": {"rounds": 1},
    "valuation": {"method": "none"},
}


@pytest.mark.parametrize(
    "content",
    [
        {"sweep": {"crowd": [{"n_workers": 8, "seed": 1}, {"n_workers": 8, "seed": 2}]}},
        TEXTS | {"sweep": {"task": [{"kind": "imitate", "rank": rank} for rank in (4, 8)]}},
        TEXTS | {"task": {"kind": "imitate"}, "sweep": {"task.phi": [{"kind": "embedding"}, {"kind": "classifier"}]}},
        *(
            TEXTS
            | {"crowd": {"source": "records", "path": "r.jsonl", "held_out": 0.2, "n_workers": 8}}
            | {"task": {"kind": kind, "verifier": {"pattern": "a", "kind": "regex"} if kind == "verify" else {}}}
            | {"sweep": {field: values}}
            for kind, field, values in (
                ("classify", "task.expert", ["a.jsonl", "b.jsonl"]),
                ("classify", "task.question", ["{text}?", "{text}!"]),
                ("verify", "task.verifier.pattern", ["a", "b"]),
                ("verify", "task.verifier.n_outputs", [2, 3]),
            )
        ),
    ],
)
def test_groups_of_fields_that_are_swept_as_one_are_in_a_batch_with_their_like(content):
    plan = Sweep.parse(content)
    assert len(list(batches(plan, 1000))) == plan.n_points == 2
    assert len({task_key(point.config) for point in plan.points}) == 2


BAD = {"bad": {"behaviour": "word_salad", "share": 0.4}}
EMBEDDED = TEXTS | {"task": {"kind": "imitate", "phi": {"kind": "embedding"}}}


@pytest.mark.parametrize(
    ("content", "number"),
    [
        (EMBEDDED | {"crowd": TEXTS["crowd"] | BAD, "sweep": {"seed": [1, 2, 3]}}, 3),
        (EMBEDDED | {"sweep": {"seed": [1, 2, 3], "task.learning_rate": [0.01, 0.1]}}, 1),
        (CONTENT | {"sweep": CONTENT["sweep"] | {"crowd": {"n_workers": [8, 12], "seed": [0, 1]}}}, 2),
    ],
)
def test_the_fingerprint_is_of_every_crowd_that_a_sweep_meets(content, number):
    plan = Sweep.parse(content)
    met = {crowd_key(point.config) for point in plan.points}
    assert {crowd_key(config) for config in plan.crowds()} == met
    assert len(met) == number


@pytest.mark.parametrize("of", [1, 2, 3, 7, 24])
def test_every_point_is_in_one_shard(of):
    plan = Sweep.parse(CONTENT)
    shards = [np.concatenate(list(in_order(plan, Shard(i + 1, of)))) for i in range(of)]
    assert sorted(np.concatenate(shards).tolist()) == list(range(24))
    assert max(map(len, shards)) - min(map(len, shards)) <= 24 // of


def test_a_large_sweep_is_cut_without_its_points():
    plan = Sweep.parse(
        {"sweep": {"seed": list(range(1000)), "tournament": {"step": [i / 1000 for i in range(1, 901)]}}}
    )
    seen = np.zeros(900_000, dtype=np.int64)
    for i in range(7):
        for numbers in in_order(plan, Shard(i + 1, 7)):
            assert len(numbers) <= 1 << 17
            seen[numbers] += 1
    assert (seen == 1).all()


def test_runs_that_are_swept_fill_batches_by_their_number():
    plan = Sweep.parse({"sweep": {"runs": [1, 2, 5], "tournament": {"step": [0.1, 0.2, 0.3]}}})
    for batch in batches(plan, 5):
        assert len(batch) == 1 or sum(plan.points[i].config.runs for i in batch.tolist()) <= 5


def test_points_of_the_same_games_stand_together():
    plan = Sweep.parse(CONTENT)
    for batch in batches(plan, 6):
        configs = [plan.points[number].config for number in batch.tolist()]
        assert len({(config.crowd.model_dump_json(), config.tournament.score, config.seed) for config in configs}) == 1


def test_a_points_row_does_not_depend_on_its_batch():
    plan = Sweep.parse(CONTENT)
    people = load_task(plan.first)
    rows = {}
    for batch in batches(plan, 30):
        result = run_batch(plan, batch, people, False)
        assert not result.failures
        for i, number in enumerate(result.points.tolist()):
            rows[number] = {name: float(values[i]) for name, values in result.metrics.items()}
    for point in plan.points[::5]:
        (outcome,) = simulate([point.config], people, InProcess())
        assert repr(rows[point.index]) == repr(point_metrics(run_metrics(outcome)))


def test_a_row_has_mean_and_error_of_every_metric():
    plan = Sweep.parse(CONTENT)
    result = run_batch(plan, np.array([0]), load_task(plan.first), True)
    metrics = ["final_distance", "rounds_to_converge"]
    metrics += [f"{name}_{which}" for which in ("kernel_shap", "accurate") for name in ("pearson", "spearman")]
    assert list(result.metrics) == [*(f"{metric}_{part}" for metric in metrics for part in ("mean", "se")), "converged"]
    (workers,) = result.workers
    assert len(workers) == 8
    assert (workers["point"] == 0).all()


def _fails_above(points, n_groups, draws, rounds):
    """A grouping of a user's own with a bug in it: it fails where a crowd has more than ten workers."""
    if points.shape[1] > 10:
        raise ZeroDivisionError("more than\nten")
    return np.arange(points.shape[1]) % n_groups + np.zeros((len(points), 1), dtype=np.int64)


def test_a_point_that_fails_takes_no_other_with_it():
    own = {**CONTENT["tournament"], "grouping": "tests.test_sweep:_fails_above"}
    plan = Sweep.parse({**CONTENT, "tournament": own})
    result = run_batch(plan, np.arange(24), load_task(plan.first), False)
    assert result.points.tolist() == list(range(12))
    assert [failure.point for failure in result.failures] == list(range(12, 24))
    (error,) = {failure.error for failure in result.failures}
    assert error.startswith(
        "StrategyError: tournament.grouping = 'tests.test_sweep:_fails_above' failed (round 1): Zero"
    )
    assert error.endswith(r"('more than\nten')")
    assert all("in _fails_above" in failure.traceback for failure in result.failures)
    alone = run_batch(plan, np.array([20]), load_task(plan.first), False)
    assert alone.failures == result.failures[8:9]


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "a/b", "1/0", "-1/3", "1.0/3", "1/3/5"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(InputError, match="must be i/k"):
        Shard.parse(text)


@pytest.mark.parametrize("node", [None, {}, 3, {"crowd": {"n_workers": []}}, {"crowd": {"n_workers": [8, 8]}}])
def test_what_is_not_a_list_of_different_values_is_refused(node):
    with pytest.raises(InputError, match="sweep"):
        Sweep.parse({**CONTENT, "sweep": node})
