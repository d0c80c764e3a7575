import numpy as np
import pytest

from crowd_sim.valuation import shapley
from crowd_sim.valuation.estimators.surrogate import fourier, model
from tests.oracles.games import Oracle

N = 20


@pytest.fixture(scope="module")
def trees():
    """Sums of products: of one player, of three, and of seven, which no few terms make; with the values."""
    rng = np.random.default_rng(3)
    groups = [
        np.array([rng.choice(N, k, replace=False) for _ in range(count)]) for k, count in ((1, N), (3, 15), (7, 40))
    ]
    weights = [scale * rng.normal(size=len(part)) for scale, part in zip((1.0, 1.0, 0.1), groups, strict=True)]

    def game(coalitions):
        parts = zip(groups, weights, strict=True)
        return sum((coalitions[:, members].all(axis=2) * weight).sum(axis=1) for members, weight in parts)

    values = np.zeros(N)
    for members, weight in zip(groups, weights, strict=True):
        np.add.at(values, members, weight[:, None] / members.shape[1])
    return Oracle("trees", N, game, values)


def value(game):
    return shapley(game, "surrogate", 600, seed=1)


def test_terms_that_stand_out_lower_the_error(trees, monkeypatch):
    with_them = value(trees)
    monkeypatch.setattr(model, "_TERM_ROUNDS", 0)
    without = value(trees)
    assert np.linalg.norm(with_them.values - trees.values) < 0.7 * np.linalg.norm(without.values - trees.values)
    assert np.mean(np.abs(with_them.values - trees.values) < 1.96 * with_them.stderr) > 0.8


def test_where_none_stands_out_nothing_changes(monkeypatch):
    curved = Oracle("curved", 12, lambda coalitions: np.sqrt(coalitions @ np.arange(1.0, 13.0)), np.zeros(12))
    found = value(curved)
    monkeypatch.setattr(model, "_TERM_ROUNDS", 0)
    np.testing.assert_array_equal(found.values, value(curved).values)


@pytest.mark.parametrize("n", [fourier.MOST_PLAYERS, fourier.MOST_PLAYERS + 1])
def test_products_over_sets_and_their_sums_are_those_of_plain_loops(n):
    rng = np.random.default_rng(n)
    signs, members = rng.choice([-1.0, 1.0], (40, n)), rng.random((19, n)) < 0.5
    members[0] = True
    found, weights = fourier.products(members, signs), rng.normal(size=40)
    assert np.array_equal(found, [[row[of_set].prod() for of_set in members] for row in signs])
    np.testing.assert_allclose(fourier.sums(members, signs, weights), weights @ found, rtol=1e-12, atol=1e-12)
    assert np.array_equal(fourier.gram_of(members, signs), found.T @ found)
