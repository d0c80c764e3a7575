"""Utilities that are not there."""

import numpy as np
import pytest

from crowd_sim.errors import InputError
from crowd_sim.valuation import CachedGame, TargetError, banzhaf, leave_one_out, shapley
from tests.oracles.games import Oracle, additive, airport, sum_of_unanimity

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


def _gaps(n, seed, share):
    """A game of the sum of unanimity games of which this share of the coalitions fails, whatever they are worth."""
    game = sum_of_unanimity(n, 20, seed % 4)
    fails = np.random.default_rng([seed, 99]).random(2**n) < share
    fails[[0, -1]] = False
    powers = 1 << np.arange(n)
    return Oracle("gaps", n, lambda c: np.where(fails[c @ powers], np.nan, game(c)), game.values)


@pytest.mark.parametrize(
    ("method", "n", "budget"),
    [
        ("auto", 6, 64),
        ("paired_regression", 8, 200),
        ("auto", 8, 5_000),
        ("permutation", 6, 64),
        ("permutation", 8, 5_000),
    ],
)
def test_what_was_never_answered_stays_unknown(method, n, budget):
    """Once all coalitions were asked for, the errors are those of the pairs that failed, and not 0."""
    shares = []
    for seed in range(20):
        game = _gaps(n, seed, 0.2)
        result = shapley(game, method, budget, seed=seed, missing="skip")
        assert result.method == "paired_regression"
        assert result.n_evaluations <= min(budget, 2**n)
        assert 0.0 < np.sqrt(np.mean(result.stderr**2)) < 3.0
        shares.append(np.mean(np.abs(result.values - game.values) <= 1.96 * result.stderr))
    assert 0.92 <= np.mean(shares) <= 1.0


@pytest.mark.parametrize(("n", "budget"), [(5, 30), (6, 64), (6, 3_000)])
def test_banzhaf_values_do_not_know_it_either(n, budget):
    shares = []
    for seed in range(20):
        game, whole = _gaps(n, seed, 0.15), sum_of_unanimity(n, 20, seed % 4)
        result = banzhaf(game, budget, seed=seed, missing="skip")
        assert result.n_evaluations <= min(budget, 2**n)
        if not np.isnan(result.stderr).any():
            shares.append(np.mean(np.abs(result.values - banzhaf(whole).values) <= 1.96 * result.stderr))
    assert len(shares) > 10
    assert 0.9 <= np.mean(shares) <= 1.0


def test_banzhaf_values_of_what_is_all_there_are_exact():
    for n in (1, 2, 3, 6):
        whole = sum_of_unanimity(n, 20, 1)
        result = banzhaf(whole, 2**n + 3, missing="skip")
        np.testing.assert_allclose(result.values, banzhaf(whole, 2**n).values, atol=1e-12)
        assert result.n_evaluations == 2**n
        assert result.stderr.max() < 1e-12


@pytest.mark.parametrize(("budget", "noise"), [(64, 0.0), (512, 0.01), (64, 0.01)])
@pytest.mark.parametrize("size", [1, 3])
def test_a_size_that_never_answers_is_not_known(size, budget, noise):
    """Also where all others are known to the last digit: their residuals tell how much there may be."""
    shares = []
    for seed in range(12):
        whole, rng = sum_of_unanimity(6, 20, seed), np.random.default_rng(seed)
        answer = lambda c, whole=whole, rng=rng: np.where(  # noqa: E731
            c.sum(axis=1) == size, np.nan, whole(c) + noise * rng.normal(size=len(c))
        )
        game = Oracle("no size", 6, answer, whole.values)
        if noise:
            object.__setattr__(game, "noise", "fresh")
        result = shapley(game, budget=budget, seed=seed, missing="skip")
        shares.append(np.mean(np.abs(result.values - whole.values) <= 1.96 * result.stderr))
    assert np.mean(shares) >= 0.9


def test_a_pair_that_is_drawn_again_is_no_further_answer():
    shares = []
    for seed in range(60):
        rng, powers = np.random.default_rng(seed), 1 << np.arange(6)
        whole, fails = airport(sorted(rng.random(6))), rng.random(64) < 0.4
        fails[[0, -1]] = False
        game = Oracle(
            "gaps",
            6,
            lambda c, whole=whole, fails=fails, p=powers: np.where(fails[c @ p], np.nan, whole(c)),
            whole.values,
        )
        try:
            result = shapley(game, budget=48, seed=seed, missing="skip")
        except InputError:  # hardly any pair is left
            continue
        if not np.isnan(result.stderr).any():
            shares.append(np.mean(np.abs(result.values - game.values) <= 1.96 * result.stderr))
    assert len(shares) > 15
    assert np.mean(shares) >= 0.92


@pytest.mark.parametrize("noise", [None, "keyed"])
def test_what_had_no_answer_is_not_asked_again(noise):
    """By a later stage, and by what goes on from an earlier result; but for those that show that the game is the same."""
    game, rows = _gaps(6, 0, 0.2), []

    class Told:
        n_players = 6

        def __call__(self, coalitions, draws=None):
            rows.extend(zip(map(bytes, coalitions), [0] * len(coalitions) if draws is None else draws, strict=True))
            return game(coalitions)

    told = Told()
    told.noise = noise
    first = shapley(told, budget=60, missing="skip", stop=TargetError(1e-9))
    assert first.n_evaluations == len(rows) == len(set(rows))
    rows.clear()
    later = shapley(told, budget=200, missing="skip", previous=first)
    assert len(rows) == len(set(rows)) == later.n_evaluations - len(first.evaluated)


@pytest.mark.parametrize(("n", "least"), [(2, 6), (3, 8), (4, 10)])
@pytest.mark.parametrize("method", ["auto", "permutation"])
def test_noisy_games_keep_to_the_budget(method, n, least):
    noisy, rng = _gaps(n, 0, 0.0), np.random.default_rng(0)
    game = Oracle("noisy", n, lambda c: noisy(c) + rng.normal(size=len(c)), noisy.values)
    object.__setattr__(game, "noise", "fresh")
    for budget in range(least, 6 * n + 8):
        assert shapley(game, method, budget, missing="skip").n_evaluations <= budget
    with pytest.raises(InputError, match=rf"^budget = {least - 1}: must be at least {least} for permutation"):
        shapley(game, method, least - 1, missing="skip")
    result = shapley(game, method, least, missing="skip", stop=TargetError(0.01))
    assert result.n_evaluations <= least


def test_few_permutations_that_failures_have_spared_tell_no_error():
    """Permutations need all their coalitions, those without a gap share many; from 6n + 6 evaluations regression knows."""
    shares = []
    for seed in range(30):
        game = _gaps(8, seed, 0.1)
        result = shapley(game, "permutation", 240, seed=seed, missing="skip")
        shares.append(np.mean(np.abs(result.values - game.values) <= 1.96 * result.stderr))
    assert 0.92 <= np.mean(shares) <= 1.0
    assert np.isnan(shapley(_gaps(8, 0, 0.0), "permutation", 44, missing="skip").stderr).all()
    assert shapley(_gaps(8, 0, 0.0), "permutation", 16, missing="skip").n_evaluations == 16


def test_rules_and_ranks_hear_of_it():
    game = _gaps(6, 0, 0.2)
    result = shapley(game, budget=64, missing="skip", stop=TargetError(0.01))
    assert not result.converged
    assert not result.top(3).certain.all()
    complete = shapley(_gaps(6, 0, 0.0), budget=64, missing="skip", stop=TargetError(0.01))
    assert complete.converged
    assert complete.stderr.max() < 1e-12


def test_noise_is_no_end_of_it_either():
    """A coalition that fails in every draw is as unknown after a thousand of them."""
    shares = []
    for seed in range(10):
        game, rng = _gaps(6, seed, 0.2), np.random.default_rng(seed)
        noisy = Oracle("noisy", 6, lambda c, game=game, rng=rng: game(c) + 0.01 * rng.normal(size=len(c)), game.values)
        object.__setattr__(noisy, "noise", "fresh")
        result = shapley(noisy, budget=3_000, seed=seed, missing="skip")
        shares.append(np.mean(np.abs(result.values - game.values) <= 1.96 * result.stderr))
    assert 0.9 <= np.mean(shares) <= 1.0


def test_as_many_answers_as_values_tell_nothing_of_their_error():
    game = additive([1.0, 2.0, -1.0, 0.5, 3.0], 1.0)
    lone = np.eye(5, dtype=bool)[:4]
    there = {row.tobytes() for row in (*lone, *~lone, np.zeros(5, dtype=bool), np.ones(5, dtype=bool))}
    few = Oracle("few", 5, lambda c: np.where([r.tobytes() in there for r in c], game(c), np.nan), game.values)
    result = shapley(few, budget=100, missing="skip")
    np.testing.assert_allclose(result.values, game.values, atol=1e-9)
    assert np.isnan(result.stderr).all()


@pytest.mark.parametrize("method", ["paired_regression", "permutation"])
def test_the_budget_named_is_the_one_given(method):
    nothing = Oracle("nothing", 20, lambda c: np.where(c.any(axis=1) & ~c.all(axis=1), np.nan, 1.0), np.zeros(20))
    with pytest.raises(InputError, match=r"^budget = 160: leaves "):
        shapley(nothing, method, budget=160, missing="skip")


def test_of_all_coalitions_too_the_budget_named_is_the_one_given():
    alone = Oracle("alone", 4, lambda c: np.where(c.sum(axis=1) % 4, np.nan, c[:, 0].astype(float)), np.zeros(4))
    with pytest.raises(InputError, match=r"^budget = 16: leaves "):
        shapley(alone, budget=16, missing="skip")
