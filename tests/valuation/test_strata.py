"""Strata of sizes, and coalitions dealt from them."""

import itertools

import numpy as np
import pytest

from crowd_sim.valuation.coalition_lists import Lists
from crowd_sim.valuation.estimators.stratified.strata import draw, strata_of


@pytest.mark.parametrize("n", [3, 4, 5, 16, 75, 10_000])
@pytest.mark.parametrize("draws", [10, 1_000, 100_000])
def test_every_size_is_in_one_stratum(n, draws):
    strata = strata_of(n, draws)
    assert [k for stratum in strata for k in range(stratum.low, stratum.high + 1)] == list(range(2, n))
    for stratum in strata:
        assert stratum.chances.sum() == pytest.approx(1.0)
    assert len(strata) <= max(draws / 100, 6)


def test_coalitions_are_uniform_and_players_take_turns():
    (stratum,) = strata_of(5, 10)
    lists = draw(stratum, 5, 30_000, 7, 3, 0)
    seen = {}
    for row in range(len(lists)):
        members = lists[row : row + 1].members.tolist()
        assert len(set(members)) == len(members)
        seen[tuple(sorted(members))] = seen.get(tuple(sorted(members)), 0) + 1
    for k, chance in zip((2, 3, 4), stratum.chances, strict=True):
        each = [seen[members] for members in itertools.combinations(range(5), k)]
        expected = 30_000 * chance / len(each)
        assert max(abs(np.array(each) - expected)) < 5 * np.sqrt(expected)
    counts = np.bincount(lists.members)
    assert counts.max() - counts.min() <= 2


def test_fewer_are_the_first_of_more_and_every_part_of_the_key_counts():
    stratum = strata_of(40, 1_000)[-1]
    many, few = draw(stratum, 40, 50, 1, 2, 0), draw(stratum, 40, 20, 1, 2, 0)
    assert many[0:20].members.tobytes() == few.members.tobytes()
    others = [draw(stratum, 40, 20, *key) for key in ((2, 2, 0), (1, 1, 0), (1, 2, 1))]
    assert len({lists.members[:20].tobytes() for lists in (few, *others)}) == 4


@pytest.mark.parametrize("n", [1, 2, 7, 75, 300, 5_000])
def test_lists_and_masks_have_the_same_utilities(averaging_game, n):
    rng = np.random.default_rng(n)
    sizes = [*rng.integers(0, n + 1, size=40), *rng.integers(0, min(n, 40) + 1, size=160)]
    rows = [rng.permutation(n)[:size] for size in sizes]
    lists = Lists(np.concatenate(rows).astype(np.int32), np.cumsum(sizes))
    masks = lists.masks(n)
    assert [set(np.flatnonzero(mask)) for mask in masks] == [set(row) for row in rows]
    for score in ("l2", "l1"):
        game = averaging_game(n, d=4, score=score)
        assert game.at(lists).tobytes() == game(masks).tobytes()
        assert game.at(lists[10:30]).tobytes() == game(masks[10:30]).tobytes()
    assert Lists.joined([lists[0:60], lists[60:200]]).members.tobytes() == lists.members.tobytes()
    assert len(Lists.joined([])) == 0
