"""Intervals of permutation sampling on games of real tasks, all of whose utilities are known."""

import os
from pathlib import Path

import numpy as np
import pytest

from crowd_sim.valuation import shapley

FOLDER = Path(os.environ.get("CROWD_SIM_DATA", "no data")) / "games"
FILES = sorted(FOLDER.glob("*/*.npz"))


class Table:
    """A game by its 2^n utilities; coalition number = Σ 2^i over its players."""

    def __init__(self, coalitions, values):
        self.n_players = coalitions.shape[1]
        self.powers = 1 << np.arange(self.n_players)
        self.table = np.empty(len(values))
        self.table[coalitions @ self.powers] = values

    def __call__(self, coalitions):
        return self.table[coalitions @ self.powers]


@pytest.fixture(scope="module")
def games():
    loaded = []
    for path in FILES:
        with np.load(path) as file:
            game = Table(file["coalitions"], file["values"])
        loaded.append((game, shapley(game, "exact").values))
    return loaded


@pytest.mark.skipif(not FILES, reason="no games in $CROWD_SIM_DATA/games")
@pytest.mark.parametrize("factor", [5, 10, 20, 40])
def test_95_percent_intervals_cover(games, factor):
    shares = []
    for game, truth in games:
        if factor * game.n_players >= 2**game.n_players:
            continue
        rounding = 1e-12 * np.abs(game.table).max()
        for run in range(20):
            result = shapley(game, "permutation", factor * game.n_players, run=run)
            shares.append(np.mean((result.lower - rounding <= truth) & (truth <= result.upper + rounding)))
    assert 0.93 <= np.mean(shares) <= 0.975
