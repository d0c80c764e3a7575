"""One failure policy: what kind of failure it was, how many of each kind are made good, and what a message says of it.

A bug is never repeated: it comes back at once with its traceback. What dies, is lost, runs out of memory or hangs is made good
within separate budgets, which count for one actor, from its last answer on. Work that has killed two actors is quarantined: it
is not tried a third time, and the error names it.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import TYPE_CHECKING

from ray.exceptions import (
    ActorUnavailableError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    WorkerCrashedError,
)

from crowd_sim.errors import ClusterError, InputError, StrategyError

if TYPE_CHECKING:  # importing the configuration costs an actor a second of its start
    from crowd_sim.config import FailureConfig

PATIENCE = 600.0
"""Seconds without any answer after which the cluster counts as gone."""

POLL = 1.0
"""Seconds between two looks at whether what is awaited is still alive."""

QUARANTINE = 2
"""Actors that one piece of work may kill."""


class Failure(Enum):
    """What became of an actor."""

    DEATH = "died"
    NODE = "lost its node"
    MEMORY = "was killed for want of memory"
    HANG = "missed its deadline"


class QuarantinedError(ClusterError):
    """Work that killed as many actors as it may; the message names it."""


def failure_of(error: Exception) -> Failure | None:
    """The kind of failure that an error of Ray's tells of; None: an error in the code that ran."""
    if isinstance(error, OutOfMemoryError):
        return Failure.MEMORY
    # a node that vanishes leaves its actors unavailable at first; Ray calls them dead only some 15 s later
    if isinstance(error, ActorUnavailableError | NodeDiedError | ObjectLostError):
        return Failure.NODE
    if isinstance(error, RayActorError):
        if error.actor_init_failed:
            return None
        return Failure.NODE if "node" in str(error).partition("died")[2].partition("Worker exit")[0] else Failure.DEATH
    return Failure.DEATH if isinstance(error, WorkerCrashedError) else None


def plain(error: Exception) -> Exception:
    """What is raised where a call has failed by a bug: the domain's own errors as they are, others with their traceback."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, InputError | StrategyError | ClusterError) else error


class Budget:
    """What may still fail, actor by actor and kind by kind."""

    def __init__(self, what: str, limits: FailureConfig) -> None:
        self._what, self._deadline = what, limits.deadline
        self._limits = {
            Failure.DEATH: limits.deaths,
            Failure.NODE: limits.nodes,
            Failure.MEMORY: limits.memory,
            Failure.HANG: limits.hangs,
        }
        self._spent: Counter[tuple[int, Failure]] = Counter()
        self._killed: Counter[str] = Counter()

    def charge(self, member: int, failure: Failure, why: str) -> None:
        """Count a failure of an actor.

        Raises:
            ClusterError: it is one too many.
        """
        self._spent[member, failure] += 1
        limit = self._limits[failure]
        if self._spent[member, failure] > limit:
            raise ClusterError(
                f"{self._what} {member} {self._became(failure)} {limit + 1} times without an answer in between, more than "
                f"allowed ({_first_line(why)})"
            )

    def blame(self, work: str, failure: Failure) -> None:
        """Count an actor that failed at this work.

        Raises:
            QuarantinedError: the work has killed as many as it may. Losing a node is no work's fault.
        """
        if failure is not Failure.NODE:
            self._killed[work] += 1
            if self._killed[work] >= QUARANTINE:
                raise QuarantinedError(
                    f"{work} is quarantined: {self._what} {self._became(failure)} at it {QUARANTINE} times"
                )

    def answered(self, member: int, work: str) -> None:
        """An actor has answered: its count begins anew."""
        if self._spent:
            for failure in Failure:
                self._spent.pop((member, failure), None)
            self._killed.pop(work, None)

    def _became(self, failure: Failure) -> str:
        return failure.value + (
            f" of {self._deadline:g} s (actors.failures.deadline)" if failure is Failure.HANG else ""
        )


def _first_line(why: str) -> str:
    return next((line.strip() for line in why.splitlines() if line.strip()), "")[:200]
