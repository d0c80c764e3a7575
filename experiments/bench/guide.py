"""The pictures of docs/estimators.md.

    python -m experiments.bench.guide --out docs

values games of three kinds by several methods with growing budgets, and draws the errors, and how often the nominal 95 %
intervals cover, against the evaluations a player.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.report.style import PAGE_WIDTH, colours, marker, new_figure, png, styled, write_atomically
from crowd_sim.valuation import AveragingGame, Game, shapley
from experiments.bench.noise import Noisy
from experiments.bench.unanimity import KINDS, random_game

_N = 16
_FACTORS = 6, 12, 25, 50, 100, 250, 500
_Made = tuple[Game, NDArray[np.float64]]


def _averaging(seed: int) -> _Made:
    rng = np.random.default_rng(seed)
    game = AveragingGame(rng.random((_N, 20)) * 5, rng.random(20) * 5)
    return game, shapley(game, "exact").values


def _unanimity(seed: int) -> _Made:
    game = random_game(KINDS[0], seed, n=_N)
    return game, game.shapley_values_known()


def _noisy(seed: int) -> _Made:
    game, truth = _unanimity(seed)
    return Noisy(game, 0.5, np.random.default_rng(seed)), truth


_PANELS: dict[str, tuple[Callable[[int], _Made], tuple[str, ...]]] = {
    "averaging game, score l2": (_averaging, ("stratified", "surrogate", "permutation", "kernel_shap")),
    "sum of unanimity games": (_unanimity, ("surrogate", "paired_regression", "permutation", "kernel_shap")),
    "the same with noise": (_noisy, ("surrogate", "paired_regression", "permutation")),
}


def _measured(make: Callable[[int], _Made], method: str, n_games: int) -> NDArray[np.float64]:
    """Relative error and coverage, means over games: float64[2, factors]; NaN where the budget is too small."""
    out = np.full((2, len(_FACTORS)), np.nan)
    for k, factor in enumerate(_FACTORS):
        errors, covered = [], []
        for seed in range(n_games):
            game, truth = make(seed)
            try:
                result = shapley(game, method, factor * _N, seed=seed)
            except InputError:
                break
            spread = np.sqrt(((truth - truth.mean()) ** 2).sum())
            errors.append(float(np.sqrt(((result.values - truth) ** 2).sum()) / spread))
            covered.append(float(((result.lower <= truth) & (truth <= result.upper)).mean()))
        if errors:
            out[:, k] = np.mean(errors), np.mean(covered)
    return out


@styled
def _draw(n_games: int) -> bytes:
    figure = new_figure(PAGE_WIDTH, 4.2)
    axes = figure.subplots(2, len(_PANELS), sharex=True, sharey="row")
    names = list(dict.fromkeys(method for _, methods in _PANELS.values() for method in methods))
    for column, (title, (make, methods)) in enumerate(_PANELS.items()):
        error, cover = axes[:, column]
        for method in methods:
            place = names.index(method)
            for ax, row in zip((error, cover), _measured(make, method, n_games), strict=True):
                ax.plot(_FACTORS, row, color=colours(len(names))[place], marker=marker(place), label=method)
        error.set(title=title, xscale="log", yscale="log")
        cover.axhline(0.95, color="0.6", linewidth=0.8, linestyle="--")
        cover.set(ylim=(0.6, 1.01), xlabel="evaluations / n")
    lines = {line.get_label(): line for ax in axes[0] for line in ax.get_lines()}
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=len(lines))
    axes[0, 0].set_ylabel("error / spread of the values")
    axes[1, 0].set_ylabel("covered by 95 % intervals")
    return png(figure)


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder")
    parser.add_argument("--games", type=int, default=12, help="games of each kind")
    arguments = parser.parse_args()
    write_atomically(arguments.out / "estimators.png", _draw(arguments.games))


if __name__ == "__main__":
    main()
