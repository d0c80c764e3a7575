"""Kernel SHAP against the public package, whose draws come from numpy's global state."""

import math

import numpy as np
import pytest
import shap

from crowd_sim.valuation import AveragingGame, shapley
from crowd_sim.valuation.estimators.kernel_shap.design import design
from crowd_sim.valuation.estimators.kernel_shap.estimator import solve


def explained(game, budget: int, seed: int):
    """The package's values, the coalitions it used and their weights."""
    n = game.n_players
    np.random.seed(seed)  # noqa: NPY002
    explainer = shap.KernelExplainer(lambda x: game(x > 0.5), np.zeros((1, n)))
    values = explainer.shap_values(np.ones((1, n)), nsamples=budget, l1_reg=False, silent=True)[0]
    rows = explainer.nsamplesAdded
    return values, explainer.maskMatrix[:rows] > 0.5, explainer.kernelWeights[:rows]


def averaging_game(n: int, seed: int = 0) -> AveragingGame:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(3.0, 1.0, (n, 20)) * (rng.random((n, 20)) < 0.8)
    return AveragingGame(vectors, rng.normal(3.0, 1.0, 20), "l2")


@pytest.mark.parametrize(("n", "budget"), [(2, 10), (3, 10), (5, 20), (16, 1_000), (25, 2_000), (75, 3_000)])
def test_solve_gives_the_package_s_values_on_the_package_s_coalitions(n, budget):
    game = averaging_game(n)
    values, masks, weights = explained(game, budget, seed=1)
    ends = game(np.array([[False] * n, [True] * n]))
    ours = solve(masks, weights, game(masks)[None], ends[:1], ends[1:], len(masks))[0]
    np.testing.assert_allclose(ours[0], values, atol=1e-8)


def weight_of_sizes(masks, weights, n):
    return np.bincount(masks.sum(axis=1), weights=weights, minlength=n + 1)


@pytest.mark.parametrize(("n", "budget"), [(16, 1_600), (16, 10_000), (25, 2_000), (25, 10_000), (75, 10_000)])
def test_the_design_is_the_package_s(n, budget):
    _, masks, weights = explained(averaging_game(n), budget, seed=0)
    plan = design(n, budget, seed=0, run=0)
    assert len(plan.coalitions) == len(masks)
    assert len(np.unique(plan.coalitions, axis=0)) == len(masks)
    counts = np.bincount(masks.sum(axis=1), minlength=n + 1)
    ours = np.bincount(plan.coalitions.sum(axis=1), minlength=n + 1)
    full = [size for size in range(1, n) if counts[size] == math.comb(n, size)]
    assert [size for size in range(1, n) if ours[size] == math.comb(n, size)] == full
    enumerated = plan.coalitions[: plan.n_enumerated]
    np.testing.assert_array_equal(enumerated, masks[: plan.n_enumerated])
    np.testing.assert_allclose(plan.weights[: plan.n_enumerated], weights[: plan.n_enumerated], rtol=1e-12)
    theirs, found = weight_of_sizes(masks, weights, n), weight_of_sizes(plan.coalitions, plan.weights, n)
    assert found.sum() == pytest.approx(theirs.sum(), rel=1e-12)
    np.testing.assert_allclose(found, theirs, atol=6 * np.sqrt(theirs.max() / budget))


def test_the_error_is_the_package_s():
    n, budget, n_seeds = 25, 2_000, 16
    game = averaging_game(n)
    # Ten times the budget of what is tested, by another method
    truth = shapley(game, method="permutation", budget=1_000_000, seed=99).values
    theirs = [np.linalg.norm(explained(game, budget, s)[0] - truth) for s in range(n_seeds)]
    ours = [np.linalg.norm(shapley(game, "kernel_shap", budget, seed=s).values - truth) for s in range(n_seeds)]
    assert np.mean(ours) == pytest.approx(np.mean(theirs), rel=0.2)
