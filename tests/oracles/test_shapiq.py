import numpy as np
import pytest
import shapiq

from crowd_sim.valuation import AveragingGame, shapley
from tests.oracles.games import sum_of_unanimity


def shapiq_values(game, n: int) -> np.ndarray:
    found = shapiq.ExactComputer(game, n_players=n)("SV", 1)
    return np.array([found[(i,)] for i in range(n)])


class Voting(shapiq.Game):
    """A game written for shapiq."""

    def __init__(self, normalize: bool) -> None:
        self.weights = np.array([5.0, 4.0, 3.0, 2.0, 1.0, 1.0, 0.0])
        super().__init__(n_players=7, normalize=normalize, normalization_value=1.0 if normalize else None)

    def value_function(self, coalitions: np.ndarray) -> np.ndarray:
        return 1.0 + ((coalitions * self.weights).sum(axis=1) > 8.0) + 0.1 * np.sqrt(coalitions.sum(axis=1))


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("method", ["exact", "kernel_shap", "auto"])
def test_a_shapiq_game_passes_through_unchanged(method, normalize):
    game = Voting(normalize)
    result = shapley(game, method=method)
    np.testing.assert_allclose(result.values, shapiq_values(game, 7), atol=1e-9)


def test_a_shapiq_game_samples():
    game = Voting(normalize=False)
    result = shapley(game, method="permutation", budget=5_000)
    np.testing.assert_array_less(np.abs(result.values - shapiq_values(game, 7)), 4.5 * result.stderr + 1e-12)


def test_exact_agrees_with_exact_computer():
    rng = np.random.default_rng(3)
    for game in (AveragingGame(rng.random((8, 4)) * 5, rng.random(4) * 5), sum_of_unanimity(8, 15, seed=2)):
        np.testing.assert_allclose(shapley(game, method="exact").values, shapiq_values(game, 8), atol=1e-10)
