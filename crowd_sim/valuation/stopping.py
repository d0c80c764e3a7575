"""When to stop: rules that look at the stages of a valuation, and may be joined with ``&`` and ``|``.

>>> rule = TargetError(relative=0.02) & RankStability(top=10) | MaxEvaluations(50_000)

A rule sees only complete stages in their order, never what has happened to arrive: but for `MaxTime`, a valuation
stops at the same place on any number of evaluators.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.valuation.result import NORMAL_95, ShapleyResult
from crowd_sim.valuation.validation import integer


@dataclass(frozen=True, eq=False)
class Progress:
    """A valuation after its latest stage.

    Attributes:
        results: of the complete stages, in their order; at least one.
        budget: that of the latest stage.
        evaluations: utilities evaluated by then, each coalition once, those of an earlier result included; what was asked
            again to see that it is the same game tells nothing new, and does not count here.
        seconds: since this valuation began; an earlier result's are not in it.
        differ: whether any two of these utilities do; else all that was evaluated is one number.
    """

    results: tuple[ShapleyResult, ...]
    budget: int
    evaluations: int
    seconds: float
    differ: bool = True


class Rule(ABC):
    """Says after each stage whether the valuation may stop.

    A user-defined rule needs `met`, a function of the progress alone; it is deterministic as long as it leaves
    ``seconds`` alone.
    """

    @abstractmethod
    def met(self, progress: Progress) -> bool:
        """Whether the valuation may stop here."""

    def converged(self, progress: Progress) -> bool:
        """Whether it is good enough here, and not merely cut off by a limit."""
        return self.met(progress)

    def most(self) -> float:
        """The budget at which the rule is met for certain: no stage is longer."""
        return math.inf

    def check(self, n_players: int) -> None:  # noqa: B027 - most are for any game
        """Refuse a game of ``n_players`` that the rule cannot be for.

        Raises:
            InputError: it is one.
        """

    def __and__(self, other: Rule) -> Rule:
        return Both(self, other)

    def __or__(self, other: Rule) -> Rule:
        return Either(self, other)

    def __bool__(self) -> bool:  # else `and` and `or` would silently keep one of two
        raise InputError("stop", None, "rules are joined with & and |, not with `and` and `or`")


@dataclass(frozen=True)
class Both(Rule):
    """``one & other``: met where both are; converged where, besides, one of them is."""

    one: Rule
    other: Rule

    def __post_init__(self) -> None:
        checked_rule(self.one)
        checked_rule(self.other)

    def met(self, progress: Progress) -> bool:
        """See `Rule`."""
        return self.one.met(progress) and self.other.met(progress)

    def converged(self, progress: Progress) -> bool:
        """See `Rule`."""
        return self.met(progress) and (self.one.converged(progress) or self.other.converged(progress))

    def check(self, n_players: int) -> None:
        """See `Rule`."""
        self.one.check(n_players)
        self.other.check(n_players)

    def most(self) -> float:
        """See `Rule`."""
        return max(self.one.most(), self.other.most())


@dataclass(frozen=True)
class Either(Rule):
    """``one | other``: met where one is, converged where one is."""

    one: Rule
    other: Rule

    def __post_init__(self) -> None:
        checked_rule(self.one)
        checked_rule(self.other)

    def met(self, progress: Progress) -> bool:
        """See `Rule`."""
        return self.one.met(progress) or self.other.met(progress)

    def converged(self, progress: Progress) -> bool:
        """See `Rule`."""
        return self.one.converged(progress) or self.other.converged(progress)

    def check(self, n_players: int) -> None:
        """See `Rule`."""
        self.one.check(n_players)
        self.other.check(n_players)

    def most(self) -> float:
        """See `Rule`."""
        return min(self.one.most(), self.other.most())


@dataclass(frozen=True)
class MaxEvaluations(Rule):
    """A budget of ``n``: the stage that would pass it is cut short. Joined by ``&`` it means at least ``n`` evaluations.

    A limit: a valuation it stops has not converged. It binds all stages together, as the budget does.
    """

    n: int

    def __post_init__(self) -> None:
        integer("MaxEvaluations.n", self.n, 1)

    def met(self, progress: Progress) -> bool:
        """See `Rule`."""
        return progress.evaluations >= self.n or progress.budget >= self.n

    def converged(self, progress: Progress) -> bool:  # noqa: ARG002 - a limit never says so
        """See `Rule`."""
        return False

    def most(self) -> float:
        """See `Rule`."""
        return self.n


@dataclass(frozen=True)
class MaxTime(Rule):
    """No further stage once ``seconds`` have passed; the stage then running is finished, and it is the longest.

    The one rule that is not deterministic: the same valuation may stop at another stage next time. A limit: a
    valuation it stops has not converged.
    """

    seconds: float

    def __post_init__(self) -> None:
        _at_least_zero("MaxTime.seconds", self.seconds)

    def met(self, progress: Progress) -> bool:
        """See `Rule`."""
        return progress.seconds >= self.seconds

    def converged(self, progress: Progress) -> bool:  # noqa: ARG002 - a limit never says so
        """See `Rule`."""
        return False


@dataclass(frozen=True)
class TargetError(Rule):
    """The error is small with 95 % confidence: 1.96 √Σ stderr² ≤ relative · ‖values − mean(values)‖, or ≤ ``absolute``.

    The error is ‖values − true values‖. Where the players' errors all move together its square is that of one normal number,
    whose 95 % quantile is 1.96² times its mean; where they do not, it is nearer to its mean, and the rule is on the safe side.

    Values that are all the same have no norm to be relative to: then it is met where the error is 0 or the values'
    rounding. Where all that was evaluated is one number, as of a constant game, there is no standard error either: of c
    coalitions that agree one in c + 2 may be worth something else, and the rule is met where that is at most ``relative``.
    Never met where they are NaN for another reason. An early stage knows its error bars roughly: a rule that must not stop
    by luck is joined with another, ``TargetError(0.01) & MaxEvaluations(1000)``.

    Attributes:
        relative: share of the norm of the centred values; 0 where only ``absolute`` counts.
        absolute: in the units of the utility.
    """

    relative: float = 0.01
    absolute: float = 0.0

    def __post_init__(self) -> None:
        _at_least_zero("TargetError.relative", self.relative)
        _at_least_zero("TargetError.absolute", self.absolute)
        if not self.relative and not self.absolute:
            raise InputError("TargetError.relative", self.relative, "must be above 0 where no absolute error is given")

    def met(self, progress: Progress) -> bool:
        """See `Rule`."""
        latest = progress.results[-1]
        if not progress.differ:
            return 1.0 / (progress.evaluations + 2) <= self.relative
        error = NORMAL_95 * float(np.sqrt((latest.stderr**2).sum()))
        norm = float(np.sqrt(((latest.values - latest.values.mean()) ** 2).sum()))
        rounding = 1e-12 * float(np.abs(latest.values).max())
        return error <= max(self.relative * norm, self.absolute, rounding)


@dataclass(frozen=True)
class RankStability(Rule):
    """The ranking has settled: Spearman's correlation of each two consecutive stages is at least ``threshold``.

    A stage extends the one before it, so that two of them agree more than two independent valuations would.

    Attributes:
        top: only the ``top`` best count: all others share the rank behind them. ``None``: everyone counts.
        stages: over how many of the latest stages.
        threshold: in [−1, 1].
    """

    top: int | None = None
    stages: int = 2
    threshold: float = 0.99

    def __post_init__(self) -> None:
        if self.top is not None:
            integer("RankStability.top", self.top, 1)
        integer("RankStability.stages", self.stages, 2)
        if not -1.0 <= self.threshold <= 1.0:
            raise InputError("RankStability.threshold", self.threshold, "must be in [-1, 1]")

    def check(self, n_players: int) -> None:
        """See `Rule`."""
        if self.top is not None and self.top > n_players:
            raise InputError("RankStability.top", self.top, f"must be at most {n_players}, the number of players")

    def met(self, progress: Progress) -> bool:
        """See `Rule`."""
        if len(progress.results) < self.stages:
            return False
        ranks = [self._ranks(result.values) for result in progress.results[-self.stages :]]
        return all(_correlation(a, b) >= self.threshold for a, b in itertools.pairwise(ranks))

    def _ranks(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        ranks = _mean_ranks(values)
        return ranks if self.top is None else np.minimum(ranks, self.top + 1.0)


def checked_rule(rule: Rule) -> Rule:
    """``rule``.

    Raises:
        InputError: it is not one.
    """
    if not isinstance(rule, Rule):
        raise InputError("stop", rule, "must be a rule such as TargetError(0.01), or several joined with & and |")
    return rule


def _mean_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 for the best; equal ones share the mean of their ranks."""
    _, place, counts = np.unique(-values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - 0.5 * (counts - 1))[place]


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Pearson's correlation; of equal vectors 1, with a constant one otherwise 0."""
    if np.array_equal(a, b):
        return 1.0
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 0.0 else 0.0


def _at_least_zero(field: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < math.inf:
        raise InputError(field, value, "must be a number of at least 0")
