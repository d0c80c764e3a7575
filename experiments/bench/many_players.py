"""Games of many players that have no structure to be told: chains against permutation sampling and SVARM.

    python -m experiments.bench.many_players [--players 10000] [--evaluations 200000] [--seeds 1]

With players' features that tell something, chains have a second row, with them, and a third, with a fifth of the evaluations.
It prints, as Markdown, ‖values − truth‖ / ‖truth − mean(truth)‖, how many of the nominal 95 % intervals cover, of how many
games all is true that `result.top(10)` says, seconds of the processor, and the process's peak memory. SVARM is that of
Kolpaczki et al. (AAAI 2024), without strata, which need n² evaluations and more.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from crowd_sim.valuation import AveragingGame, Game, shapley
from crowd_sim.valuation.estimators.chains.estimator import minimum_budget
from experiments.bench.textbook import true_of_first

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
class Saturating:
    """1 − exp(−Σ worth): a concave function of a sum."""

    worth: _Vector

    @property
    def n_players(self) -> int:
        """Number of players."""
        return len(self.worth)

    def __call__(self, coalitions: NDArray[np.bool_]) -> _Vector:
        """Utilities float64[m] of ``coalitions`` bool[m, n]."""
        return -np.expm1(-(coalitions @ self.worth))

    def values(self) -> _Vector:
        """∫ (1 − e^−worth_i) Π_{j≠i} (1 − q + q e^−worth_j) dq (Owen, 1972), by Gauss and Legendre's rule, to rounding."""
        nodes, weights = np.polynomial.legendre.leggauss(256)
        falls = -np.expm1(-self.worth)
        found = np.zeros(len(falls))
        for q, weight in zip(0.5 + 0.5 * nodes, 0.5 * weights, strict=True):
            left = np.log1p(-q * falls)
            found += weight * falls * np.exp(left.sum() - left)
        return found


@dataclass(frozen=True, eq=False)
class Best:
    """Σ over tasks of what the best member is worth at it: as many airports.

    Attributes:
        worth: float64[tasks, n], none below 0.
    """

    worth: _Vector

    def __post_init__(self) -> None:
        order = np.argsort(self.worth, axis=1)
        object.__setattr__(self, "_order", order)
        object.__setattr__(self, "_ascending", np.take_along_axis(self.worth, order, axis=1))

    @property
    def n_players(self) -> int:
        """Number of players."""
        return self.worth.shape[1]

    def __call__(self, coalitions: NDArray[np.bool_]) -> _Vector:
        """Utilities float64[m] of ``coalitions`` bool[m, n]."""
        total = np.zeros(len(coalitions))
        for order, ascending in zip(self._order, self._ascending, strict=True):  # type: ignore[attr-defined]
            left, end = np.arange(len(coalitions)), self.n_players
            while len(left) and end:  # the best of nearly all coalitions is among the first few
                start = max(end - 64, 0)
                members = coalitions[np.ix_(left, order[start:end])]
                found = members.any(axis=1)
                total[left[found]] += ascending[end - 1 - members[found, ::-1].argmax(axis=1)]
                left, end = left[~found], start
        return total

    def values(self) -> _Vector:
        """The tasks' values added up."""
        found = np.zeros(self.n_players)
        for order, ascending in zip(self._order, self._ascending, strict=True):  # type: ignore[attr-defined]
            found[order] -= Airport(ascending).values()
        return found


@dataclass(frozen=True, eq=False)
class Vote:
    """1 where more than half of all votes are together."""

    votes: NDArray[np.int64]

    @property
    def n_players(self) -> int:
        """Number of players."""
        return len(self.votes)

    def __call__(self, coalitions: NDArray[np.bool_]) -> _Vector:
        """Utilities float64[m] of ``coalitions`` bool[m, n]."""
        held = coalitions.astype(np.float32) @ self.votes.astype(np.float32)  # whole numbers below 2^24
        return (2 * held > self.votes.sum()).astype(np.float64)

    def values(self) -> _Vector:
        """∫ P(the others hold from Q − w to Q − 1 votes) dq, alike for equal votes (Owen, 1972); of sums by Fourier's series.

        The integrand is a bump of the width 1 / √n about 1 / 2: Gauss and Legendre's rule takes 20 widths to both sides.
        """
        kinds, number = np.unique(self.votes, return_counts=True)
        total = int(self.votes.sum())
        quota, length = total // 2 + 1, 1 << (total + 1).bit_length()
        turns = np.exp(-2j * np.pi * np.arange(length // 2 + 1)[None, :] * kinds[:, None] / length)
        wide = min(0.5, 20.0 * float(np.sqrt((self.votes**2.0).sum())) / (2 * total))
        nodes, weights = np.polynomial.legendre.leggauss(64)
        found = np.zeros(len(kinds))
        for q, weight in zip(0.5 + wide * nodes, wide * weights, strict=True):
            every = 1.0 - q + q * turns
            powers = [one ** int(count - 1) for one, count in zip(every, number, strict=True)]
            for c, kind in enumerate(kinds):
                rest = powers[c].copy()
                for other in range(len(kinds)):
                    if other != c:
                        rest *= powers[other] * every[other]
                chances = np.fft.irfft(rest, length)
                found[c] += weight * chances[quota - kind : quota].sum()
        return found[np.searchsorted(kinds, self.votes)]


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


def games(n: int, seed: int = 0, only: str = "") -> dict[str, tuple[Game, _Vector, _Vector | None]]:
    """Games with their values, and with what is known of the players; those whose names begin with ``only``."""
    rng = np.random.default_rng([n, seed] if seed else n)
    sizes = rng.choice([3, 10, 50], n // 4)
    coverage = Terms(n, [rng.choice(n, size, replace=False) for size in sizes], rng.random(len(sizes)), every=False)
    sizes = rng.integers(1, 6, n // 2)
    unanimity = Terms(
        n, [rng.choice(n, size, replace=False) for size in sizes], rng.normal(size=len(sizes)), every=True
    )
    averaging = AveragingGame(rng.gamma(2.0, 1.0, (n, 20)), rng.random(20) * 3)
    even, heavy = Airport(np.sort(rng.random(n))), Airport(np.sort(rng.gamma(2.0, 1.0, n)))
    worth = rng.gamma(2.0, 1.0, n)
    saturating, best = Saturating(8.0 * worth / worth.sum()), Best(rng.random((10, n)) ** 8)
    vote = Vote(rng.integers(1, 6, n))
    found: dict[str, tuple[Game, Callable[[], _Vector], _Vector | None]] = {
        "coverage": (coverage, coverage.values, None),
        "unanimity, 1 to 5 members": (unanimity, unanimity.values, None),
        "averaging, l2, not told": (
            Unknown(averaging),
            lambda: shapley(averaging, "stratified", 100 * n).values,
            averaging.vectors,
        ),
        "airport, even costs": (even, even.values, even.costs[:, None]),
        "airport, heavy tail": (heavy, heavy.values, heavy.costs[:, None]),
        "saturating": (saturating, saturating.values, None),
        "best at ten tasks": (best, best.values, None),
        "voting": (vote, vote.values, None),
    }
    return {name: (game, truth(), told) for name, (game, truth, told) in found.items() if name.startswith(only)}


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
        inside = np.zeros((m, n), dtype=np.bool_)
        np.put_along_axis(inside, rng.random((m, n)).argsort(axis=1), np.arange(n) < size[:, None], axis=1)
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
    parser.add_argument("--only", default="", help="games that begin like this")
    arguments = parser.parse_args()
    out = sys.stdout.write
    out("| Game | method | evaluations | error | covered | first 10 true | seconds | GiB at most |\n")
    out("| --- | --- | --: | --: | --: | --: | --: | --: |\n")
    n, budget = arguments.players, arguments.evaluations
    for name in games(100, only=arguments.only):
        rows: dict[tuple[str, int], list[tuple[float, ...]]] = {}
        for seed in range(arguments.seeds):
            game, truth, features = games(n, seed, name)[name]
            for method, evaluations in tried(n, budget, features is not None):
                found = _measured(game, truth, features, method, evaluations, seed)
                rows.setdefault((method, evaluations), []).append(found)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        for (method, evaluations), each in rows.items():
            error, covered, first, seconds = (float(np.mean(column)) for column in zip(*each, strict=True))
            shares = " | " if np.isnan(covered) else f"{covered:.3f} | {first:.2f}"
            out(f"| {name} | {method} | {evaluations:,} | {error:.3f} | {shares} | {seconds:.0f} | {memory:.2f} |\n")
        sys.stdout.flush()


def tried(n: int, budget: int, featured: bool) -> list[tuple[str, int]]:
    """Methods with their evaluations; those that take so few."""
    told = [("chains, features", budget), ("chains, features", budget // 5)] if featured else []
    plain = [("chains", budget)] if budget >= minimum_budget(n) else []
    return [*plain, *told, *((method, budget) for method in ("permutation", "SVARM") if budget >= 2 * n)]


def _measured(
    game: Game, truth: _Vector, features: _Vector | None, method: str, evaluations: int, seed: int
) -> tuple[float, ...]:
    """Error, share of intervals that cover and whether what is said of the first ten is true (NaN without any), seconds."""
    start, covered, first = time.process_time(), float("nan"), float("nan")
    if method == "SVARM":
        values = svarm(game, evaluations, seed)
    else:
        known = features if "features" in method else None
        result = shapley(game, method.partition(",")[0], evaluations, seed=seed, features=known)
        values, covered = result.values, float(np.mean((result.lower <= truth) & (truth <= result.upper)))
        first = float(true_of_first(result, truth, 10))
    seconds = time.process_time() - start
    spread = np.sqrt(((truth - truth.mean()) ** 2).sum())
    return float(np.sqrt(((values - truth) ** 2).sum()) / spread), covered, first, seconds


if __name__ == "__main__":
    main()
