"""Who is bad, when, and which accounts are of one operator.

Every run has one keyed order of its n places; the bad are its first ones, group by group. So the bad of a smaller share are
among those of a larger one, and nothing else of the configuration moves them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.behaviours import BAD_BEHAVIOURS, Members, contributions, normal
from crowd_sim.crowd.behaviours.base import Behaviour
from crowd_sim.random import Purpose, uniforms, uniforms_of_chunks

FIELD = "crowd.bad.behaviour"

_FUNCTIONS: dict[str, Behaviour] = {name: behaviour.function for name, behaviour in BAD_BEHAVIOURS.items()}


@dataclass(frozen=True)
class BadGroup:
    """Workers who are bad in the same way; see `crowd_sim.config.bad.BadConfig`.

    Attributes:
        behaviour: a name in `BAD_BEHAVIOURS` or ``package.module:Name``.
        share: of all workers.
        strength: the behaviour's own scale; absent: the behaviour's default.
        start, stop: first and last round in which they act; absent: to the end.
        period: they act for so many rounds, then rest for as many; absent: they never rest.
        identities: accounts of each operator.
        jitter: standard deviation of the noise on what they contribute.
        fresh: whether that noise is drawn anew in every round.
    """

    behaviour: str
    share: float
    strength: float | None = None
    start: int = 1
    stop: int | None = None
    period: int | None = None
    identities: int = 1
    jitter: float = 0.0
    fresh: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the facts that the behaviour looks at."""
        return BAD_BEHAVIOURS[self.behaviour].needs if self.behaviour in BAD_BEHAVIOURS else ()

    def acts(self, number: int) -> bool:
        """Whether the behaviour acts in this round; in others its workers contribute their own vectors."""
        if number < self.start or (self.stop is not None and number > self.stop):
            return False
        return self.period is None or (number - self.start) // self.period % 2 == 0

    def is_alike(self, number: int) -> bool:
        """Whether all contribute the same in this round, so that to ask one of them is enough."""
        known = BAD_BEHAVIOURS.get(self.behaviour)
        return known is not None and known.alike and not self.jitter and self.acts(number)

    @property
    def scale(self) -> float:
        """The strength, or the behaviour's default."""
        if self.strength is not None:
            return self.strength
        return BAD_BEHAVIOURS[self.behaviour].strength if self.behaviour in BAD_BEHAVIOURS else 1.0


@dataclass(frozen=True, eq=False)
class Roles:
    """The roles of n workers in B runs.

    Attributes:
        groups: int16[B, n], number of the worker's group of bad workers; −1: honest.
        operators: int64[B, n], the place of the first account of the worker's operator; of who has one account its own.
    """

    groups: NDArray[np.int16]
    operators: NDArray[np.int64]

    @property
    def bad(self) -> NDArray[np.bool_]:
        """bool[B, n]."""
        return self.groups >= 0

    def of(self, workers: slice) -> Roles:
        """The roles of some of the workers."""
        return Roles(self.groups[:, workers], self.operators[:, workers])

    def data(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Whose data the workers have, where each operator has one worker's: int64[B, n] of int64[B, n]."""
        return np.take_along_axis(rows, self.operators, axis=1)


def bounds_of(groups: Sequence[BadGroup], n_workers: int) -> list[int]:
    """Where in the order each group ends: the sums of shares × n, rounded, halves up."""
    return [int(total * n_workers + 0.5) for total in np.cumsum([group.share for group in groups]).tolist()]


def roles_of(groups: Sequence[BadGroup], n_workers: int, seeds: NDArray[np.uint64], runs: NDArray[np.uint64]) -> Roles:
    """Who is bad in runs of these keys, uint64[B] each."""
    n_runs = len(seeds)
    order = np.argsort(uniforms(seeds, runs, 0, Purpose.BAD, n_workers), axis=1, kind="stable")
    found = np.full((n_runs, n_workers), -1, dtype=np.int16)
    operators = np.tile(np.arange(n_workers), (n_runs, 1))
    start = 0
    for number, (group, stop) in enumerate(zip(groups, bounds_of(groups, n_workers), strict=True)):
        own = order[:, start:stop]
        np.put_along_axis(found, own, np.int16(number), axis=1)
        if group.identities > 1:
            first = np.arange(stop - start) // group.identities * group.identities
            np.put_along_axis(operators, own, own[:, first], axis=1)
        start = stop
    return Roles(found, operators)


def contributed(group: BadGroup, members: Members, accounts: NDArray[np.int64]) -> NDArray[np.float64]:
    """What members of a group contribute to a round: float64[m, d].

    Args:
        group: theirs.
        members: places and data are those of the operator's first account.
        accounts: int64[m], the members' own places.

    Raises:
        StrategyError, InputError: as `crowd_sim.crowd.behaviours.contributions`.
    """
    given = members.vectors
    if group.acts(members.round) and len(accounts):
        given = np.ascontiguousarray(contributions(group.behaviour, members, _FUNCTIONS, FIELD))
    if group.jitter:
        number = members.round if group.fresh else 0
        drawn = uniforms_of_chunks(members.seed, members.run, number, Purpose.JITTER, accounts, given.shape[1])
        return given + group.jitter * normal(drawn)
    return given
