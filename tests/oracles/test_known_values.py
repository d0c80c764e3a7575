import numpy as np
import pytest

from crowd_sim.valuation import shapley
from tests.oracles.games import airport, all_oracles, brute_force, glove, sum_of_unanimity

ORACLES = all_oracles()


@pytest.mark.parametrize("game", ORACLES, ids=repr)
def test_the_oracles_agree_with_the_definition(game):
    np.testing.assert_allclose(brute_force(game, game.n_players), game.values, atol=1e-12)


@pytest.mark.parametrize("method", ["exact", "auto", "kernel_shap"])
@pytest.mark.parametrize("game", ORACLES, ids=repr)
def test_enumerating_methods_are_exact(game, method):
    result = shapley(game, method=method)
    np.testing.assert_allclose(result.values, game.values, atol=1e-10)
    assert np.all(result.stderr == 0)


LARGE = [airport(list(np.arange(1.0, 23.0))), glove(9, 14), sum_of_unanimity(23, 60, seed=3)]


@pytest.mark.parametrize("game", LARGE, ids=repr)
def test_permutation_meets_them_in_the_limit(game):
    result = shapley(game, method="permutation", budget=60_000, seed=4)
    assert result.method == "permutation"
    np.testing.assert_array_less(np.abs(result.values - game.values), 4.5 * result.stderr + 1e-10)
    assert result.stderr.max() < 0.04
    assert result.values.sum() == pytest.approx(game.values.sum(), abs=1e-9)
