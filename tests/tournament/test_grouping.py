from itertools import pairwise

import numpy as np
import pytest

from crowd_sim.random import Purpose
from crowd_sim.tournament.grouping import GROUPINGS, _cut, epsilon_greedy, interleaved, random
from crowd_sim.tournament.streams import RoundStreams


def draws(n_runs=4, round_index=1, seed=0):
    return RoundStreams(np.full(n_runs, seed, dtype=np.uint64), np.arange(n_runs, dtype=np.uint64), round_index)


def points(n, n_runs=4, seed=0):
    return np.random.default_rng(seed).integers(1, 50, size=(n_runs, n)).astype(np.float64)


@pytest.mark.parametrize("name", GROUPINGS)
@pytest.mark.parametrize(("n", "k"), [(10, 2), (10, 3), (11, 4), (100, 5), (7, 7), (5, 1)])
def test_everyone_is_in_one_group(name, n, k):
    assignment = GROUPINGS[name](points(n), k, draws(), 100).of_everyone()
    assert assignment.shape == (4, n)
    assert assignment.min() >= 0
    assert assignment.max() < k


@pytest.mark.parametrize(("n", "sizes"), [(10, [4, 3, 3]), (11, [4, 4, 3]), (12, [4, 4, 4]), (3, [1, 1, 1])])
def test_random_cuts_sizes_as_equal_as_possible_the_first_larger(n, sizes):
    for row in random(points(n), 3, draws(), 100).of_everyone():
        assert np.bincount(row, minlength=3).tolist() == sizes


def test_random_is_uniform_over_permutations():
    rows = random(points(4, 6_000), 2, draws(6_000), 100).of_everyone()
    # worker 0 shares its group with each of the other three equally often
    together = [(rows[:, 0] == rows[:, j]).mean() for j in (1, 2, 3)]
    np.testing.assert_allclose(together, 1 / 3, atol=0.03)


def test_epsilon_greedy_orders_by_points_ascending_and_cuts():
    late = draws(400, round_index=100)
    p = points(9, 400)
    assignment = epsilon_greedy(p, 3, late, 100).of_everyone()
    explored = late.uniforms(Purpose.EXPLORE, 1)[:, 0] < 0.4
    assert 0.3 < explored.mean() < 0.5
    for b in np.flatnonzero(~explored):
        order = np.argsort(p[b], kind="stable")
        assert [assignment[b, i] for i in order] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    same = random(p, 3, late, 100).of_everyone()
    assert (assignment[explored] == same[explored]).all()


@pytest.mark.parametrize(("round_index", "share"), [(1, 1.0), (31, 0.7), (61, 0.4), (100, 0.4)])
def test_epsilon_falls_to_its_minimum(round_index, share):
    p = np.tile(np.arange(10.0), (2_000, 1))
    assignment = epsilon_greedy(p, 2, draws(2_000, round_index), 100).of_everyone()
    ordered = (assignment == np.repeat([0, 1], 5)).all(axis=1).mean()
    assert ordered == pytest.approx(1 - share, abs=0.04)


def test_interleaved_deals_both_halves_round_robin():
    n, k = 11, 3
    p = points(n)
    for b, row in enumerate(interleaved(p, k, draws(), 100).of_everyone()):
        order = np.argsort(p[b], kind="stable")
        assert sorted(row[order[: n // 2]]) == [0, 0, 1, 1, 2]
        assert sorted(row[order[n // 2 :]]) == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("name", GROUPINGS)
@pytest.mark.parametrize(("n", "k"), [(4, 3), (5, 4), (5, 5), (9, 5), (10, 6), (11, 7)])
def test_no_group_is_empty_where_there_are_as_many_workers(name, n, k):
    for row in GROUPINGS[name](points(n), k, draws(), 100).of_everyone():
        sizes = np.bincount(row, minlength=k)
        assert sizes.min() >= 1
        assert sizes.max() <= -(-n // k)


@pytest.mark.parametrize("kind", ["small integers", "large integers", "negative", "fractions", "not finite"])
@pytest.mark.parametrize("n", [1, 2, 7, 1_001])
def test_interleaved_is_what_two_stable_sorts_say(kind, n):
    p = points(n)
    p = {"large integers": p + 2.0**16, "negative": p - 25, "fractions": p / 3}.get(kind, p)
    if kind == "not finite":
        p[:, ::3], p[:, 1::5] = np.inf, np.nan

    class Coarse(RoundStreams):
        def uniforms(self, purpose, size):
            drawn = super().uniforms(purpose, size)
            return np.floor(drawn * 50) / 50  # with ties

    for made in (draws(), Coarse(np.zeros(4, dtype=np.uint64), np.arange(4, dtype=np.uint64), 1)):
        keys, order, half = made.uniforms(Purpose.GROUPING, n), np.argsort(p, axis=1, kind="stable"), n // 2
        found = interleaved(p, 3, made, 100).of_everyone()
        for b in range(4):
            for low, high in ((0, half), (half, n)):
                shuffled = order[b, low:high][np.argsort(keys[b, low:high], kind="stable")]
                first = half if n - half < 3 and low else 0  # dealt on where both halves together fill the groups
                assert (found[b, shuffled] == np.arange(first, first + high - low) % 3).all()


def test_interleaved_shuffles_the_halves():
    rows = interleaved(np.ones((300, 10)), 5, draws(300), 100).of_everyone()
    assert len({tuple(row) for row in rows}) > 250


@pytest.mark.parametrize("name", GROUPINGS)
def test_a_run_is_grouped_the_same_alone_and_in_a_batch(name):
    p = points(20)
    whole = GROUPINGS[name](p, 3, draws(), 100).of_everyone()
    one = RoundStreams(np.zeros(1, dtype=np.uint64), np.array([2], dtype=np.uint64), 1)
    assert (GROUPINGS[name](p[2:3], 3, one, 100).of_everyone()[0] == whole[2]).all()


@pytest.mark.parametrize("cuts", [[], [1], [40, 41], [0, 7, 50]])
@pytest.mark.parametrize("distinct", [1, 3, 50])
@pytest.mark.parametrize(("n", "n_groups"), [(1, 1), (7, 7), (24, 5), (100, 3), (100, 17), (100, 18)])
def test_a_cut_is_that_of_the_whole_order_ties_in_their_own_however_it_is_asked_for(n, n_groups, distinct, cuts):
    keys = np.random.default_rng(n).integers(distinct, size=(6, n)).astype(np.float64)
    expected = np.empty(keys.shape, dtype=np.int64)
    for row, order in enumerate(np.argsort(keys, axis=1, kind="stable")):
        for group, part in enumerate(np.array_split(order, n_groups)):
            expected[row, part] = group
    groups = _cut(keys, n_groups)
    bounds = [0, *(min(at, n) for at in cuts), n]
    parts = [groups.of(slice(start, stop)) for start, stop in pairwise(bounds)]
    assert np.concatenate(parts, axis=1).tolist() == expected.tolist()
    assert groups.of_everyone().tolist() == expected.tolist()
