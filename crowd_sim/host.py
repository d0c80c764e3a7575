"""The protocols between the simulation and whatever runs it, with their in-process versions.

A host opens the services of one simulation. `InProcess` runs all of it in the calling process; `RayHost` runs the
same domain objects in Ray actors. One suite of tests runs against both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.cohort import Cohort
from crowd_sim.crowd.passes import Pass, fold_parts
from crowd_sim.crowd.protocol import Crowd
from crowd_sim.crowd.reduction import fold_shards
from crowd_sim.crowd.shard import Place, Shard
from crowd_sim.tournament.request import RoundRequest
from crowd_sim.valuation.games import Game
from crowd_sim.valuation.request import Chunk, in_process


def nobody(event: str, **details: Any) -> None:
    """Told of events, keeps none."""


def events_of(hosted: Any) -> list[tuple[str, dict[str, Any]]]:
    """What a log should tell of a hosted object since the last call; names, and details."""
    return hosted.take_events() if hasattr(hosted, "take_events") else []


class Trainers(Protocol):
    """Whoever does a learner's device work: each hosts the same object.

    Attributes:
        number: how many there are.
    """

    @property
    def number(self) -> int:
        """How many there are."""

    def gather(self, method: str, calls: Sequence[tuple[Any, ...]], names: Sequence[str]) -> list[Any]:
        """Answers to at most `number` calls of the hosted object's method, in their order; `names` say what they are."""


class Evaluators(Protocol):
    """Whoever evaluates coalitions; holds the games' data."""

    def utilities(self, games: Sequence[int], chunks: Iterable[Chunk]) -> Iterator[NDArray[np.float64]]:
        """For each chunk of m coalitions, in order, the utilities float64[G, m] of the games with these numbers."""


class Host(Protocol):
    """Opens services and closes them on leaving the context."""

    def crowd(self, cohort: Cohort) -> AbstractContextManager[Crowd]:
        """The crowd of B runs."""

    def trainers(self, hosted: Callable[[], Any]) -> AbstractContextManager[Trainers]:
        """Trainers that host what this makes where they are."""

    def generators(self, hosted: Callable[[], Any]) -> AbstractContextManager[Trainers | None]:
        """Others that host the same, to draw outputs; None where the trainers do that."""

    def evaluators(self, games: Sequence[Game]) -> AbstractContextManager[Evaluators]:
        """Evaluators of these games."""


@dataclass(frozen=True)
class LocalCrowd:
    """All chunks in one shard."""

    shard: Shard

    def group_sums(self, request: RoundRequest) -> NDArray[np.float64]:
        """See `Crowd`."""
        return fold_shards([self.shard.group_sums(request.of_everyone())], self.shard.place.n_chunks)

    def fold(self, request: RoundRequest, asked: Pass) -> NDArray[np.float64]:
        """See `Crowd`."""
        return fold_parts([self.shard.fold(request.of_everyone(), asked)], asked.fold, self.shard.place.n_chunks)

    def contributions(self, request: RoundRequest, places: NDArray[np.int64]) -> NDArray[np.float64]:
        """See `Crowd`."""
        return self.shard.contributions(request.of_everyone(), places).reshape(*places.shape, -1)


@dataclass(frozen=True, eq=False)
class LocalTrainers:
    """Works where it is called; `tell` hears of what a log should tell."""

    hosted: Any
    number: int = 1
    tell: Callable[..., Any] = nobody

    def gather(self, method: str, calls: Sequence[tuple[Any, ...]], names: Sequence[str]) -> list[Any]:
        """See `Trainers`."""
        del names
        answers = [getattr(self.hosted, method)(*arguments) for arguments in calls]
        for event, details in events_of(self.hosted):
            self.tell(event, **details)
        return answers


@dataclass(frozen=True)
class LocalEvaluators:
    """Evaluates where it is called."""

    games: Sequence[Game]

    def utilities(self, games: Sequence[int], chunks: Iterable[Chunk]) -> Iterator[NDArray[np.float64]]:
        """See `Evaluators`."""
        return in_process([self.games[g] for g in games])(chunks)


class InProcess:
    """The host without Ray; `tell` hears of what a log should tell."""

    _tell: Callable[..., Any] = staticmethod(nobody)

    def __init__(self, tell: Callable[..., Any] = nobody) -> None:
        self._tell = tell

    def crowd(self, cohort: Cohort) -> AbstractContextManager[Crowd]:
        """See `Host`."""
        vectors, place = cohort.population.vectors, Place(cohort.chunk_size, 0, cohort.n_chunks)
        shard = Shard(vectors, np.arange(len(vectors)), cohort.rows, place, cohort.key, cohort.roles)
        return nullcontext(LocalCrowd(shard))

    def trainers(self, hosted: Callable[[], Any]) -> AbstractContextManager[Trainers]:
        """See `Host`."""
        return nullcontext(LocalTrainers(hosted(), tell=self._tell))

    def generators(self, hosted: Callable[[], Any]) -> AbstractContextManager[Trainers | None]:
        """None."""
        del hosted
        return nullcontext(None)

    def evaluators(self, games: Sequence[Game]) -> AbstractContextManager[Evaluators]:
        """See `Host`."""
        return nullcontext(LocalEvaluators(games))
