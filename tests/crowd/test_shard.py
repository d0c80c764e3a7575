import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowd_sim.crowd.reduction import fold_shard, fold_shards, split_evenly
from crowd_sim.crowd.shard import Key, Place, Shard, count_chunks
from crowd_sim.tournament.groups import Groups
from crowd_sim.tournament.request import RoundRequest


def crowd(n, seed=0, n_runs=3, n_people=40, d=5, n_groups=3):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n_people, d))
    rows = rng.integers(n_people, size=(n_runs, n))
    assignment = rng.integers(n_groups, size=(n_runs, n))
    weights = rng.uniform(1, 1e6, size=(n_runs, n))
    return vectors, rows, assignment, weights


def sums(vectors, rows, assignment, weights, chunk_size, n_shards, n_groups=3):
    n_chunks = count_chunks(rows.shape[1], chunk_size)
    parts = []
    for first, stop in split_evenly(n_chunks, n_shards):
        members = slice(first * chunk_size, stop * chunk_size)
        key = Key("honest", *np.zeros((2, len(rows)), dtype=np.uint64))
        shard = Shard(vectors, np.arange(len(vectors)), rows[:, members], Place(chunk_size, first, n_chunks), key)
        whole = RoundRequest(1, np.zeros((len(rows), vectors.shape[1])), Groups(assignment), weights, n_groups)
        parts.append(shard.group_sums(whole.of(members)))
    return fold_shards(parts[::-1], n_chunks)  # whatever the order of arrival


@given(n=st.integers(1, 200), chunk_size=st.integers(1, 40), n_shards=st.integers(1, 9), seed=st.integers(0, 99))
def test_the_sums_have_the_same_bits_however_the_crowd_is_cut(n, chunk_size, n_shards, seed):
    whole = sums(*crowd(n, seed), chunk_size, 1)
    assert sums(*crowd(n, seed), chunk_size, n_shards).tobytes() == whole.tobytes()


def test_the_sums_are_sums():
    vectors, rows, assignment, weights = crowd(100)
    ours = sums(vectors, rows, assignment, weights, 7, 4)
    for b in range(3):
        for k in range(3):
            inside = assignment[b] == k
            expected = (weights[b, inside, None] * vectors[rows[b, inside]]).sum(axis=0)
            np.testing.assert_allclose(ours[b, k, :-1], expected, rtol=1e-12)
            np.testing.assert_allclose(ours[b, k, -1], weights[b, inside].sum(), rtol=1e-12)


@pytest.mark.parametrize(
    ("weight", "small"),
    [
        (0.0, True),
        (-0.0, True),
        (9.0, True),
        (65535.0, True),
        (65536.0, False),
        (0.5, False),
        (-1.0, False),
        (np.nan, False),
        (np.inf, False),
    ],
)
def test_weights_travel_small_where_that_loses_nothing(weight, small):
    vectors, rows, assignment, weights = crowd(50)
    weights = np.rint(weights % 999)
    weights[1, 40] = weight
    request = RoundRequest(1, np.zeros((3, 5)), Groups(assignment), weights, 3)
    part = request.of(slice(7, 50))
    assert part.assignment.dtype == np.uint8
    assert part.weights.dtype == (np.uint16 if small else np.float64)
    np.testing.assert_array_equal(part.weights, weights[:, 7:])
    key = Key("honest", *np.zeros((2, 3), dtype=np.uint64))
    shard = Shard(vectors, np.arange(len(vectors)), rows, Place(16, 0, 4), key)
    travelled, here = shard.group_sums(request.of(slice(0, 50))), shard.group_sums(request.of_everyone())
    assert {at: value.tobytes() for at, value in travelled.items()} == {
        at: value.tobytes() for at, value in here.items()
    }


def test_a_run_has_the_same_bits_alone_and_in_a_batch():
    vectors, rows, assignment, weights = crowd(50)
    whole = sums(vectors, rows, assignment, weights, 16, 1)
    alone = sums(vectors, rows[1:2], assignment[1:2], weights[1:2], 16, 1)
    assert alone[0].tobytes() == whole[1].tobytes()


@pytest.mark.parametrize("n_chunks", range(1, 40))
def test_a_shard_hands_on_few_subtrees(n_chunks):
    leaves = np.arange(n_chunks, dtype=np.float64)[None, :]
    for first in range(n_chunks):
        for stop in range(first + 1, n_chunks + 1):
            subtrees = fold_shard(leaves[:, first:stop], first, n_chunks)
            assert len(subtrees) <= 2 * n_chunks.bit_length()
            assert sum(float(value[0]) for value in subtrees.values()) == sum(range(first, stop))


def test_chunks_are_cut_evenly_and_no_shard_is_empty():
    assert split_evenly(5, 2) == [(0, 2), (2, 5)]
    assert split_evenly(2, 4) == [(0, 1), (1, 2)]
