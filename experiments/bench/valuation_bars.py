"""Averaging games: the error that the stratified estimator reaches, against the bars it must meet.

    python -m experiments.bench.valuation_bars --path FOLDER

prints, as Markdown, the mean of ‖estimate − truth‖ / ‖truth − mean(truth)‖ over three targets and a few seeds, and
milliseconds per game on one core. FOLDER holds MovieLens ml-latest-small; without it the crowd is synthetic. The truth is
enumeration for 16 workers, else the mean of three runs of the estimator itself with a million evaluations each (a test
holds it against an estimate that shares no code with it). 10,000 workers are synthetic, and are held against one run of
50 times the budget.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import cache

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from crowd_sim.crowd.sources.by_name import read_source
from crowd_sim.errors import InputError
from crowd_sim.valuation import AveragingGame, shapley

BARS = {
    (16, "l2", 160): 0.03,
    (16, "l2", 1_600): 0.006,
    (16, "l1", 160): 0.04,
    (16, "l1", 1_600): 0.009,
    (75, "l2", 750): 0.04,
    (75, "l2", 7_500): 0.011,
    (75, "l2", 75_000): 0.005,
    (75, "l1", 750): 0.07,
    (75, "l1", 7_500): 0.02,
    (75, "l1", 75_000): 0.009,
    (300, "l2", 3_000): 0.03,
    (300, "l1", 3_000): 0.06,
    (10_000, "l2", 40_000): 0.04,
}
"""(workers, score, evaluations) -> largest error allowed."""

_TRUTHS = 3
_LARGEST = 10_000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Error and time of the stratified estimator, against its bars.")
    parser.add_argument("--path", help="folder of MovieLens ml-latest-small; without it the crowd is synthetic")
    parser.add_argument("--seeds", type=int, default=5, help="runs per target (default 5)")
    arguments = parser.parse_args()
    if arguments.seeds < 1:
        parser.error(f"--seeds = {arguments.seeds}: must be at least 1")
    try:
        source = "movielens" if arguments.path else "synthetic"
        people = read_source(source, arguments.path, 609, 0).vectors
    except InputError as error:
        print(f"valuation_bars: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    with threadpool_limits(1):
        _table(people, arguments.seeds)


def _table(people: NDArray[np.float64], seeds: int) -> None:
    truths: dict[tuple[int, str, int], NDArray[np.float64]] = {}
    heads = ("n", "score", "evaluations", "bar", "error", "ms per game, fastest", "median")
    print(f"| {' | '.join(heads)} |\n| {' | '.join(['---'] * len(heads))} |")
    for (n, score, budget), bar in BARS.items():
        games = _games(people, n, score)
        shapley(games[0], "stratified", budget)  # compiled code is loaded before the clock starts
        errors, seconds = [], []
        for number, game in enumerate(games):
            if (n, score, number) not in truths:
                large = n == _LARGEST
                truths[n, score, number] = _truth(game, 50 * budget if large else 1_000_000, 1 if large else _TRUTHS)
            truth = truths[n, score, number]
            for seed in range(seeds):
                start = time.perf_counter()
                values = shapley(game, "stratified", budget, seed=seed, run=number).values
                seconds.append(time.perf_counter() - start)
                errors.append(np.linalg.norm(values - truth) / np.linalg.norm(truth - truth.mean()))
        fastest, median = 1e3 * min(seconds), 1e3 * float(np.median(seconds))
        print(
            f"| {n:,} | {score} | {budget:,} | {bar} | {np.mean(errors):.5f} | {fastest:.1f} | {median:.1f} |",
            flush=True,
        )


@cache
def _large() -> NDArray[np.float64]:
    return read_source("synthetic", None, _LARGEST + 300, 1).vectors


def _games(people: NDArray[np.float64], n: int, score: str) -> list[AveragingGame]:
    if n == _LARGEST:
        people = _large()
    targets = (0, 200, 400) if n < 100 else (0, 200, 300)
    return [AveragingGame(people[target + 1 : target + 1 + n], people[target], score) for target in targets]


def _truth(game: AveragingGame, budget: int, runs: int) -> NDArray[np.float64]:
    """Values by enumeration where that is feasible, else the mean of some runs."""
    if game.n_players <= 16:
        return shapley(game, "exact").values
    return np.mean([shapley(game, "stratified", budget, seed=2**32 + run).values for run in range(runs)], axis=0)


if __name__ == "__main__":
    main()
