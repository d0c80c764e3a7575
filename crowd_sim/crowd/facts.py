"""What bad workers know about the crowd: found out by passes over what honest workers contribute, before the bad act.

Moments and ranges are folded over the whole crowd, a sample is gathered by the smallest keyed draws, in order of place, and
what has to be searched for is searched for once, in the manager. Nothing depends on how the crowd is cut into shards, and a
few times d numbers travel to them. Where honest workers contribute the same in every round, they are asked once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.bad import Roles
from crowd_sim.crowd.behaviours import HONEST
from crowd_sim.crowd.cohort import Cohort
from crowd_sim.crowd.passes import Contributed, Fold, Pass
from crowd_sim.crowd.protocol import Crowd
from crowd_sim.linear_algebra import product, times
from crowd_sim.random import Purpose, uniforms
from crowd_sim.tournament.request import RoundRequest

SAMPLE = 256
"""Honest workers at most who are looked at one by one."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over honest workers of x − shift and of its squares: [2, d].

    Attributes:
        shift: float64[B, d], for precision: near the mean.
    """

    shift: NDArray[np.float64]
    fold: Fold = "add"

    def of(self, part: Contributed) -> NDArray[np.float64]:
        """See `crowd_sim.crowd.passes.Pass`."""
        out = np.zeros((part.n_chunks, 2, part.given.shape[1]))
        _add_moments(part.given, part.bad, self.shift[part.run], part.chunk_size, out)
        return out


@dataclass(frozen=True, eq=False)
class Range:
    """Minima of x and of −x over honest workers: [2, d]."""

    fold: Fold = "minimum"

    def of(self, part: Contributed) -> NDArray[np.float64]:
        """See `crowd_sim.crowd.passes.Pass`."""
        out = np.full((part.n_chunks, 2, part.given.shape[1]), np.inf)
        _lower(part.given, part.bad, part.chunk_size, out)
        return out


@dataclass(frozen=True, eq=False)
class Known:
    """What is known to everyone who may ask.

    Attributes:
        roles: who is bad.
        seeds, runs: uint64[B], the keys of the runs' random streams.
        targets: float64[B, d].
    """

    roles: Roles
    seeds: NDArray[np.uint64]
    runs: NDArray[np.uint64]
    targets: NDArray[np.float64]


class _Findings:
    """The facts of one round; each is found out when it, or another that needs it, is asked for."""

    def __init__(self, known: Known, crowd: Crowd, request: RoundRequest) -> None:
        self._known, self._crowd, self._request = known, crowd, request
        self._honest = ~known.roles.bad

    @cached_property
    def _range(self) -> NDArray[np.float64]:
        return self._crowd.fold(self._request, Range())

    @cached_property
    def _moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        shift = self._known.targets  # near the crowd, and the same in every round
        sums = self._crowd.fold(self._request, Moments(shift))
        means = sums / self._honest.sum(axis=1)[:, None, None]
        return shift + means[:, 0], np.sqrt(np.maximum(means[:, 1] - means[:, 0] ** 2, 0.0))

    @cached_property
    def _sample(self) -> NDArray[np.float64]:
        size = int(min(SAMPLE, self._honest.sum(axis=1).min()))
        draws = uniforms(self._known.seeds, self._known.runs, 0, Purpose.BAD_SAMPLE, self._honest.shape[1])
        draws[~self._honest] = 2.0
        chosen = np.sort(np.argsort(draws, axis=1, kind="stable")[:, :size], axis=1)
        return self._crowd.contributions(self._request, chosen)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Of honest contributions: float64[B, d]."""
        return self._moments[0]

    @property
    def sd(self) -> NDArray[np.float64]:
        """Standard deviation of honest contributions: float64[B, d]."""
        return self._moments[1]

    @property
    def low(self) -> NDArray[np.float64]:
        """Least of honest contributions: float64[B, d]."""
        return self._range[:, 0]

    @property
    def high(self) -> NDArray[np.float64]:
        """Largest of honest contributions: float64[B, d]."""
        return -self._range[:, 1]

    @property
    def target(self) -> NDArray[np.float64]:
        """float64[B, d]."""
        return self._known.targets

    @property
    def corner(self) -> NDArray[np.float64]:
        """In each coordinate the end of the honest range that is farther from the target: float64[B, d]."""
        low, high = self.low, self.high
        return np.where(self.target - low > high - self.target, low, high)

    @property
    def away(self) -> NDArray[np.float64]:
        """From the target through the honest mean, as long as honest workers are spread: float64[B, d]."""
        direction = self.mean - self.target
        length = np.sqrt((direction**2).sum(axis=1, keepdims=True))
        spread = np.sqrt((self.sd**2).sum(axis=1, keepdims=True))
        return spread * np.divide(direction, length, out=np.zeros_like(direction), where=length > 0)

    @property
    def false_target(self) -> NDArray[np.float64]:
        """A point of the honest range, drawn once for a run: float64[B, d]."""
        drawn = uniforms(self._known.seeds, self._known.runs, 0, Purpose.BAD_SAMPLE, self.low.shape[1], chunk=1)
        return self.low + (self.high - self.low) * drawn

    @property
    def mimic(self) -> NDArray[np.float64]:
        """The contribution in the sample that is farthest from the target: float64[B, d]."""
        away = ((self._sample - self.target[:, None]) ** 2).sum(axis=2)
        return np.take_along_axis(self._sample, away.argmax(axis=1)[:, None, None], axis=1)[:, 0]

    @property
    def min_max(self) -> NDArray[np.float64]:
        """γ × `adverse_sd`, see `crowd_sim.crowd.behaviours.min_max`: float64[B, d]."""
        gammas = map(_largest, self._sample, self.mean, self.adverse_sd)
        return np.array(list(gammas))[:, None] * self.adverse_sd

    @property
    def adverse_sd(self) -> NDArray[np.float64]:
        """The standard deviation, below 0 where the target is below the mean: float64[B, d]; to be taken from the mean."""
        return np.where(self.target < self.mean, -self.sd, self.sd)

    @property
    def median_weight(self) -> NDArray[np.float64]:
        """Of all workers: float64[B]."""
        return np.median(self._request.weights, axis=1)


FACTS = frozenset(name for name, value in vars(_Findings).items() if isinstance(value, property))
"""Names of the facts that behaviours may need."""

EACH_ROUND = frozenset({"median_weight"})
"""Facts that are of the round, however constant the crowd is."""


@dataclass(eq=False)
class FactFinder:
    """Finds out what bad workers know, once a round or once for all rounds.

    Attributes:
        known: what is known anyway.
        wanted: names of facts.
        lasting: whether honest workers contribute the same in every round.
    """

    known: Known
    wanted: Collection[str]
    lasting: bool
    _kept: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    _round: int = 0

    def facts(self, crowd: Crowd, request: RoundRequest) -> Mapping[str, NDArray[np.float64]]:
        """The facts of the request's round: float64[B, ...] by name."""
        if request.round != self._round:
            self._round = request.round
            self._kept = {name: fact for name, fact in self._kept.items() if self.lasting and name not in EACH_ROUND}
        findings = _Findings(self.known, crowd, replace(request, before_bad=True))
        for name in sorted(self.wanted):
            if name not in self._kept:
                self._kept[name] = getattr(findings, name)
        return self._kept


@dataclass(frozen=True, eq=False)
class InformedCrowd:
    """See `crowd_sim.crowd.protocol.Crowd`: a crowd whose bad workers know what they need in whatever is asked of it.

    Attributes:
        crowd: the crowd.
        finder: of the facts.
    """

    crowd: Crowd
    finder: FactFinder

    def group_sums(self, request: RoundRequest) -> NDArray[np.float64]:
        """See `crowd_sim.crowd.protocol.Crowd`."""
        return self.crowd.group_sums(self._informed(request))

    def fold(self, request: RoundRequest, asked: Pass) -> NDArray[np.float64]:
        """See `crowd_sim.crowd.protocol.Crowd`."""
        return self.crowd.fold(self._informed(request), asked)

    def contributions(self, request: RoundRequest, places: NDArray[np.int64]) -> NDArray[np.float64]:
        """See `crowd_sim.crowd.protocol.Crowd`."""
        return self.crowd.contributions(self._informed(request), places)

    def _informed(self, request: RoundRequest) -> RoundRequest:
        return replace(request, facts=self.finder.facts(self.crowd, request))


def informed(crowd: Crowd, cohort: Cohort, targets: NDArray[np.float64]) -> Crowd:
    """The crowd, whose bad workers learn what their behaviours need; `targets` float64[B, d]."""
    key, wanted = cohort.key, {name for group in cohort.key.bad for name in group.needs}
    if cohort.roles is None or not wanted:
        return crowd
    known = Known(cohort.roles, key.seeds, key.runs, targets)
    return InformedCrowd(crowd, FactFinder(known, wanted, lasting=key.behaviour == HONEST))


def _largest(sample: NDArray[np.float64], mean: NDArray[np.float64], sd: NDArray[np.float64]) -> float:
    """The largest γ with max_i ‖mean − γ sd − x_i‖ ≤ max_ij ‖x_i − x_j‖, the least root of a square equation for each i."""
    squares = (sample**2).sum(axis=1)
    farthest = max(float((squares[:, None] + squares - 2 * product(sample, sample.T.copy())).max()), 0.0)
    length = float((sd * sd).sum())
    if length == 0:
        return 0.0
    apart = mean - sample
    along, rest = times(apart, sd), farthest - (apart**2).sum(axis=1)
    roots = (along + np.sqrt(np.maximum(along**2 + length * rest, 0.0))) / length
    return max(float(roots.min()), 0.0)


@numba.njit(cache=True)
def _add_moments(
    given: NDArray[np.float64],
    bad: NDArray[np.bool_],
    shift: NDArray[np.float64],
    chunk_size: int,
    out: NDArray[np.float64],
) -> None:
    for i in range(given.shape[0]):
        if not bad[i]:
            total = out[i // chunk_size]
            for j in range(given.shape[1]):
                away = given[i, j] - shift[j]
                total[0, j] += away
                total[1, j] += away * away


@numba.njit(cache=True)
def _lower(given: NDArray[np.float64], bad: NDArray[np.bool_], chunk_size: int, out: NDArray[np.float64]) -> None:
    for i in range(given.shape[0]):
        if not bad[i]:
            least = out[i // chunk_size]
            for j in range(given.shape[1]):
                least[0, j] = min(least[0, j], given[i, j])
                least[1, j] = min(least[1, j], -given[i, j])
