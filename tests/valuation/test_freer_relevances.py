"""Relevances that are freer to differ, where held-out pairs come nearer by more than chance."""

import numpy as np

from crowd_sim.valuation import shapley
from crowd_sim.valuation.estimators.surrogate import model
from tests.oracles.games import Oracle

N = 12


def uneven(seed):
    """Sums of 300 products of three players each, of whom the first are in most."""
    rng = np.random.default_rng(seed)
    chance = 0.55 ** np.arange(N)
    members = [rng.choice(N, 3, replace=False, p=chance / chance.sum()) for _ in range(300)]
    weights, values = rng.normal(size=300), np.zeros(N)
    for weight, of_term in zip(weights, members, strict=True):
        values[of_term] += weight / 3
    groups = np.array(members)
    return Oracle("uneven", N, lambda c: c[:, groups].all(axis=2) @ weights, values)


def vote(seed):
    """Who has the majority of votes that are much alike."""
    votes = np.random.default_rng(seed).uniform(0.8, 1.2, N)
    game = Oracle("vote", N, lambda c: (c @ votes > 0.5 * votes.sum()).astype(np.float64), np.zeros(N))
    return Oracle("vote", N, game.utility, shapley(game, "exact").values)


def error(games):
    found = []
    for game in games:
        missed = shapley(game, "surrogate", 240, seed=0).values - game.values
        found.append(np.linalg.norm(missed) / np.linalg.norm(game.values - game.values.mean()))
    return np.mean(found)


def test_uneven_relevances_lower_the_error(monkeypatch):
    games = [uneven(seed) for seed in (0, 1, 5)]
    freed = error(games)
    monkeypatch.setattr(model, "_FEWEST_FREED", np.inf)
    assert freed < 0.6 * error(games)


def test_votes_and_games_of_few_pairs_stay_as_they_are(monkeypatch):
    few = shapley(uneven(0), "surrogate", 16 * N, seed=0)
    votes = error([vote(0), vote(1)])
    monkeypatch.setattr(model, "_FEWEST_FREED", np.inf)
    np.testing.assert_array_equal(few.values, shapley(uneven(0), "surrogate", 16 * N, seed=0).values)
    assert votes == error([vote(0), vote(1)])
