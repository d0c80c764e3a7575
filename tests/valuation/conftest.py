import numpy as np
import pytest

from crowd_sim.valuation import AveragingGame


@pytest.fixture
def averaging_game():
    def make(n: int, d: int = 20, score="l2", seed: int = 0) -> AveragingGame:
        rng = np.random.default_rng([seed, n, d])
        return AveragingGame(rng.random((n, d)) * 5, rng.random(d) * 5, score)

    return make
