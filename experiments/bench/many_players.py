"""Games of many players that have no structure to be told: chains against permutation sampling and SVARM.

    python -m experiments.bench.many_players [--players 10000] [--evaluations 200000] [--seeds 1]

With players' features that tell something, chains have a second row, with them, and a third, with a fifth of the evaluations.
It prints, as Markdown, ‖values − truth‖ / ‖truth − mean(truth)‖, how many of the nominal 95 % intervals cover, seconds of the
processor, and the process's peak memory. SVARM is that of Kolpaczki et al. (AAAI 2024), without strata, which need n²
evaluations and more.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from crowd_sim.valuation import AveragingGame, Game, shapley
from crowd_sim.valuation.estimators.chains import minimum_budget

_Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Terms:
    """Σ_t weight_t, over the terms of which a coalition holds any member (coverage), or all of them (unanimity).

    Attributes:
        members: of each term.
        weights: of each term.
    """

    n_players: int
    members: Sequence[NDArray[np.int64]]
    weights: _Vector
    every: bool

    def __post_init__(self) -> None:
        ends = np.cumsum([0, *map(len, self.members)])
        shape = (len(self.members), self.n_players)
        ones = np.ones(ends[-1], dtype=np.float32)
        object.__setattr__(self, "_matrix", sparse.csr_matrix((ones, np.concatenate(self.members), ends), shape))
        object.__setattr__(self, "_needed", np.array([len(m) if self.every else 1 for m in self.members]) - 0.5)

    def __call__(self, coalitions: NDArray[np.bool_]) -> _Vector:
        """Utilities float64[m] of ``coalitions`` bool[m, n]."""
        held = self._matrix @ coalitions.T.astype(np.float32)  # type: ignore[attr-defined]
        return ((held > self._needed[:, None]) * self.weights[:, None]).sum(axis=0)  # type: ignore[attr-defined]

    def values(self) -> _Vector:
        """Shapley values float64[n]: all members of a term share its weight."""
        found = np.zeros(self.n_players)
        for members, weight in zip(self.members, self.weights, strict=True):
            found[members] += weight / len(members)
        return found


@dataclass(frozen=True, eq=False)
class Airport:
    """Minus the largest cost; costs ascend."""

    costs: _Vector

    @property
    def n_players(self) -> int:
        """Number of players."""
        return len(self.costs)

    def __call__(self, coalitions: NDArray[np.bool_]) -> _Vector:
        """Utilities float64[m] of ``coalitions`` bool[m, n]."""
        last = coalitions.shape[1] - 1 - coalitions[:, ::-1].argmax(axis=1)
        return np.where(coalitions.any(axis=1), -self.costs[last], 0.0)

    def values(self) -> _Vector:
        """Each part of the runway is shared by those who need it."""
        n = len(self.costs)
        return -np.cumsum(np.diff(self.costs, prepend=0.0) / (n - np.arange(n)))


@dataclass(frozen=True, eq=False)
class Unknown:
    """A game of which nothing is told but its utilities."""

    game: Game

    @property
    def n_players(self) -> int:
        """Number of players."""
        return self.game.n_players

    def __call__(self, coalitions: NDArray[np.bool_]) -> _Vector:
        """Utilities float64[m] of ``coalitions`` bool[m, n]."""
        return self.game(coalitions)


def games(n: int, seed: int = 0) -> dict[str, tuple[Game, _Vector, _Vector | None]]:
    """Games with their values, and with what is known of the players."""
    rng = np.random.default_rng([n, seed] if seed else n)
    sizes = rng.choice([3, 10, 50], n // 4)
    coverage = Terms(n, [rng.choice(n, size, replace=False) for size in sizes], rng.random(len(sizes)), every=False)
    sizes = rng.integers(1, 6, n // 2)
    unanimity = Terms(
        n, [rng.choice(n, size, replace=False) for size in sizes], rng.normal(size=len(sizes)), every=True
    )
    averaging = AveragingGame(rng.gamma(2.0, 1.0, (n, 20)), rng.random(20) * 3)
    even, heavy = Airport(np.sort(rng.random(n))), Airport(np.sort(rng.gamma(2.0, 1.0, n)))
    return {
        "coverage": (coverage, coverage.values(), None),
        "unanimity, 1 to 5 members": (unanimity, unanimity.values(), None),
        "averaging, l2, not told": (
            Unknown(averaging),
            shapley(averaging, "stratified", 100 * n).values,
            averaging.vectors,
        ),
        "airport, even costs": (even, even.values(), even.costs[:, None]),
        "airport, heavy tail": (heavy, heavy.values(), heavy.costs[:, None]),
    }


def svarm(game: Game, budget: int, seed: int = 0) -> _Vector:
    """Means over coalitions with a player, and over those without, of sizes drawn with chances 1 / size."""
    n, rng = game.n_players, np.random.default_rng(seed)
    chances = 1.0 / np.arange(1, n + 1)
    chances /= chances.sum()
    sums, counts = np.zeros((2, n)), np.zeros((2, n))
    done = 0
    while done < budget:
        m = min(256, budget - done)
        size = 1 + rng.choice(n, m, p=chances)
        inside = rng.random((m, n)).argsort(axis=1).argsort(axis=1) < size[:, None]
        outer = np.arange(m) % 2 == 1  # those without: the complement's chances
        inside[outer] = ~inside[outer]
        utilities = game(inside)
        for side, rows in enumerate((~outer, outer)):
            counted = inside[rows] if side == 0 else ~inside[rows]
            sums[side] += (counted * utilities[rows, None]).sum(axis=0)
            counts[side] += counted.sum(axis=0)
        done += m
    means = sums / np.maximum(counts, 1)
    return means[0] - means[1]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--players", type=int, default=10_000)
    parser.add_argument("--evaluations", type=int, default=200_000)
    parser.add_argument("--seeds", type=int, default=1, help="games of each kind; errors and coverage are their means")
    parser.add_argument("--only", help="games that begin like this")
    arguments = parser.parse_args()
    out = sys.stdout.write
    out("| Game | method | evaluations | error | covered | seconds | GiB at most |\n")
    out("| --- | --- | --: | --: | --: | --: | --: |\n")
    n, budget = arguments.players, arguments.evaluations
    for name in games(100):
        if arguments.only and not name.startswith(arguments.only):
            continue
        rows: dict[tuple[str, int], list[tuple[float, float, float]]] = {}
        for seed in range(arguments.seeds):
            game, truth, features = games(n, seed)[name]
            for method, evaluations in tried(n, budget, features is not None):
                found = _measured(game, truth, features, method, evaluations, seed)
                rows.setdefault((method, evaluations), []).append(found)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        for (method, evaluations), each in rows.items():
            error, covered, seconds = (float(np.mean(column)) for column in zip(*each, strict=True))
            share = "" if np.isnan(covered) else f"{covered:.3f}"
            out(f"| {name} | {method} | {evaluations:,} | {error:.3f} | {share} | {seconds:.0f} | {memory:.2f} |\n")
        sys.stdout.flush()


def tried(n: int, budget: int, featured: bool) -> list[tuple[str, int]]:
    """Methods with their evaluations; those that take so few."""
    told = [("chains, features", budget), ("chains, features", budget // 5)] if featured else []
    plain = [("chains", budget)] if budget >= minimum_budget(n) else []
    return [*plain, *told, *((method, budget) for method in ("permutation", "SVARM") if budget >= 2 * n)]


def _measured(
    game: Game, truth: _Vector, features: _Vector | None, method: str, evaluations: int, seed: int
) -> tuple[float, float, float]:
    """Error, share of intervals that cover (NaN without any) and seconds of the processor."""
    start, covered = time.process_time(), float("nan")
    if method == "SVARM":
        values = svarm(game, evaluations, seed)
    else:
        known = features if "features" in method else None
        result = shapley(game, method.partition(",")[0], evaluations, seed=seed, features=known)
        values, covered = result.values, float(np.mean((result.lower <= truth) & (truth <= result.upper)))
    seconds = time.process_time() - start
    spread = np.sqrt(((truth - truth.mean()) ** 2).sum())
    return float(np.sqrt(((values - truth) ** 2).sum()) / spread), covered, seconds


if __name__ == "__main__":
    main()
