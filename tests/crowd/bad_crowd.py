"""A small crowd with bad workers, cut into shards, without Ray."""

from dataclasses import dataclass, replace

import numpy as np

from crowd_sim.crowd.bad import bounds_of, roles_of
from crowd_sim.crowd.cohort import Cohort
from crowd_sim.crowd.facts import informed
from crowd_sim.crowd.passes import fold_parts
from crowd_sim.crowd.population import Population
from crowd_sim.crowd.reduction import fold_shards
from crowd_sim.crowd.shard import Key
from crowd_sim.tournament.groups import Groups
from crowd_sim.tournament.request import RoundRequest

N, N_RUNS, D, K = 53, 2, 4, 3
PEOPLE = Population(np.random.default_rng(7).normal(size=(200, D)), [str(i) for i in range(200)], list("abcd"))
ROWS = np.stack([np.random.default_rng(run).permutation(200)[:N] for run in range(N_RUNS)])
OWN = PEOPLE.vectors[ROWS]
TARGETS = np.random.default_rng(9).normal(size=(N_RUNS, D))


@dataclass(frozen=True)
class Cut:
    """`crowd_sim.crowd.protocol.Crowd` on shards in this process, whose answers come in the wrong order."""

    cohort: Cohort
    shards: list

    def group_sums(self, request):
        parts = [shard.group_sums(request.of(members)) for members, shard in self.shards]
        return fold_shards(parts[::-1], self.cohort.n_chunks)

    def fold(self, request, asked):
        parts = [shard.fold(request.of(members), asked) for members, shard in self.shards]
        return fold_parts(parts[::-1], asked.fold, self.cohort.n_chunks)

    def contributions(self, request, places):
        found = np.empty((*places.shape, D))
        for members, shard in self.shards:
            own = shard.contributions(request.of(members), places)
            found[(places >= members.start) & (places < members.stop)] = own
        return found


def keys():
    return np.full(N_RUNS, 3, dtype=np.uint64), np.arange(N_RUNS, dtype=np.uint64)


def roles(*groups, n=N):
    return roles_of(groups, n, *keys())


def crowd(*groups, n_shards=1, behaviour="honest", chunk_size=4):
    present = roles(*groups)
    key = Key(behaviour, *keys(), bad=groups, n_workers=N, n_bad=bounds_of(groups, N)[-1])
    cohort = Cohort(PEOPLE, present.data(ROWS), chunk_size, key, present)
    shards = [(members, spec.build()) for members, spec in cohort.shards(n_shards)]
    return informed(Cut(cohort, shards), cohort, TARGETS)


def request(number=1, n_groups=K):
    rng = np.random.default_rng(number)
    groups, weights = rng.integers(n_groups, size=(N_RUNS, N)), rng.uniform(size=(N_RUNS, N))
    return RoundRequest(number, rng.normal(size=(N_RUNS, D)), Groups(groups), weights, n_groups)


def given(found, asked):
    return found.contributions(asked, np.tile(np.arange(N), (N_RUNS, 1)))


def with_weights(asked, weights):
    return replace(asked, weights=weights)
