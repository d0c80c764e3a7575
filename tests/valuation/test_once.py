import numpy as np
import pytest

from crowd_sim.valuation import banzhaf, sampled_owen, shapley, shapley_many
from crowd_sim.valuation.once import digests
from tests.valuation.test_progressive import Watched, bits, remote

HOW = {
    **{
        method: lambda game, budget, method=method: shapley(game, method, budget)
        for method in ("chains", "kernel_shap", "paired_regression", "permutation", "surrogate")
    },
    "banzhaf": banzhaf,
    "owen": lambda game, budget: sampled_owen(game, np.arange(game.n_players) // 3, budget=budget),
    "missing": lambda game, budget: shapley(game, "permutation", budget, missing="skip"),
}


@pytest.mark.parametrize(
    ("how", "n", "budget"),
    [
        ("chains", 50, 3_000),
        ("kernel_shap", 12, 1_200),
        ("paired_regression", 12, 1_200),
        ("permutation", 5, 25),
        ("permutation", 12, 1_200),
        ("permutation", 40, 3_600),
        ("surrogate", 12, 1_200),
        ("banzhaf", 12, 1_200),
        ("owen", 8, 800),
        ("missing", 8, 160),
    ],
)
def test_no_coalition_is_paid_for_twice(how, n, budget):
    game = Watched(n)
    result = HOW[how](game, budget)
    assert len(game.seen) == len(set(game.seen)) == result.n_evaluations <= budget + 2 * (how == "kernel_shap")


@pytest.mark.parametrize("ahead", [0, 3, 100])
def test_what_is_looked_up_is_what_was_evaluated(ahead):
    games, asked = [Watched(9, seed) for seed in range(2)], []
    found = shapley_many(games, "permutation", 400, evaluate=remote(games, ahead, asked))
    assert len(asked) == len(set(asked)) == found[0].n_evaluations < 390
    for seed, result in enumerate(found):
        assert bits(result) == bits(shapley(Watched(9, seed), "permutation", 400))


def test_digests_tell_coalitions_apart():
    n = 300
    rows = np.concatenate([np.zeros((1, n), dtype=bool), np.eye(n, dtype=bool), ~np.eye(n, dtype=bool)])
    assert len(np.unique(digests(rows), axis=0)) == len(rows)
    np.testing.assert_array_equal(digests(rows[::-1]), digests(rows)[::-1])
