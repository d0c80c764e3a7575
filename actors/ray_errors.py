"""What an error of Ray's tells of, in the words of the failure policy."""

from __future__ import annotations

from ray.exceptions import (
    ActorUnavailableError,
    GetTimeoutError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    WorkerCrashedError,
)

from crowd_sim.actors.failure import Failure
from crowd_sim.errors import ClusterError, InputError, StorageError, StrategyError


def failure_of(error: RayError) -> Failure:
    """The kind of failure; an error in the code that ran is a bug."""
    if isinstance(error, OutOfMemoryError):
        return Failure.MEMORY
    # a node that vanishes leaves its actors unavailable at first; Ray calls them dead only some 15 s later
    if isinstance(error, ActorUnavailableError | NodeDiedError | ObjectLostError | GetTimeoutError):
        return Failure.NODE
    if isinstance(error, RayActorError):
        if error.actor_init_failed:
            return Failure.BUG
        return Failure.NODE if "node" in str(error).partition("died")[2].partition("Worker exit")[0] else Failure.DEATH
    return Failure.DEATH if isinstance(error, WorkerCrashedError) else Failure.BUG


def plain(error: Exception) -> Exception:
    """What is raised of a bug: the domain's own errors as they are, others with their traceback."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, InputError | StrategyError | ClusterError | StorageError) else error
