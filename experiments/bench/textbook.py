"""Textbook games: exact where theory says so, intervals that cover, stopping rules that keep their word.

    python -m experiments.bench.textbook [--games 200] [--players 12] [--kind glove] [--method auto] [--stopping] [--target 0.2]

prints, as Markdown, for additive, quadratic, glove, airport, voting, majority, unanimity and averaging games, how many of the
results give no interval, how many are exact (to 1e-9 of the largest value), and what share of the other results' 95 % intervals
cover the truth, with the standard error of that share (a game counts as one observation); of how many of them all is true that
`result.top(3)` says, and how many of the three are certain in the mean. With `--stopping`: of the games that
`TargetError(x)` has stopped, the share whose true error, as that rule defines it, is at most x. The truth is enumeration.
Six further kinds are asked for by `--kind`: votes by a quota, two chambers, steps, sums of airports, products, coverage.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from crowd_sim.valuation import AveragingGame, Progress, Rule, ShapleyResult, TargetError, shapley

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TextbookGame:
    """See `crowd_sim.valuation.Game`.

    Attributes:
        n_players: n.
        utility: float64[m, n] of zeros and ones -> float64[m].
    """

    n_players: int
    utility: Callable[[Vector], Vector]

    def __call__(self, coalitions: NDArray[np.bool_]) -> Vector:
        """float64[m] of bool[m, n]."""
        return self.utility(coalitions.astype(np.float64))


def additive(n: int, rng: np.random.Generator) -> TextbookGame:
    """Σ a_i."""
    worth = rng.normal(size=n)
    return TextbookGame(n, lambda inside: (inside * worth).sum(axis=1))


def quadratic(n: int, rng: np.random.Generator) -> TextbookGame:
    """Σ a_i + Σ b_ij over pairs."""
    worth, pairs = rng.normal(size=n), rng.normal(size=(n, n))
    return TextbookGame(n, lambda inside: (inside * worth).sum(axis=1) + ((inside @ pairs) * inside).sum(axis=1))


def glove(n: int, rng: np.random.Generator) -> TextbookGame:
    """Pairs of a left and a right glove (Shapley, Shubik 1969)."""
    left = rng.permutation(n) < rng.integers(n // 3, n - n // 3 + 1)
    return TextbookGame(n, lambda inside: np.minimum(inside[:, left].sum(axis=1), inside[:, ~left].sum(axis=1)))


def airport(n: int, rng: np.random.Generator) -> TextbookGame:
    """The largest cost (Littlechild, Owen 1973)."""
    cost = rng.uniform(size=n)
    return TextbookGame(n, lambda inside: (inside * cost).max(axis=1))


def voting(n: int, rng: np.random.Generator) -> TextbookGame:
    """1 where more than half of all votes are together (Shapley, Shubik 1954)."""
    votes = rng.integers(1, 20, size=n)
    return TextbookGame(n, lambda inside: (2 * (inside * votes).sum(axis=1) > votes.sum()).astype(np.float64))


def majority(n: int, rng: np.random.Generator) -> TextbookGame:
    """1 from a number of players on."""
    quota = int(rng.integers(n // 3, n))
    return TextbookGame(n, lambda inside: (inside.sum(axis=1) >= quota).astype(np.float64))


def unanimity(n: int, rng: np.random.Generator) -> TextbookGame:
    """Σ over 2n groups of one to five, of either sign, whose members are all there (Shapley 1953)."""
    groups = [rng.choice(n, min(int(rng.integers(1, 6)), n), replace=False) for _ in range(2 * n)]
    weights = rng.normal(size=2 * n)
    return TextbookGame(
        n, lambda inside: sum(w * inside[:, group].all(axis=1) for group, w in zip(groups, weights, strict=True))
    )


def averaging(n: int, rng: np.random.Generator) -> TextbookGame:
    """Minus the distance of a mean of vectors from a target, of which nothing is told but utilities."""
    game = AveragingGame(rng.normal(size=(n, 6)), 0.5 * rng.normal(size=6))
    return TextbookGame(n, lambda inside: game(inside > 0))


KINDS: dict[str, Callable[[int, np.random.Generator], TextbookGame]] = {
    kind.__name__: kind for kind in (additive, quadratic, glove, airport, voting, majority, unanimity, averaging)
}


def quota(n: int, rng: np.random.Generator) -> TextbookGame:
    """1 where 0.3 to 0.8 of all votes are together, of votes far from alike."""
    votes = rng.lognormal(0.0, 0.7, size=n)
    needed = rng.uniform(0.3, 0.8) * votes.sum()
    return TextbookGame(n, lambda inside: ((inside * votes).sum(axis=1) >= needed).astype(np.float64))


def chambers(n: int, rng: np.random.Generator) -> TextbookGame:
    """1 where more than half of all votes are together in both of two chambers."""
    votes = rng.integers(1, 20, size=(2, n))
    return TextbookGame(n, lambda inside: (2 * (inside @ votes.T) > votes.sum(axis=1)).all(axis=1).astype(np.float64))


def steps(n: int, rng: np.random.Generator) -> TextbookGame:
    """Three steps of a sum."""
    worth = rng.uniform(size=n)
    begins, heights = rng.uniform(0.2, 0.8, size=3) * worth.sum(), rng.exponential(size=3)
    return TextbookGame(n, lambda inside: ((inside * worth).sum(axis=1)[:, None] > begins) @ heights)


def maxima(n: int, rng: np.random.Generator) -> TextbookGame:
    """The sum of three airports."""
    costs = rng.uniform(size=(3, n))
    return TextbookGame(n, lambda inside: np.sum([(inside * cost).max(axis=1) for cost in costs], axis=0))


def products(n: int, rng: np.random.Generator) -> TextbookGame:
    """Π (1 + a_i)."""
    rates = rng.uniform(-0.4, 0.8, size=n)
    return TextbookGame(n, lambda inside: (1.0 + inside * rates).prod(axis=1))


def coverage(n: int, rng: np.random.Generator) -> TextbookGame:
    """Of thirty items of exponential worth those that any member has, each with a fifth of the players."""
    has, worth = rng.uniform(size=(n, 30)) < 0.2, rng.exponential(size=30)
    return TextbookGame(n, lambda inside: (inside @ has > 0.0) @ worth)


OTHERS: dict[str, Callable[[int, np.random.Generator], TextbookGame]] = {
    kind.__name__: kind for kind in (quota, chambers, steps, maxima, products, coverage)
}
"""Games for checks: no setting was chosen by them with 15 players."""
METHODS = ("auto", "permutation")
BUDGETS = (2, 5, 8, 12, 20, 50, 100)
"""Evaluations per player."""
TARGETS = (0.05, 0.2, 0.5)
EXACT = 1e-9
"""Of the largest value."""
FIRST = 3


def games(kind: str, n: int, number: int) -> Iterator[tuple[TextbookGame, Vector]]:
    """So many games of a kind, with their values."""
    for which in range(number):
        game = (KINDS | OTHERS)[kind](n, np.random.default_rng([which, n, *kind.encode()]))
        yield game, shapley(game, "exact").values


@dataclass(frozen=True)
class Fared:
    """How results of different games fared.

    Attributes:
        none, exact: how many gave no interval, how many had no error.
        covered, stderr: share of the others' intervals that cover, and its standard error; NaN without any.
        first, certain: share of the others of which all is true that is said of the first three, and how many of these are
            certain.
    """

    none: int
    exact: int
    covered: float
    stderr: float
    first: float
    certain: float


def true_of_first(result: ShapleyResult, truth: Vector, k: int) -> bool:
    """Whether all is true that a result says of the first k; of equal values either may be the larger."""
    top, room = result.top(k), EXACT * float(np.abs(truth).max())
    ordered = np.sort(truth)[::-1]
    among = truth[top.players[top.certain]] >= ordered[k - 1] - room
    needed = np.flatnonzero(truth > ordered[k] + room) if k < len(truth) else np.arange(len(truth))
    return bool(among.all() and np.isin(needed, top.possible).all())


def fared(results: list[ShapleyResult], truths: list[Vector]) -> Fared:
    """Of results of different games with these true values."""
    none = exact = 0
    covered: list[float] = []
    first: list[bool] = []
    certain: list[int] = []
    for result, truth in zip(results, truths, strict=True):
        if not np.isfinite(result.stderr).all():
            none += 1
        elif np.abs(result.values - truth).max() <= EXACT * np.abs(truth).max():
            exact += 1
        else:
            covered.append(float(((result.lower <= truth) & (truth <= result.upper)).mean()))
            first.append(true_of_first(result, truth, FIRST))
            certain.append(int(result.top(FIRST).certain.sum()))
    if not covered:
        return Fared(none, exact, *[float("nan")] * 4)
    spread = float(np.std(covered, ddof=1) / np.sqrt(len(covered))) if len(covered) > 1 else float("nan")
    return Fared(none, exact, float(np.mean(covered)), spread, float(np.mean(first)), float(np.mean(certain)))


@dataclass(frozen=True, eq=False)
class Stages(Rule):
    """Stops nothing, and keeps what it is shown."""

    seen: list[Progress] = field(default_factory=list)

    def met(self, progress: Progress) -> bool:
        """See `Rule`."""
        self.seen.append(progress)
        return False


def kept_word(kind: str, n: int, number: int, targets: Sequence[float]) -> dict[float, tuple[int, int]]:
    """By target: of so many games, how many `TargetError` stops, and how many of these are as near as it says."""
    found = dict.fromkeys(targets, (0, 0))
    for which, (game, truth) in enumerate(games(kind, n, number)):
        stages = Stages()
        ended = shapley(game, budget=100 * n, seed=1, run=which, stop=stages)
        shown = stages.seen + ([Progress((ended,), 100 * n, ended.n_evaluations, 0.0)] if ended.converged else [])
        spread = float(np.linalg.norm(truth - truth.mean()))
        for target, (stopped, near) in found.items():
            # a stage is what it is, whatever rule looks at it
            first = next((at.results[-1] for at in shown if TargetError(target).met(at)), None)
            if first is None:
                continue
            # values that are all the same are reached where they are exact
            allowed = max(target * spread, EXACT * float(np.abs(truth).max()))
            found[target] = stopped + 1, near + int(float(np.linalg.norm(first.values - truth)) <= allowed)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Textbook games: exactness, coverage, stopping rules.")
    parser.add_argument("--games", type=int, default=200, help="games of each kind (default 200)")
    parser.add_argument("--players", type=int, default=12, help="players, at most 16 (default 12)")
    parser.add_argument(
        "--kind", choices=[*KINDS, *OTHERS], nargs="+", default=list(KINDS), help="these kinds; others for checks"
    )
    parser.add_argument("--method", choices=METHODS, nargs="+", default=list(METHODS), help="only by these methods")
    parser.add_argument("--stopping", action="store_true", help="the stopping rule in place of intervals")
    parser.add_argument("--target", type=float, nargs="+", default=list(TARGETS), help="of the stopping rule")
    arguments = parser.parse_args()
    if arguments.games < 2 or not 3 <= arguments.players <= 16:
        parser.error("--games must be at least 2, --players from 3 to 16")
    n, number = arguments.players, arguments.games
    with threadpool_limits(1):
        if arguments.stopping:
            print("| kind | target | stopped | of these within the target |\n| --- | --- | --- | --- |")
            for kind in arguments.kind:
                for target, (stopped, near) in kept_word(kind, n, number, arguments.target).items():
                    share = f"{near / stopped:.3f}" if stopped else "-"
                    print(f"| {kind} | {target} | {stopped} of {number} | {share} |", flush=True)
            return
        print(
            "| kind | method | evaluations | no interval | exact | coverage of the others | ± SE | first 3 true | certain |"
        )
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        for kind in arguments.kind:
            known = list(games(kind, n, number))
            for method in arguments.method:
                for per_player in BUDGETS:
                    results = [
                        shapley(game, method, per_player * n, seed=1, run=which)
                        for which, (game, _) in enumerate(known)
                    ]
                    found = fared(results, [truth for _, truth in known])
                    figures = f"{found.none} | {found.exact} | {found.covered:.3f} | {found.stderr:.3f}"
                    figures += f" | {found.first:.3f} | {found.certain:.1f}"
                    print(f"| {kind} | {method} | {per_player}n | {figures} |", flush=True)


if __name__ == "__main__":
    main()
