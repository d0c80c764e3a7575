"""CrowdActor: hosts a shard of the crowd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from numpy.typing import NDArray

from crowd_sim.actors.placement import bundle_options
from crowd_sim.actors.pool import Pool, Work
from crowd_sim.actors.run_metrics import RunMetrics
from crowd_sim.crowd.passes import Pass, fold_parts
from crowd_sim.crowd.reduction import PartialSums, fold_shards
from crowd_sim.crowd.shard import ShardSpec
from crowd_sim.tournament.request import RoundRequest, ShardRequest

if TYPE_CHECKING:  # importing the configuration costs an actor a second of its start
    from crowd_sim.config import ActorsConfig
    from crowd_sim.crowd.cohort import Cohort


class CrowdActor:
    """A host of `crowd_sim.crowd.shard.Shard`: built where it lives; vectors stay here, partial sums leave."""

    def __init__(self, origin: ShardSpec) -> None:
        self._shard = origin.build()

    def group_sums(self, call: ShardRequest) -> PartialSums:
        """See `Shard.group_sums`."""
        return self._shard.group_sums(call)

    def fold(self, call: ShardRequest, asked: Pass) -> PartialSums:
        """See `Shard.fold`."""
        return self._shard.fold(call, asked)

    def contributions(self, call: ShardRequest, places: NDArray[np.int64]) -> NDArray[np.float64]:
        """See `Shard.contributions`."""
        return self._shard.contributions(call, places)


class RayCrowd:
    """The crowd service on `CrowdActor` shards. A dead shard is built again of its origin: people's keys and the runs'."""

    def __init__(self, cohort: Cohort, actors: ActorsConfig, measures: RunMetrics) -> None:
        self._n_chunks = cohort.n_chunks
        shards = cohort.shards(actors.crowd.number)
        self._members = [members for members, _ in shards]
        # held here as long as a shard may have to be built again
        held = [ray.put(origin) for _, origin in shards]
        host = ray.remote(CrowdActor)

        def make(shard: int) -> Any:
            return host.options(**bundle_options(actors, "crowd", shard)).remote(held[shard])

        self.pool = Pool("crowd shard", make, len(shards), actors.failures, measures)

    def group_sums(self, request: RoundRequest) -> NDArray[np.float64]:
        """See `crowd_sim.crowd.protocol.Crowd`. The first shards are at work while the groups of the next are dealt."""
        return fold_shards(self._ask("group_sums", request), self._n_chunks)

    def fold(self, request: RoundRequest, asked: Pass) -> NDArray[np.float64]:
        """See `crowd_sim.crowd.protocol.Crowd`."""
        return fold_parts(self._ask("fold", request, asked), asked.fold, self._n_chunks)

    def contributions(self, request: RoundRequest, places: NDArray[np.int64]) -> NDArray[np.float64]:
        """See `crowd_sim.crowd.protocol.Crowd`. Every shard answers for its own workers."""
        found = np.empty((*places.shape, request.models.shape[1]))
        for members, own in zip(self._members, self._ask("contributions", request, places), strict=True):
            found[(places >= members.start) & (places < members.stop)] = own
        return found

    def _ask(self, method: str, request: RoundRequest, *arguments: Any) -> list[Any]:
        works = (
            Work(shard, method, (request.of(members), *arguments), f"round {request.round} of crowd shard {shard}")
            for shard, members in enumerate(self._members)
        )
        return self.pool.gather(works)

    def close(self) -> None:
        """Give the shards' resources back."""
        self.pool.close()
