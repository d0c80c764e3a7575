"""The one failure policy of pools and sweeps: from what has failed, and what had failed before, to what is done. Without Ray.

A bug is never repeated. What dies, loses its node, runs out of memory or hangs is repeated within separate budgets
(`actors.failures`), which count in a row: for an actor since its last answer, for a batch of a sweep since it was first sent.
Work that may be to blame for two failures is quarantined, or halved where it has parts; a lost node is no work's fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from crowd_sim.errors import ClusterError

if TYPE_CHECKING:  # importing the configuration costs an actor a second of its start
    from crowd_sim.config import FailureConfig

PATIENCE = 600.0
"""Seconds without any answer after which the cluster counts as gone."""

POLL = 1.0
"""Seconds between two looks at whether what is awaited is still alive."""

QUARANTINE = 2
"""Failures that one piece of work may be to blame for."""


class Failure(Enum):
    """What became of an actor, or of a batch's process."""

    BUG = "raised an error"
    DEATH = "died"
    NODE = "lost its node"
    MEMORY = "was killed for want of memory"
    HANG = "missed its deadline"

    def said(self, limits: FailureConfig) -> str:
        """As a message says it."""
        return self.value + (f" of {limits.deadline:g} s (actors.failures.deadline)" if self is Failure.HANG else "")


_BUDGETS = {Failure.DEATH: "deaths", Failure.NODE: "nodes", Failure.MEMORY: "memory", Failure.HANG: "hangs"}
"""The fields of `actors.failures`."""


class Decision(Enum):
    """What is done about a failure."""

    RAISE = "raise it at once, with its traceback"
    RETRY = "repeat the work, on a new actor or in a new process"
    SPLIT = "repeat the work in halves"
    QUARANTINE = "name the work, and never try it again"
    GIVE_UP = "say which budget is spent"


@dataclass(frozen=True)
class Past:
    """What has failed in a row.

    Attributes:
        failures: in their order.
        blamed: how many of them the work may be to blame for.
    """

    failures: tuple[Failure, ...] = ()
    blamed: int = 0

    def after(self, failure: Failure, suspect: bool = True) -> Past:
        """With one more failure; `suspect`: whether the work had begun, and may be to blame."""
        return Past((*self.failures, failure), self.blamed + (suspect and failure is not Failure.NODE))

    def of_half(self, divisible: bool) -> Past:
        """Of one half of the work: it answers for all but one of the whole's failures, a single point for its own alone."""
        nodes = tuple(failure for failure in self.failures if failure is Failure.NODE)
        return Past(nodes, max(self.blamed - 1, 0) if divisible else 0)


def decide(
    failure: Failure, past: Past, limits: FailureConfig, *, suspect: bool = True, divisible: bool = False
) -> Decision:
    """What is done about a failure.

    Args:
        failure: what happened now.
        past: what happened before, this failure left out.
        limits: the budgets.
        suspect: whether the work may be to blame.
        divisible: whether it has parts that can be repeated each for itself. Halves may just need less time or memory.
    """
    if failure is Failure.BUG:
        return Decision.RAISE
    now = past.after(failure, suspect)
    spent = now.failures.count(failure) > getattr(limits, _BUDGETS[failure])
    guilty = now.blamed >= QUARANTINE
    if failure is not Failure.NODE:
        if divisible and (spent or guilty or failure is Failure.HANG):
            return Decision.SPLIT
        if guilty:
            return Decision.QUARANTINE
    return Decision.GIVE_UP if spent else Decision.RETRY


def budget_spent(what: str, failure: Failure, limits: FailureConfig, why: str) -> ClusterError:
    """What `Decision.GIVE_UP` raises; names the budget's field."""
    field = _BUDGETS[failure]
    limit = getattr(limits, field)
    first_line = next((line.strip() for line in why.splitlines() if line.strip()), "")[:200]
    return ClusterError(
        f"{what} {failure.said(limits)} {limit + 1} times without an answer in between, more than allowed by "
        f"actors.failures.{field} = {limit} ({first_line})"
    )
