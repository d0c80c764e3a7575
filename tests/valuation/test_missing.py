"""Utilities that are not there."""

import numpy as np
import pytest

from crowd_sim.errors import InputError
from crowd_sim.valuation import CachedGame, TargetError, banzhaf, leave_one_out, shapley
from tests.oracles.games import Oracle, additive, sum_of_unanimity

GAME = sum_of_unanimity(10, 20, seed=0)


def failing(share, game=GAME):
    """Fails for a share of the coalitions that depends on nothing else."""

    def utility(coalitions):
        powers = 1 << np.arange(game.n_players)
        chance = ((coalitions @ powers) * 2654435761 % 2**32) / 2**32
        size = coalitions.sum(axis=1)
        fails = (chance < share) & (size > 0) & (size < game.n_players)
        return np.where(fails, np.nan, game(coalitions))

    return Oracle("failing", game.n_players, utility, game.values)


def test_they_are_refused_unless_told():
    with pytest.raises(InputError, match=r"^game = nan: utilities must be finite; it is that of coalition \{"):
        shapley(failing(0.1), budget=300)


@pytest.mark.parametrize("method", ["auto", "paired_regression", "permutation"])
def test_they_are_skipped_where_asked(method):
    shares = []
    for seed in range(30):
        game = sum_of_unanimity(10, 20, seed)
        result = shapley(failing(0.01, game), method, 500, seed=seed, missing="skip")
        assert result.n_evaluations <= 500
        shares.append(np.mean(np.abs(result.values - game.values) <= 1.96 * result.stderr))
    assert 0.9 <= np.mean(shares) <= 0.99


def test_an_additive_game_loses_nothing_by_a_tenth_that_fails():
    worths = list(np.random.default_rng(0).normal(size=12))
    result = shapley(failing(0.1, additive(worths, 3.0)), budget=400, missing="skip")
    assert result.method == "paired_regression"
    np.testing.assert_allclose(result.values, worths, atol=1e-9)


@pytest.mark.parametrize("method", ["auto", "exact", "surrogate", "kernel_shap", "permutation"])
def test_a_number_is_taken_in_their_place(method):
    game = failing(0.2)
    filled = Oracle("filled", 10, lambda c: np.nan_to_num(game(c), nan=-1.5), GAME.values)
    result, expected = shapley(game, method, 300, missing=-1.5), shapley(filled, method, 300)
    assert result.values.tobytes() == expected.values.tobytes()


def test_stages_and_caches_pass_them_on(tmp_path):
    cached = CachedGame(failing(0.05), tmp_path, "failing")
    plain, looked_up = shapley(failing(0.05), budget=500, missing="skip"), shapley(cached, budget=500, missing="skip")
    assert plain.values.tobytes() == looked_up.values.tobytes()
    staged = shapley(failing(0.05), budget=500, missing="skip", stop=TargetError(1e-9))
    assert np.abs(staged.values - GAME.values).max() < 0.5


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"missing": "drop"}, "missing = 'drop': must be raise, skip or a finite number"),
        ({"missing": np.nan}, "missing = nan: must be raise, skip or a finite number"),
        ({"missing": "skip", "method": "exact"}, "missing = 'skip': needs one of the methods auto, paired_regression"),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments, line):
    with pytest.raises(InputError, match=f"^{line}"):
        shapley(GAME, **arguments)


def test_the_ends_are_needed():
    game = Oracle("no end", 10, lambda c: np.where(c.all(axis=1), np.nan, GAME(c)), GAME.values)
    for method in ("paired_regression", "permutation"):
        with pytest.raises(
            InputError, match=r"^game = nan: utilities of the empty and the grand coalition must not be"
        ):
            shapley(game, method, 300, missing="skip")


def test_other_values_skip_them_or_say_why_they_cannot():
    whole = additive([3.0, -1.0, 0.5, 2.0, 0.0, 1.0], 2.0)

    def of_some(coalitions):
        utilities = np.asarray(whole(coalitions), dtype=float)
        utilities[coalitions[:, 0] & coalitions[:, 1] & ~coalitions[:, 2]] = np.nan
        return utilities

    game = Oracle("with gaps", 6, of_some, whole.values)
    found = banzhaf(game, 64, missing="skip")
    np.testing.assert_allclose(found.values, whole.values, atol=1e-9)
    assert (found.stderr > 0.0).all()
    none = Oracle("none", 6, lambda c: np.where(c.all(axis=1), 1.0, np.nan), whole.values)
    assert leave_one_out(none, missing=0.25).values[0] == 0.75
    for call, line in (
        (lambda: banzhaf(game, 64), "game = nan: utilities must be finite"),
        (lambda: banzhaf(game, 64, missing="leave"), "missing = 'leave': must be raise, skip or a finite number"),
        (lambda: banzhaf(none, 64, missing="skip"), "missing = 'skip': needs two pairs"),
        (lambda: leave_one_out(game, missing="skip"), "missing = 'skip': must be raise or a number"),
        (lambda: leave_one_out(game, repeats=1), "repeats = 1: must be an integer of at least 2"),
    ):
        with pytest.raises(InputError, match=f"^{line}"):
            call()
