"""Shapley values of a game of one's own: what each of five sensors adds to the accuracy of a mean."""

import numpy as np

from crowd_sim.testing import check_game
from crowd_sim.valuation import shapley


class Sensors:
    """A coalition is worth how much nearer its mean reading is to the truth than no reading at all."""

    n_players = 5
    noise_of_each = np.array([0.1, 0.2, 0.5, 1.0, 3.0])

    def __call__(self, coalitions):
        """bool[m, n] -> float[m]."""
        members = coalitions.sum(1)
        variance = (coalitions * self.noise_of_each**2).sum(1) / np.maximum(members, 1) ** 2
        return np.where(members > 0, 9.0 - variance, 0.0)


check_game(Sensors())
result = shapley(Sensors(), budget=100)
print(result.method, result.values.round(2))
