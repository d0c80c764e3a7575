"""Who is surely among the first k."""

import numpy as np
import pytest

from crowd_sim.errors import InputError
from crowd_sim.valuation import Rule, ShapleyResult, shapley
from experiments.bench.textbook import games as textbook_games
from experiments.bench.textbook import true_of_first
from tests.oracles.games import sum_of_unanimity

REACH = 2.8653  # normal quantile of 1 - .05 / 24


def known(values, stderr):
    return ShapleyResult(np.array(values, dtype=float), np.array(stderr, dtype=float), 9, "permutation")


def test_ranks_are_those_that_the_intervals_allow():
    rng = np.random.default_rng(0)
    for _ in range(30):
        values, stderr, k = rng.normal(size=12), rng.random(12) * rng.choice([0.0, 0.02, 0.2]), int(rng.integers(1, 13))
        lower, upper = values - REACH * stderr, values + REACH * stderr
        better = [[upper[j] > lower[i] and j != i for j in range(12)] for i in range(12)]
        surely = [[lower[j] > upper[i] for j in range(12)] for i in range(12)]
        found = known(values, stderr).top(k)
        np.testing.assert_array_equal(found.players, np.argsort(-values)[:k])
        np.testing.assert_array_equal(found.certain, [sum(better[i]) < k for i in found.players])
        np.testing.assert_array_equal(found.possible, [i for i in range(12) if sum(surely[i]) < k])


def test_exact_values_leave_no_doubt_and_ties_share_the_place():
    found = known([1.0, 3.0, 3.0, 0.0], [0.0] * 4).top(1)
    assert (found.players.tolist(), found.certain.tolist(), found.possible.tolist()) == ([1], [True], [1, 2])


def test_of_errors_that_are_not_known_nothing_is_sure():
    found = known([1.0, 3.0, 2.0], [np.nan] * 3).top(2)
    assert (found.players.tolist(), found.certain.tolist(), found.possible.tolist()) == ([1, 2], [False] * 2, [0, 1, 2])


@pytest.mark.parametrize(
    ("kind", "budget"), [("unanimity", 120), ("unanimity", 1_200), ("voting", 60), ("airport", 240)]
)
def test_all_of_it_is_true_of_19_games_in_20(kind, budget):
    if kind == "unanimity":
        games = [(game := sum_of_unanimity(12, 20, seed), game.values) for seed in range(60)]
    else:
        games = textbook_games(kind, 12, 60)
    wrong, certain = 0, 0
    for run, (game, truth) in enumerate(games):
        found = shapley(game, "permutation", budget, seed=1, run=run)
        wrong, certain = wrong + (not true_of_first(found, truth, 3)), certain + int(found.top(3).certain.sum())
    assert wrong <= 5
    assert certain > (75 if budget == 1_200 else -1)  # of 180


def test_a_valuation_may_end_where_the_first_are_found():
    class Found(Rule):
        def met(self, progress):
            return bool(progress.results[-1].top(1).certain.all())

    game = sum_of_unanimity(12, 20, 1)
    result = shapley(game, "permutation", 4_000, stop=Found())
    assert result.converged
    assert result.n_evaluations < 4_000
    assert result.top(1).players[0] == np.argmax(game.values)


@pytest.mark.parametrize("k", [0, 4, 1.5, True])
def test_there_are_no_more_than_all(k):
    with pytest.raises(InputError, match=r"^k = .*: must be an integer of at least 1 and at most 3$"):
        known([1.0, 3.0, 2.0], [0.1] * 3).top(k)
