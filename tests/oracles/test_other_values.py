"""Values beside Shapley's, against their definitions, other packages and games where they are known."""

import itertools
import math

import numpy as np
import pytest
import shapiq

from crowd_sim.errors import InputError
from crowd_sim.valuation import (
    AllUtilities,
    banzhaf,
    beta_shapley,
    interactions,
    least_core,
    leave_one_out,
    owen,
    semivalue,
    shapley,
)
from tests.oracles.games import additive, all_oracles, glove, sum_of_unanimity, unanimity, weighted_majority

GAME = sum_of_unanimity(6, 15, seed=1)
GAMES = [game for game in all_oracles() if game.n_players > 1]


@pytest.mark.parametrize("game", GAMES, ids=repr)
def test_the_named_semivalues(game):
    n = game.n_players
    binomial = np.array([math.comb(n - 1, k) for k in range(n)]) / 2.0 ** (n - 1)
    np.testing.assert_allclose(semivalue(game, np.full(n, 1.0 / n)), game.values, atol=1e-12)
    np.testing.assert_allclose(beta_shapley(game, 1.0, 1.0), game.values, atol=1e-12)
    np.testing.assert_allclose(semivalue(game, binomial), banzhaf(game).values, atol=1e-12)
    np.testing.assert_allclose(semivalue(game, np.eye(n)[-1]), leave_one_out(game).values, atol=1e-12)


def test_beta_shapley_by_its_integral():
    """A player joins the coalition in which each other is with the chance p, p drawn from Beta(β, α)."""
    alpha, beta, n = 4.0, 2.0, GAME.n_players
    p = (np.arange(20_000) + 0.5) / 20_000
    density = p ** (beta - 1) * (1 - p) ** (alpha - 1)
    density /= density.sum()
    expected = np.zeros(n)
    for row in itertools.product([False, True], repeat=n):
        for i in np.flatnonzero(~np.array(row)):
            k = sum(row)
            chance = (density * p**k * (1 - p) ** (n - 1 - k)).sum()
            joined = np.array(row)
            joined[i] = True
            expected[i] += chance * (GAME(joined[None])[0] - GAME(np.array(row)[None])[0])
    np.testing.assert_allclose(beta_shapley(GAME, alpha, beta), expected, atol=1e-6)


@pytest.mark.parametrize("game", [GAME, glove(3, 4), weighted_majority([4, 3, 2, 1, 1, 1], 7)], ids=repr)
def test_interactions_are_shapiq_s(game):
    n = game.n_players
    found = shapiq.ExactComputer(game, n_players=n)("SII", 2)
    ours = interactions(game)
    for i, j in itertools.combinations(range(n), 2):
        assert ours[i, j] == ours[j, i] == pytest.approx(found[(i, j)], abs=1e-10)


def test_duplicates_overlap_and_partners_complement():
    assert interactions(unanimity(4, [0, 1]))[0, 1] == pytest.approx(1.0)
    either = AllUtilities(2, np.array([0.0, 1.0, 1.0, 1.0]))
    assert interactions(either)[0, 1] == -1.0
    assert not interactions(additive([1.0, 2.0, 3.0], 4.0)).any()


def test_owen_by_all_orders_that_keep_groups_together():
    groups = np.array([0, 1, 0, 2, 1, 0])
    totals, count = np.zeros(6), 0
    for order in itertools.permutations(range(6)):
        labels = [k for k, _ in itertools.groupby(groups[list(order)])]
        if len(labels) > 3:
            continue
        count += 1
        mask, before = np.zeros(6, dtype=bool), GAME(np.zeros((1, 6), dtype=bool))[0]
        for i in order:
            mask[i] = True
            after = GAME(mask[None])[0]
            totals[i] += after - before
            before = after
    np.testing.assert_allclose(owen(GAME, groups), totals / count, atol=1e-12)
    for trivial in (np.zeros(6, dtype=int), np.arange(6)):
        np.testing.assert_allclose(owen(GAME, trivial), GAME.values, atol=1e-12)


def test_the_least_core():
    majority = least_core(weighted_majority([1, 1, 1], 2))
    np.testing.assert_allclose(majority.values, np.full(3, 1 / 3), atol=1e-9)
    assert majority.deficit == pytest.approx(1 / 3)
    scarce = least_core(glove(1, 2))  # all of it goes to the one with the left glove
    np.testing.assert_allclose(scarce.values, [1.0, 0.0, 0.0], atol=1e-9)
    assert scarce.deficit == pytest.approx(0.0, abs=1e-9)
    game = AllUtilities.of(GAME)
    found = least_core(GAME)
    codes = np.arange(1, 2**6 - 1)
    inside = codes[:, None] >> np.arange(6) & 1
    assert found.values.sum() == pytest.approx(game.table[-1] - game.table[0])
    short = game.table[codes] - game.table[0] - inside @ found.values
    assert short.max() == pytest.approx(found.deficit)


def test_all_from_the_same_evaluations():
    calls = []

    class Counted:
        n_players = 6

        def __call__(self, coalitions):
            calls.append(len(coalitions))
            return GAME(coalitions)

    known = AllUtilities.of(Counted())
    np.testing.assert_allclose(shapley(known).values, GAME.values, atol=1e-12)
    for value in (banzhaf, leave_one_out, interactions, least_core):
        value(known)
    owen(known, [0, 0, 1, 1, 2, 2])
    beta_shapley(known, 2.0, 1.0)
    assert sum(calls) == 64


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: semivalue(GAME, [0.5] * 6), "weights = .*: must be at least 0 and sum to 1"),
        (lambda: semivalue(GAME, [1.0]), "weights = .*: must have the shape 6"),
        (lambda: beta_shapley(GAME, 0.0, 1.0), "alpha = 0.0: must be a number above 0"),
        (lambda: owen(GAME, [[0, 1, 2], [3, 4], [5]]), r"groups = \[\[0, 1, 2\], \[3, 4\], \[5\]\]: must be the name"),
        (lambda: owen(GAME, [1, 2]), "groups = .*: must be the name, or number, of the group of each of 6 players"),
        (
            lambda: least_core(additive([1.0] * 16, 0.0)),
            r"game.n_players = 16: must be in \[2, 15\] for the least core",
        ),
        (lambda: interactions(additive([1.0] * 21, 0.0)), "game.n_players = 21: must be at most 20"),
        (lambda: interactions(3), "game = 'int': must be a game"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, line):
    with pytest.raises(InputError, match=f"^{line}"):
        call()
