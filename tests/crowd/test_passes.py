"""Passes over contributions: the same bits however a crowd is cut, and what they say is right."""

from dataclasses import dataclass

import numpy as np
import pytest

from crowd_sim.crowd.behaviours import per_shard
from crowd_sim.crowd.cohort import Cohort
from crowd_sim.crowd.passes import fold_parts
from crowd_sim.crowd.population import Population
from crowd_sim.crowd.shard import Key
from crowd_sim.tournament.groups import Groups
from crowd_sim.tournament.request import RoundRequest

N, N_RUNS, D, K = 53, 3, 4, 5


@dataclass(frozen=True)
class Distances:
    """Of contributions to a centre, per group: what a geometric median asks."""

    centres: np.ndarray
    fold: str = "add"

    def of(self, part):
        away = np.linalg.norm(part.given - self.centres[part.run], axis=1)
        return part.sums(np.column_stack([away, part.weights * away]))


@dataclass(frozen=True)
class Extremes:
    fold: str

    def of(self, part):
        ends = [getattr(np, self.fold)(0, 0)] * part.n_chunks
        for chunk in range(part.n_chunks):
            rows = part.given[chunk * part.chunk_size : (chunk + 1) * part.chunk_size]
            ends[chunk] = getattr(np, self.fold).reduce(rows, axis=0)
        return np.stack(ends)


@per_shard
def shifted(members):
    """Everyone's vector, moved by a fact of its run and a draw of its own."""
    return members.vectors + members.facts["shift"] + members.uniforms(1)


def crowd(behaviour, n_shards):
    rng = np.random.default_rng(7)
    people = Population(rng.normal(size=(200, D)), [str(i) for i in range(200)], list("abcd"))
    rows = np.stack([rng.permutation(200)[:N] for _ in range(N_RUNS)])
    key = Key(behaviour, np.full(N_RUNS, 3, dtype=np.uint64), np.arange(N_RUNS, dtype=np.uint64))
    cohort = Cohort(people, rows, 4, key)
    groups, weights = rng.integers(K, size=(N_RUNS, N)), rng.uniform(size=(N_RUNS, N))
    facts = {"shift": rng.normal(size=(N_RUNS, D))}
    request = RoundRequest(2, rng.normal(size=(N_RUNS, D)), Groups(groups), weights, K, facts)
    return people.vectors[rows], cohort, [(m, spec.build()) for m, spec in cohort.shards(n_shards)], request


def fold(cohort, shards, request, asked):
    return fold_parts([shard.fold(request.of(m), asked) for m, shard in shards], asked.fold, cohort.n_chunks)


@pytest.mark.parametrize("behaviour", ["honest", f"{__name__}:shifted"])
@pytest.mark.parametrize("asked", [Distances(np.ones((N_RUNS, D))), Extremes("minimum"), Extremes("maximum")])
def test_the_same_bits_for_any_number_of_shards(behaviour, asked):
    found = {n: fold(*crowd(behaviour, n)[1:], asked).tobytes() for n in (1, 2, 3, 5, 7)}
    assert len(set(found.values())) == 1


def test_sums_by_group_and_extremes_are_right():
    vectors, cohort, shards, request = crowd("honest", 3)
    centres = np.ones((N_RUNS, D))
    found = fold(cohort, shards, request, Distances(centres))
    away = np.linalg.norm(vectors - centres[:, None], axis=2)
    one_hot = np.eye(K)[request.of_everyone().assignment]
    np.testing.assert_allclose(found[..., 0], np.einsum("bnk,bn->bk", one_hot, away), rtol=1e-12)
    np.testing.assert_allclose(found[..., 1], np.einsum("bnk,bn->bk", one_hot, away * request.weights), rtol=1e-12)
    np.testing.assert_array_equal(fold(cohort, shards, request, Extremes("minimum")), vectors.min(axis=1))
    np.testing.assert_array_equal(fold(cohort, shards, request, Extremes("maximum")), vectors.max(axis=1))


def test_workers_can_be_left_out_of_sums():
    _, cohort, shards, request = crowd("honest", 2)

    @dataclass(frozen=True)
    class Count:
        fold: str = "add"

        def of(self, part):
            return part.sums(np.ones((len(part.given), 1)), part.places % 2 == 1)

    groups = request.of_everyone().assignment
    expected = [np.bincount(row[1::2], minlength=K) for row in groups]
    np.testing.assert_array_equal(fold(cohort, shards, request, Count())[..., 0], expected)


@pytest.mark.parametrize("n_shards", [1, 4])
def test_contributions_come_in_the_order_asked(n_shards):
    vectors, _, shards, request = crowd("honest", n_shards)
    places = np.array([[52, 0, 17, 18], [3, 2, 1, 0], [9, 50, 9, 51]])
    found = np.empty((*places.shape, D))
    for members, shard in shards:
        here = (places >= members.start) & (places < members.stop)
        found[here] = shard.contributions(request.of(members), places)
    np.testing.assert_array_equal(found, np.take_along_axis(vectors, places[..., None], axis=1))
