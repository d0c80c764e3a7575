"""The protocols between the simulation and whatever runs it, with their in-process versions.

A host opens the services of one simulation. `InProcess` runs all of it in the calling process; `RayHost` runs the
same domain objects in Ray actors. One suite of tests runs against both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.cohort import Cohort
from crowd_sim.crowd.reduction import fold_shards
from crowd_sim.crowd.shard import Place, Shard
from crowd_sim.tasks import vector
from crowd_sim.tournament.request import RoundRequest
from crowd_sim.valuation.games import Game
from crowd_sim.valuation.request import Chunk, in_process


class Crowd(Protocol):
    """The workers of B runs."""

    def group_sums(self, request: RoundRequest) -> NDArray[np.float64]:
        """Weighted sums of the members' contributions and, in the last column, of their weights: float64[B, K, d + 1]."""


class Trainers(Protocol):
    """Whoever makes candidates."""

    def tune(
        self, models: NDArray[np.float64], group_sums: NDArray[np.float64], step: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """float64[B, d], float64[B, K, d + 1], float64[B] → candidates float64[B, K, d]."""


class Evaluators(Protocol):
    """Whoever evaluates coalitions; holds the games' data."""

    def utilities(self, games: Sequence[int], chunks: Iterable[Chunk]) -> Iterator[NDArray[np.float64]]:
        """For each chunk of m coalitions, in order, the utilities float64[G, m] of the games with these numbers."""


class Host(Protocol):
    """Opens services and closes them on leaving the context."""

    def crowd(self, cohort: Cohort) -> AbstractContextManager[Crowd]:
        """The crowd of B runs."""

    def trainers(self) -> AbstractContextManager[Trainers]:
        """Trainers of vector candidates."""

    def evaluators(self, games: Sequence[Game]) -> AbstractContextManager[Evaluators]:
        """Evaluators of these games."""


@dataclass(frozen=True)
class LocalCrowd:
    """All chunks in one shard."""

    shard: Shard

    def group_sums(self, request: RoundRequest) -> NDArray[np.float64]:
        """See `Crowd`."""
        return fold_shards([self.shard.group_sums(request.of_everyone())], self.shard.place.n_chunks)


class LocalTrainers:
    """Makes candidates where it is called."""

    def tune(
        self, models: NDArray[np.float64], group_sums: NDArray[np.float64], step: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Trainers`."""
        return vector.tune(models, group_sums, step)


@dataclass(frozen=True)
class LocalEvaluators:
    """Evaluates where it is called."""

    games: Sequence[Game]

    def utilities(self, games: Sequence[int], chunks: Iterable[Chunk]) -> Iterator[NDArray[np.float64]]:
        """See `Evaluators`."""
        return in_process([self.games[g] for g in games])(chunks)


class InProcess:
    """The host without Ray."""

    def crowd(self, cohort: Cohort) -> AbstractContextManager[Crowd]:
        """See `Host`."""
        vectors, place = cohort.population.vectors, Place(cohort.chunk_size, 0, cohort.n_chunks)
        return nullcontext(LocalCrowd(Shard(vectors, np.arange(len(vectors)), cohort.rows, place, cohort.key)))

    def trainers(self) -> AbstractContextManager[Trainers]:
        """See `Host`."""
        return nullcontext(LocalTrainers())

    def evaluators(self, games: Sequence[Game]) -> AbstractContextManager[Evaluators]:
        """See `Host`."""
        return nullcontext(LocalEvaluators(games))
