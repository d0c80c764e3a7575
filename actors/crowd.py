"""CrowdActor: hosts a shard of the crowd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from numpy.typing import NDArray

from actors.measures import Measures
from actors.pool import Pool, Work
from actors.resources import place_of
from crowd_sim.crowd.folding import Subtrees, fold_shards
from crowd_sim.crowd.shard import Call, Origin, Request

if TYPE_CHECKING:  # importing the configuration costs an actor a second of its start
    from crowd_sim.config import ActorsConfig
    from crowd_sim.crowd.employed import Employed


class CrowdActor:
    """A host of `crowd_sim.crowd.shard.Shard`: built where it lives; vectors stay here, partial sums leave."""

    def __init__(self, origin: Origin) -> None:
        self._shard = origin.build()

    def group_sums(self, call: Call) -> Subtrees:
        """See `Shard.group_sums`."""
        return self._shard.group_sums(call)


class RayCrowd:
    """The crowd service on `CrowdActor` shards. A dead shard is built again of its origin: people's keys and the runs'."""

    def __init__(self, employed: Employed, actors: ActorsConfig, measures: Measures) -> None:
        self._n_chunks = employed.n_chunks
        shards = employed.shards(actors.crowd.number)
        self._members = [members for members, _ in shards]
        # held here as long as a shard may have to be built again
        held = [ray.put(origin) for _, origin in shards]
        host = ray.remote(CrowdActor)

        def make(shard: int) -> Any:
            return host.options(**place_of(actors, "crowd", shard)).remote(held[shard])

        self.pool = Pool("crowd shard", make, len(shards), actors.failures, measures)

    def group_sums(self, request: Request) -> NDArray[np.float64]:
        """See `crowd_sim.services.Crowd`. The first shards are at work while the groups of the next are dealt."""
        works = (
            Work(shard, "group_sums", (request.of(members),), f"round {request.round} of crowd shard {shard}")
            for shard, members in enumerate(self._members)
        )
        return fold_shards(self.pool.gather(works), self._n_chunks)

    def close(self) -> None:
        """Give the shards' resources back."""
        self.pool.close()
