import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from crowd_sim.errors import InputError
from crowd_sim.valuation import shapley, shapley_many
from crowd_sim.valuation.estimators.kernel_shap.design import design, size_weights
from crowd_sim.valuation.estimators.kernel_shap.estimator import solve


@pytest.mark.parametrize("n", range(1, 11))
def test_equals_exact_where_everything_is_enumerated(averaging_game, n):
    game = averaging_game(n)
    result = shapley(game, method="kernel_shap", budget=10_000)
    np.testing.assert_allclose(result.values, shapley(game, method="exact").values, atol=1e-9)
    assert result.n_evaluations == (2**n if n > 1 else 2)
    assert np.all(result.stderr == 0)


def test_counts_the_ends_besides(averaging_game):
    result = shapley(averaging_game(30), method="kernel_shap", budget=500)
    assert (result.method, result.n_evaluations) == ("kernel_shap", 502)


@pytest.mark.parametrize(("n", "budget"), [(16, 400), (40, 2_000)])
def test_its_errors_cover_the_truth(averaging_game, n, budget):
    game = averaging_game(n)
    truth = shapley(game, method="permutation", budget=400_000).values
    covered = [
        np.abs(result.values - truth) <= 1.96 * result.stderr
        for result in (shapley(game, method="kernel_shap", budget=budget, seed=seed) for seed in range(60))
    ]
    assert 0.92 < np.mean(covered) < 0.98


def test_no_error_is_claimed_where_the_draws_do_not_outnumber_the_players(averaging_game):
    assert np.isnan(shapley(averaging_game(31), method="kernel_shap", budget=62).stderr).all()


@pytest.mark.parametrize(("n", "budget"), [(12, 300), (13, 301), (16, 1_600), (25, 2_000), (75, 10_000)])
def test_the_design(n, budget):
    plan = design(n, budget, seed=3, run=1)
    sizes = plan.coalitions.sum(axis=1)
    assert plan.coalitions.shape == (budget, n)
    assert sizes.min() >= 1
    assert sizes.max() <= n - 1
    assert len(np.unique(plan.coalitions, axis=0)) == budget
    assert plan.weights.sum() == pytest.approx(1.0)
    assert np.all(plan.weights > 0)


def test_drawn_sizes_carry_their_weight_on_average():
    n, n_runs = 25, 40
    n_enumerated = design(n, 2_000, 0, 0).n_enumerated
    found = []
    for run in range(n_runs):
        plan = design(n, 2_000, seed=0, run=run)
        found.append(np.bincount(plan.coalitions.sum(axis=1), weights=plan.weights, minlength=n + 1))
    sizes = np.arange(1, 13)
    folded = np.array(found)[:, sizes] + np.array(found)[:, n - sizes]
    spread = folded.std(axis=0, ddof=1) / np.sqrt(n_runs)
    assert n_enumerated > 0
    assert np.all(np.abs(folded.mean(axis=0) - size_weights(n)) < 4 * spread + 1e-12)


def test_drawn_players_are_uniform():
    plan = design(40, 6_000, seed=1, run=0)
    drawn = plan.coalitions[plan.n_enumerated :: 2]
    drawn = drawn[drawn.sum(axis=1) < 20]
    expected = drawn.sum() / 40
    assert np.abs(drawn.sum(axis=0) - expected).max() < 4.5 * np.sqrt(expected)


def test_repeats_add_weight_instead_of_costing_budget():
    plan = design(10, 900, seed=0, run=0)  # nearly all of 1022: many repeats
    drawn = plan.weights[plan.n_enumerated :]
    counts = drawn / drawn.min()
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-9)
    assert counts.max() > 1


def test_keyed_by_seed_and_run():
    plan = design(30, 1_000, 5, 6)
    assert plan.coalitions.tobytes() == design(30, 1_000, 5, 6).coalitions.tobytes()
    assert plan.coalitions.tobytes() != design(30, 1_000, 6, 6).coalitions.tobytes()
    assert plan.coalitions.tobytes() != design(30, 1_000, 5, 7).coalitions.tobytes()


@pytest.mark.parametrize("n", [12, 75])
def test_same_bits_for_any_number_of_games_and_threads(averaging_game, n):
    games = [averaging_game(n, score=score, seed=seed) for seed in range(3) for score in ("l2", "l1", "dot")]
    together = shapley_many(games, method="kernel_shap", budget=1_000)
    for threads in (1, 2):
        with threadpool_limits(threads):
            for game, result in zip(games, together, strict=True):
                alone = shapley(game, method="kernel_shap", budget=1_000)
                assert alone.values.tobytes() == result.values.tobytes()


def test_singular_equations_are_solved_with_the_least_norm():
    masks = np.array([[1, 0, 0, 0], [0, 1, 1, 1], [1, 0, 0, 0]], dtype=bool)
    values = solve(masks, np.ones(3), np.array([[3.0, 1.0, 3.0]]), np.zeros(1), np.array([4.0]), 3)[0]
    assert values.sum() == pytest.approx(4.0)
    assert values[0, 0] == pytest.approx(3.0)
    assert values[0, 1] == pytest.approx(values[0, 2])


def test_the_smallest_budget(averaging_game):
    for n in (2, 3, 4, 20, 75):
        smallest = 2 * n if n > 3 else 2**n - 2
        assert np.all(np.isfinite(shapley(averaging_game(n), "kernel_shap", smallest).values))
        with pytest.raises(InputError) as caught:
            shapley(averaging_game(n), "kernel_shap", smallest - 1)
        assert caught.value.field == "budget"
        assert str(smallest) in caught.value.allowed
