import numpy as np
import pytest

from crowd_sim.errors import InputError
from crowd_sim.random import Purpose
from crowd_sim.valuation import shapley, shapley_many
from crowd_sim.valuation.estimators.permutation import _ends, _prefixes, exact_sizes
from crowd_sim.valuation.shuffle import shuffle


def drawn_orders(n, n_pairs, seed=0, run=0):
    orders = np.empty((n_pairs, n), dtype=np.int64)
    for pair in range(n_pairs):
        shuffle(np.uint64(seed), np.uint64(run), np.uint64(Purpose.PERMUTATION), np.uint64(pair), n, orders[pair])
    return orders


def test_the_draws_are_uniform_permutations():
    orders = drawn_orders(5, 4_000)
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(5), (4_000, 1)))
    for place in range(5):
        counts = np.bincount(orders[:, place], minlength=5)
        assert np.abs(counts - 800).max() < 4.5 * np.sqrt(800 * 0.8)
    assert len(np.unique(orders, axis=0)) == 120


@pytest.mark.parametrize("n_exact", [1, 2])
@pytest.mark.parametrize(("n", "n_pairs"), [(4, 4), (9, 100), (700, 3), (5_000, 1)])
def test_the_coalitions_are_the_prefixes_of_permutation_and_reverse(n, n_pairs, n_exact):
    chunks = list(_prefixes(n, n_exact, n_pairs, seed=0, run=0))
    assert max(chunk.nbytes for chunk in chunks) <= 2**22
    rows = (row for chunk in chunks for row in chunk)
    for order in drawn_orders(n, n_pairs):
        for direction in (order, order[::-1]):
            for size in range(n_exact + 1, n):
                row = next(rows)
                assert row.sum() == size
                assert row[direction[:size]].all()
    assert next(rows, None) is None


@pytest.mark.parametrize("n", [3, 1_500])
def test_the_ends(n):
    rows = np.concatenate(list(_ends(n)))
    np.testing.assert_array_equal(rows, np.vstack([np.zeros(n), np.eye(n), np.ones(n)]))


def plain_estimate(game, orders, n_exact):
    """The estimator in plain Python: one row a pair."""
    n = game.n_players

    def v(members):
        mask = np.zeros((1, n), dtype=bool)
        mask[0, list(members)] = True
        return game(mask)[0]

    pairs = []
    for order in orders:
        x = np.array([(v([i]) - v([])) / n for i in range(n)])
        if n_exact == 2:
            x += [sum(v([i, j]) - v([j]) for j in range(n) if j != i) / (n * (n - 1)) for i in range(n)]
        for direction in (order, order[::-1]):
            for k in range(n_exact, n):
                x[direction[k]] += 0.5 * (v(direction[: k + 1]) - v(direction[:k]))
        pairs.append(x + (v(range(n)) - v([]) - x.sum()) / n)
    return np.array(pairs)


@pytest.mark.parametrize(("n", "n_pairs"), [(3, 2), (8, 3), (8, 8), (12, 150)])
def test_against_the_plain_estimator(averaging_game, n, n_pairs):
    game = averaging_game(n)
    budget = n + 2 + n_pairs * 2 * (n - 2)
    n_exact = exact_sizes(n, budget)
    if n_exact == 2:
        budget = n + 2 + n * (n - 1) // 2 + n_pairs * 2 * (n - 3)
        assert exact_sizes(n, budget) == 2
    result = shapley(game, method="permutation", budget=budget, seed=7, run=2)
    pairs = plain_estimate(game, drawn_orders(n, n_pairs, 7, 2), n_exact)
    np.testing.assert_allclose(result.values, pairs.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(result.stderr, pairs.std(axis=0, ddof=1) / np.sqrt(n_pairs), atol=1e-12)
    assert (result.method, result.n_evaluations) == ("permutation", budget)


def test_pairs_of_players_are_evaluated_where_half_of_the_budget_pays_for_them():
    assert exact_sizes(10, 12 + 89) == 1
    assert exact_sizes(10, 12 + 90) == 2
    assert exact_sizes(3, 1_000) == 1  # after the first two places only the last is left


@pytest.mark.parametrize("n", [1, 2])
def test_nothing_to_draw(averaging_game, n):
    result = shapley(averaging_game(n), method="permutation", budget=4)
    assert (result.method, result.n_evaluations) == ("exact", 2**n)


def test_the_standard_errors_are_honest(averaging_game):
    game = averaging_game(9)
    truth = shapley(game, method="exact").values
    off = []
    for run in range(150):
        result = shapley(game, method="permutation", budget=600, run=run)
        off.append((result.values - truth) / result.stderr)
    assert np.mean(np.abs(off) < 1.96) == pytest.approx(0.94, abs=0.025)
    assert np.abs(np.mean(off, axis=0)).max() < 4.5 / np.sqrt(150)


def test_the_exact_first_stratum_pays(averaging_game):
    game = averaging_game(9)
    truth = shapley(game, method="exact").values
    error = np.linalg.norm(shapley(game, method="permutation", budget=5_000).values - truth)
    assert error / np.linalg.norm(truth - truth.mean()) < 0.1


def test_same_bits_for_any_number_of_games(averaging_game):
    games = [averaging_game(40, seed=seed) for seed in range(4)]
    for game, result in zip(games, shapley_many(games, "permutation", 5_000), strict=True):
        alone = shapley(game, "permutation", 5_000)
        assert alone.values.tobytes() == result.values.tobytes()
        assert alone.stderr.tobytes() == result.stderr.tobytes()


@pytest.mark.parametrize("n", [3, 10, 75])
def test_the_smallest_budget_is_two_pairs(averaging_game, n):
    smallest = 5 * n - 6
    result = shapley(averaging_game(n), "permutation", smallest)
    assert result.n_evaluations == smallest
    assert np.all(np.isfinite(result.stderr))
    with pytest.raises(InputError) as caught:
        shapley(averaging_game(n), "permutation", smallest - 1)
    assert str(caught.value) == f"budget = {smallest - 1}: must be at least {smallest} for permutation with {n} players"
