import numpy as np
import pytest

from crowd_sim.arrays import pack, unpack
from crowd_sim.errors import InputError
from crowd_sim.tournament import exponentiated as mechanism
from crowd_sim.tournament import fitted_scores as fitting
from crowd_sim.tournament.exponentiated import exponentiated
from crowd_sim.tournament.grouping import random
from crowd_sim.tournament.kernel_ridge import fit_scores, kernel_matrix
from crowd_sim.tournament.mixture_weights import Rounds, compositions, model_shares, scores
from crowd_sim.tournament.streams import RoundStreams
from tests.tournament.test_calibrated import config, played, points_of, simulated, unvalued


def some_rounds(n=6, k=3, last=7):
    """Points and memory after so many rounds, and those before the last."""
    points, memory, before = np.ones((1, n)), {}, None
    for number in range(1, last + 1):
        draws = RoundStreams(np.zeros(1, dtype=np.uint64), np.zeros(1, dtype=np.uint64), number)
        found = np.sin([[number, 2.0 * number, 3.0 * number]])
        before = points
        points, memory = exponentiated(
            points, memory, played(found, random(points, k, draws, last).of_everyone(), number, last)
        )
        memory, _ = unpack(pack(memory))
    return points[0], Rounds.of(memory), before[0]


def test_points_grow_by_what_a_step_towards_each_worker_is_predicted_to_give():
    points, memory, before = some_rounds()
    n, model, step = len(points), model_shares(memory)[0], memory.step[0]
    seen, y = compositions(memory, 0, mechanism.WINDOW, 0, n), scores(memory, 0, mechanism.WINDOW)
    steps = (1 - step) * model + step * np.eye(n)
    with_start = np.hstack([np.vstack([seen, 1 - seen.sum(axis=0)]), np.vstack([steps.T, 1 - steps.sum(axis=1)])])
    gram = with_start.T @ with_start
    fit = fit_scores(gram[: len(y), : len(y)], (y - y.mean()) / y.std())
    assert fit.family == "arc"
    values = kernel_matrix("arc", gram)[len(y) :, : len(y)] @ fit.alpha
    values = (values - values.mean()) / values.std()
    grown = points / before
    np.testing.assert_allclose(grown / grown[0], np.exp(mechanism.RATE / 2 * (values - values[0])), rtol=1e-6)


def test_nobody_has_less_than_a_part_of_the_most_and_all_have_one_before_the_fourth_round():
    (row,) = points_of(config("l2", "exponentiated", n=20, k=4, rounds=400, runs=1))[0]
    assert row.max() == 1
    assert row.min() == mechanism._LEAST
    assert (some_rounds(last=3)[2] == 1).all()


def test_models_end_nearer_than_with_ranks_or_with_weights_by_calibrated_points():
    size = {"n": 40, "k": 4, "rounds": 100, "runs": 8}
    arms = {"rank": {}, "calibrated": {"weight_power": 30}, "exponentiated": {}}
    ended = {
        name: simulated(unvalued(config("l2", name, **size, **own)))[0].history.distances[-1]
        for name, own in arms.items()
    }
    assert (ended["exponentiated"] < ended["rank"]).all()
    assert ended["exponentiated"].mean() < ended["calibrated"].mean()


def test_a_run_has_the_same_bits_alone_and_in_a_batch():
    configs = [
        config("l1", "exponentiated", n=15, k=4, rounds=12),
        config("l1", "exponentiated", n=15, k=4, rounds=12, step=0.4, mistake_probability=0.5),
        config("l1", "exponentiated", n=15, k=4, rounds=12, runs=3),
    ]
    together = points_of(*configs)
    for one, points in zip(configs, together, strict=True):
        assert points_of(one)[0].tobytes() == points.tobytes()
    assert together[2].tobytes() == together[0][:3].tobytes()


def test_pieces_of_a_crowd_change_nothing_but_rounding(monkeypatch):
    whole = some_rounds()[0]
    monkeypatch.setattr(fitting, "_BLOCK", 4)
    np.testing.assert_allclose(some_rounds()[0], whole, rtol=1e-6)


def test_equal_scores_and_scores_that_are_not_finite_change_nothing():
    before = np.array([[0.5, 1.0, 0.25, 1.0]])
    for found in ([0.0, 0.0], [np.nan, 0.0]):
        points, _ = exponentiated(before, {}, played(found, [0, 1, 0, 1]))
        assert (points == before).all()


def test_merged_models_are_refused():
    with pytest.raises(InputError, match="nobody's candidate, and exponentiated learns from those"):
        config("l2", "exponentiated", search="soup")
