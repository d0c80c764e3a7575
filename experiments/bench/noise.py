"""Valuing games that answer differently each time.

    python -m experiments.bench.noise [--games 200] [--kind "unanimity, n = 16"] [--per-player 8 20 50 200]

prints, as Markdown, for games of several kinds, normal noise of a standard deviation, and budgets, how many of the nominal 95 %
intervals cover the noiseless values, by the surrogate (which `auto` takes), paired regression and permutation sampling, and
the root mean square errors.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.valuation import Game, shapley
from experiments.bench.unanimity import KINDS, random_game

_METHODS = "surrogate", "paired_regression", "permutation"
_FACTORS = {  # 2^n is 32 n of 8 players
    "additive, n = 12": (8, 20, 50),
    "unanimity, n = 8": (8, 20, 50, 200, 500),
    "unanimity, n = 16": (8, 20),
    "unanimity, n = 40": (8, 20),
}
_NOISES = 0.1, 1.0


@dataclass(frozen=True, eq=False)
class Noisy:
    """``game`` with normal noise, anew in every call."""

    game: Game
    deviation: float
    rng: np.random.Generator
    noise: str = "fresh"

    @property
    def n_players(self) -> int:
        """Number of players."""
        return self.game.n_players

    def __call__(self, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Utilities float64[m] of ``coalitions`` bool[m, n]."""
        return self.game(coalitions) + self.deviation * self.rng.standard_normal(len(coalitions))


@dataclass(frozen=True, eq=False)
class _Additive:
    """The sum of the members' worths."""

    worths: NDArray[np.float64]

    @property
    def n_players(self) -> int:
        return len(self.worths)

    def __call__(self, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        return (coalitions * self.worths).sum(axis=1)


def _additive(seed: int, n: int) -> tuple[Game, NDArray[np.float64]]:
    worths = np.random.default_rng([seed, n]).normal(size=n)
    return _Additive(worths), worths


def _unanimity(seed: int, n: int) -> tuple[Game, NDArray[np.float64]]:
    game = random_game(KINDS[0], seed, n=n)
    return game, game.shapley_values_known()


_GAMES: dict[str, Callable[[int], tuple[Game, NDArray[np.float64]]]] = {
    "additive, n = 12": lambda seed: _additive(seed, 12),
    "unanimity, n = 8": lambda seed: _unanimity(seed, 8),
    "unanimity, n = 16": lambda seed: _unanimity(seed, 16),
    "unanimity, n = 40": lambda seed: _unanimity(seed, 40),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=200, help="games of each kind")
    parser.add_argument("--kind", choices=list(_GAMES), nargs="+", default=list(_GAMES), help="only these kinds")
    parser.add_argument("--per-player", type=int, nargs="+", help="evaluations a player, for each kind")
    arguments = parser.parse_args()
    n_games, out = arguments.games, sys.stdout.write
    heads = " | ".join(
        f"{what}{' | '.join(('surrogate', 'regression', 'permutation'))}" for what in ("covered: ", "error: ")
    )
    out(f"| Game | Noise | Evaluations | {heads} |\n| {' | '.join(['---'] * (3 + 2 * len(_METHODS)))} |\n")
    for name in arguments.kind:
        make = _GAMES[name]
        for deviation in _NOISES:
            for factor in arguments.per_player or _FACTORS[name]:
                covered, errors = [], []
                for method in _METHODS:
                    inside, squares = [], []
                    for seed in range(n_games):
                        game, truth = make(seed)
                        noisy = Noisy(game, deviation, np.random.default_rng([seed, factor]))
                        result = shapley(noisy, method, factor * game.n_players, seed=seed)
                        inside.append(float(((result.lower <= truth) & (truth <= result.upper)).mean()))
                        squares.append(float(((result.values - truth) ** 2).mean()))
                    covered.append(f"{np.mean(inside):.3f}")
                    errors.append(f"{np.sqrt(np.mean(squares)):.4f}")
                out(f"| {name} | {deviation} | {factor} n | {' | '.join(covered + errors)} |\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
