"""Games of few players that hundreds of Fourier terms make, none of which stands out of what a prior expects."""

import numpy as np
import pytest

from crowd_sim.valuation import shapley
from crowd_sim.valuation.estimators.surrogate import fourier, model
from crowd_sim.valuation.estimators.surrogate.gp import trend
from crowd_sim.valuation.estimators.surrogate.pursuit import Pursuit, pursued
from tests.oracles.games import Oracle

N, BUDGET = 15, 7500


def coverage(items, share):
    """What the ``items`` are worth that the members have together, a player has one with chance ``share``; the values."""
    rng = np.random.default_rng(2)
    has, worth = rng.random((items, N)) < share, rng.exponential(size=items)
    table = sum(
        w * ((np.arange(1 << N) & int(of_item @ (1 << np.arange(N)))) > 0)
        for w, of_item in zip(worth, has.astype(np.int64), strict=True)
    )
    values = has.T @ (worth / np.maximum(has.sum(axis=1), 1))
    return Oracle("coverage", N, lambda c: table[c.astype(np.int64) @ (1 << np.arange(N))], values)


def valued(game):
    found = shapley(game, "surrogate", BUDGET, seed=0)
    return np.linalg.norm(found.values - game.values) / np.linalg.norm(game.values - game.values.mean()), found


@pytest.fixture
def without(monkeypatch):
    nothing = Pursuit(np.zeros((0, N), dtype=np.bool_), np.inf)
    return lambda: monkeypatch.setattr(model, "pursued", lambda *_: nothing)


def test_terms_that_do_not_stand_out_lower_the_error(without):
    game = coverage(30, 0.25)
    error, found = valued(game)
    assert np.mean(np.abs(found.values - game.values) < 1.96 * found.stderr) > 0.8
    without()
    assert error < 0.2 * valued(game)[0]


def test_a_game_of_hundreds_of_terms_is_solved(without):
    game = coverage(24, 0.25)
    error, found = valued(game)
    assert error < 1e-12
    assert found.stderr.max() < 0.005
    without()
    assert valued(game)[0] > 1e-9


def test_pursuit_finds_the_terms_beside_the_trend_and_stops():
    rng = np.random.default_rng(5)
    members = np.unique([np.isin(np.arange(12), rng.choice(12, 3, replace=False)) for _ in range(20)], axis=0)
    signs = np.unique(np.where(rng.random((800, 11)) < 0.5, 1.0, -1.0), axis=0)
    signs = np.column_stack([np.ones(len(signs)), signs])
    columns = trend(signs, linear=True)
    worth = 3.0 * columns[:, 0] - columns[:, -1] + fourier.products(members, signs).sum(axis=1)
    found = pursued(signs, columns, worth)
    assert np.array_equal(np.unique(found.members, axis=0), members)
    assert found.missed < 1e-20


def test_pursuit_takes_noise_for_no_term():
    rng = np.random.default_rng(6)
    signs = np.unique(np.where(rng.random((400, 12)) < 0.5, 1.0, -1.0), axis=0)
    found = pursued(signs, trend(signs, linear=False), rng.normal(size=len(signs)))
    assert len(found.members) <= 1
    assert 0.8 < found.missed < 1.2


def test_fresh_pairs_do_not_harm_a_game_that_one_term_all_but_makes():
    """What is predicted of them has the digits that the fit has: the rest of a huge term would be taken for a correction."""
    n, rng = 14, np.random.default_rng(3)
    sets = np.arange(1 << n)
    n_members = (sets[:, None] >> np.arange(n) & 1).sum(axis=1)
    table = rng.normal(size=1 << n) * 0.5**n_members
    table[7] = 1e5
    shares = np.where(n_members % 2 == 1, -2.0 * table / np.maximum(n_members, 1), 0.0)
    values = np.array([shares[sets >> i & 1 == 1].sum() for i in range(n)])
    fourier.transform(table)
    game = Oracle("huge", n, lambda c: table[c.astype(np.int64) @ (1 << np.arange(n))], values)
    for budget in (2 * 4000 + 2, 8400):  # all pairs are fitted, and then some are fresh
        found = shapley(game, "surrogate", budget, seed=0)
        assert np.linalg.norm(found.values - values) < 1e-6 * np.linalg.norm(values - values.mean())
        assert np.mean(np.abs(found.values - values) < 1.96 * found.stderr) > 0.8
