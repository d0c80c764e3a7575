"""Error bars: how many of the nominal 95 % intervals cover the truth.

    python -m experiments.bench.coverage --path FOLDER

prints, as Markdown, the share of all players' intervals that cover, over 200 games of a kind (fewer sums of unanimity
games, whose fits take seconds at large budgets), with its standard error (games count as one observation each), and the
standard errors' mean square against that of the errors; then the share of all intervals of a kind. Averaging games draw
their workers and the target from MovieLens in FOLDER, without it from the synthetic source; the truth is enumeration up to
16 workers, else the mean of three runs of the estimator with 300,000 evaluations each. Sums of unanimity games
(`experiments.bench.unanimity`) know their values.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from crowd_sim.crowd.sources.by_name import read_source
from crowd_sim.errors import InputError
from crowd_sim.valuation import AveragingGame, Game, ShapleyResult, shapley
from experiments.bench.unanimity import KINDS, random_game

Vector = NDArray[np.float64]


def _closeness(means: Vector, target: Vector) -> Vector:
    return np.exp(-np.square(means - target).mean(axis=1))


def _worst(means: Vector, target: Vector) -> Vector:
    return -np.abs(means - target).max(axis=1)


OWN: dict[str, Callable[[Vector, Vector], Vector]] = {"closeness": _closeness, "worst coordinate": _worst}
"""Scores of one's own of averaging games."""

SETTINGS: dict[tuple[str, int], tuple[int, ...]] = {
    **{(name, 16): (80, 160, 320, 800) for name in OWN},
    ("l2", 16): (160, 500, 1_600, 8_000, 30_000, 60_000),
    ("l2", 75): (750, 1_000, 7_500),
    ("l1", 16): (160, 500, 1_600, 8_000, 30_000, 60_000),
    ("l1", 75): (750, 1_000, 7_500),
    **{(kind, 16): (200, 500, 2_000, 8_000, 32_000) for kind in KINDS},
}
"""(kind of game, players) -> evaluations."""

_MOST_SUMS = {200: 60, 500: 60, 2_000: 40, 8_000: 20, 32_000: 6}
"""Evaluations -> sums of unanimity games at most."""

_TRUTH_BUDGET, _TRUTHS = 300_000, 3


@dataclass(frozen=True)
class Coverage:
    """How one setting fared: means over the games.

    Attributes:
        covered: share of the players' intervals that cover.
        stderr: of ``covered``.
        calibration: mean square of the standard errors over that of the errors.
    """

    covered: float
    stderr: float
    calibration: float


def coverage(results: list[ShapleyResult], truths: list[NDArray[np.float64]]) -> Coverage:
    """Of results of different games with these true values."""
    inside = [float(((r.lower <= t) & (t <= r.upper)).mean()) for r, t in zip(results, truths, strict=True)]
    # relative to the game's own error bars: else the games with large values would count alone
    squares = [float(((r.values - t) ** 2).sum() / (r.stderr**2).sum()) for r, t in zip(results, truths, strict=True)]
    spread = float(np.std(inside, ddof=1) / np.sqrt(len(inside))) if len(inside) > 1 else float("nan")
    return Coverage(float(np.mean(inside)), spread, 1.0 / float(np.mean(squares)))


def _averaging(people: NDArray[np.float64], score: str, n: int, number: int) -> tuple[Game, NDArray[np.float64]]:
    rows = np.random.default_rng([number, n]).permutation(len(people))[: n + 1]
    game = AveragingGame(people[rows[1:]], people[rows[0]], OWN.get(score, score))
    if n <= 16:
        return game, shapley(game, "exact").values
    runs = [shapley(game, "stratified", _TRUTH_BUDGET, seed=2**32 + run, run=number) for run in range(_TRUTHS)]
    return game, np.mean([run.values for run in runs], axis=0)


def _unanimity(kind: str, n: int, number: int) -> tuple[Game, NDArray[np.float64]]:
    game = random_game(kind, number, n)
    return game, game.shapley_values_known()


def measure(games: list[tuple[Game, NDArray[np.float64]]], budget: int) -> tuple[str, Coverage]:
    """The method that `auto` takes, and how its intervals fare."""
    results = [shapley(game, budget=budget, seed=1, run=number) for number, (game, _) in enumerate(games)]
    return results[0].method, coverage(results, [truth for _, truth in games])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="How many of the nominal 95 % intervals cover the truth.")
    parser.add_argument("--path", help="folder of MovieLens ml-latest-small; without it the crowds are synthetic")
    parser.add_argument("--games", type=int, default=200, help="games of each kind, at most (default 200)")
    parser.add_argument("--kind", choices=sorted({kind for kind, _ in SETTINGS}), help="only this kind (default all)")
    parser.add_argument("--players", type=int, choices=sorted({n for _, n in SETTINGS}), help="only this many")
    arguments = parser.parse_args()
    if arguments.games < 2:
        parser.error(f"--games = {arguments.games}: must be at least 2")
    try:
        source = "movielens" if arguments.path else "synthetic"
        people = read_source(source, arguments.path, 609, 0).vectors
    except InputError as error:
        print(f"coverage: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    heads = ("kind of game", "n", "method", "evaluations", "coverage", "± SE", "stderr² / error²", "games")
    print(f"| {' | '.join(heads)} |\n| {' | '.join(['---'] * len(heads))} |")
    pooled: dict[str, list[float]] = {}
    with threadpool_limits(1):
        for (kind, n), budgets in SETTINGS.items():
            if arguments.kind not in (None, kind) or arguments.players not in (None, n):
                continue
            if kind in KINDS:
                games = [_unanimity(kind, n, number) for number in range(arguments.games)]
            else:
                games = [_averaging(people, kind, n, number) for number in range(arguments.games)]
            for budget in budgets:
                played = games[: _MOST_SUMS[budget]] if kind in KINDS else games
                method, found = measure(played, budget)
                figures = f"{found.covered:.3f} | {found.stderr:.3f} | {found.calibration:.2f}"
                print(f"| {kind} | {n} | {method} | {budget:,} | {figures} | {len(played)} |", flush=True)
                pooled.setdefault("sums of unanimity games" if kind in KINDS else kind, []).append(found.covered)
    print("\n" + "\n".join(f"{kind}: {np.mean(shares):.3f} of all intervals cover" for kind, shares in pooled.items()))


if __name__ == "__main__":
    main()
