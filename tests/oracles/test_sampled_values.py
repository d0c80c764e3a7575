"""Other values than Shapley's from some coalitions, against those of all."""

import numpy as np
import pytest

from crowd_sim.errors import InputError
from crowd_sim.valuation import (
    AllUtilities,
    Evaluated,
    MaxEvaluations,
    SampledUtilities,
    ShapleyResult,
    banzhaf,
    beta_shapley,
    interactions,
    least_core,
    owen,
    sampled_owen,
    semivalue,
    shapley,
)
from tests.oracles.games import Oracle, additive, sum_of_unanimity

N = 11


class Concave:
    """The root of a sum of weights: who comes first adds most."""

    def __init__(self, weights):
        self.n_players, self.weights = len(weights), weights

    def __call__(self, coalitions):
        return np.sqrt(coalitions @ self.weights)


def some(game, method, budget, seed=0) -> SampledUtilities:
    return SampledUtilities.of(shapley(game, method, budget, seed, stop=MaxEvaluations(budget)))


def all_of(game) -> SampledUtilities:
    known = AllUtilities.of(game)
    n = known.n_players
    rows = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(bool)
    evaluated = Evaluated(n, np.packbits(rows, axis=1), known.table, 2**n)
    return SampledUtilities.of(ShapleyResult(np.zeros(n), np.zeros(n), 2**n, "exact", None, evaluated))


def compared(found: SampledUtilities, game):
    """Estimates and what they are of."""
    known, n = AllUtilities.of(game), game.n_players
    tilted = np.linspace(2.0, 1.0, n) / np.linspace(2.0, 1.0, n).sum()
    return {
        "shapley": (found.semivalue(np.full(n, 1.0 / n)), game.values),
        "semivalue": (found.semivalue(tilted), semivalue(known, tilted)),
        "banzhaf": (found.banzhaf(), banzhaf(known).values),
        "beta": (found.beta_shapley(4.0, 1.0), beta_shapley(known, 4.0, 1.0)),
        "interactions": (found.interactions(), interactions(known)),
    }


def test_all_coalitions_give_the_exact_values():
    game = sum_of_unanimity(6, 15, seed=3)
    for found, truth in compared(all_of(game), game).values():
        np.testing.assert_allclose(found.values, truth, atol=1e-10)
        assert not found.stderr.any()
    assert all_of(game).least_core().deficit == pytest.approx(least_core(game).deficit, abs=1e-9)


@pytest.mark.parametrize("method", ["surrogate", "permutation", "kernel_shap"])
def test_some_come_near_and_their_intervals_cover(method):
    inside, errors = {}, {}
    for seed in range(12):
        game = sum_of_unanimity(N, 25, seed)
        for name, (found, truth) in compared(some(game, method, 800, seed), game).items():
            which = ~np.eye(N, dtype=bool) if truth.ndim == 2 else slice(None)
            error = (found.values - truth)[which]
            inside.setdefault(name, []).append(np.mean(np.abs(error) <= 1.96 * found.stderr[which]))
            errors.setdefault(name, []).append(np.linalg.norm(error) / np.linalg.norm((truth - truth.mean())[which]))
    assert all(np.mean(shares) >= 0.92 for shares in inside.values())
    assert np.mean(errors["interactions"]) < 0.4
    assert max(np.mean(errors[name]) for name in errors if name != "interactions") < 0.2


def test_additive_games_are_exact():
    worths = np.random.default_rng(0).normal(size=30)
    found = some(additive(list(worths), 5.0), "surrogate", 400)
    for result in (found.banzhaf(), found.beta_shapley(2.0, 5.0), found.semivalue(np.full(30, 1 / 30))):
        np.testing.assert_allclose(result.values, worths, atol=1e-9)
    assert np.abs(found.interactions().values).max() < 1e-9


def test_duplicates_overlap_and_partners_complement():
    """Of workers 0 and 1 either suffices, and 2 and 3 are worth something together only."""
    worths = np.random.default_rng(1).normal(size=24) / 4

    def utility(c):
        return (c * worths).sum(axis=1) + 3.0 * (c[:, 0] | c[:, 1]) + 3.0 * (c[:, 2] & c[:, 3])

    found = some(Oracle("overlap", 24, utility, worths), "surrogate", 1_500).interactions()
    assert found.values[0, 1] + 5.0 * found.stderr[0, 1] < 0.0
    assert found.values[2, 3] - 5.0 * found.stderr[2, 3] > 0.0
    assert (np.abs(found.values[:2, 2:]) < 5.0 * found.stderr[:2, 2:]).all()


def test_the_least_core_of_some_is_a_bound():
    game = sum_of_unanimity(9, 15, seed=2)
    assert some(game, "surrogate", 200).least_core().deficit <= least_core(game).deficit + 1e-9


@pytest.mark.parametrize("budget", [200, 280])  # from 288 on it enumerates
def test_owen_values_from_orders(budget):
    shares = []
    for seed in range(25):
        game = sum_of_unanimity(N, 25, seed)
        groups = ["a", "b", "a", "c", "b", "a", "c", "d", "d", "d", "e"]
        found, truth = sampled_owen(game, groups, budget, seed), owen(game, groups)
        assert found.n_evaluations <= budget
        assert found.values.sum() == pytest.approx(truth.sum())
        shares.append(np.mean(np.abs(found.values - truth) <= 1.96 * found.stderr))
    assert 0.9 <= np.mean(shares) <= 0.99
    one = sampled_owen(additive([2.0], 3.0), [7], 10)
    assert (one.values.tolist(), one.stderr.tolist()) == ([2.0], [0.0])


@pytest.mark.parametrize("sizes", [[5, 5, 5, 5], [1, 2, 3, 5, 9]])
@pytest.mark.parametrize("budget", [148, 306])  # from 976 and 8,800 on it enumerates
def test_owen_intervals_cover_where_first_places_decide(sizes, budget):
    shares, groups = [], np.repeat(np.arange(len(sizes)), sizes)
    for seed in range(15):
        game = Concave(np.random.default_rng(seed).random(20))
        found, truth = sampled_owen(game, groups, budget, seed), sampled_owen(game, groups, 2**14)
        assert (found.method, truth.method, found.n_evaluations <= budget) == ("owen", "exact", True)
        assert found.values.sum() == pytest.approx(truth.values.sum())
        shares.append(np.mean((found.lower <= truth.values) & (truth.values <= found.upper)))
    assert 0.91 <= np.mean(shares) <= 0.995


def test_owen_values_of_too_few_orders_have_no_interval():
    game = Concave(np.ones(20))
    for budget, known in ((109, False), (110, True)):
        result = sampled_owen(game, np.arange(20) // 5, budget)
        assert np.isfinite(result.values).all()
        assert result.n_evaluations <= budget
        assert np.isfinite(result.stderr).all() == known


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (
            lambda: SampledUtilities.of(shapley(additive([1.0, 2.0], 0.0))),
            "result: must be a result with its evaluations",
        ),
        (lambda: all_of(additive([1.0, 2.0], 0.0)).semivalue([1.0]), "weights = .*: must have the shape 2"),
        (lambda: all_of(additive([1.0], 0.0)).interactions(), r"n_players = 1: must be in \[2, 100\]"),
        (lambda: sampled_owen(additive([1.0] * 9, 0.0), [1], 99), "groups = .* of the group of each of 9"),
        (lambda: sampled_owen(additive([1.0] * 9, 0.0), [1] * 9, 33), "budget = 33: must be an integer of at least 34"),
        (lambda: sampled_owen(additive([1.0] * 3, 0.0), [1] * 3, 7), "budget = 7: must be an integer of at least 8"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, line):
    with pytest.raises(InputError, match=f"^{line}"):
        call()


class NoisyEnds:
    """v(∅) and v(N) are known worst."""

    noise = "fresh"

    def __init__(self, game, seed):
        self.game, self.n_players, self.rng = game, game.n_players, np.random.default_rng(seed)

    def __call__(self, coalitions):
        ends = coalitions.all(axis=1) | ~coalitions.any(axis=1)
        return self.game(coalitions) + np.where(ends, 3.0, 0.05) * self.rng.normal(size=len(coalitions))


@pytest.mark.parametrize("method", ["permutation", "paired_regression"])
def test_the_noise_of_the_ends_is_in_the_standard_errors(method):
    shares = []
    for seed in range(25):
        game = sum_of_unanimity(8, 20, seed)
        found = some(NoisyEnds(game, seed), method, 300, seed).beta_shapley(4.0, 1.0)
        shares.append(np.mean(np.abs(found.values - beta_shapley(game, 4.0, 1.0)) <= 1.96 * found.stderr))
    assert np.mean(shares) >= 0.75


def test_as_many_noisy_draws_as_coalitions_are_not_all_of_them():
    known = some(NoisyEnds(sum_of_unanimity(4, 8, 0), 0), "permutation", 16)
    assert len(known.utilities) == 16
    assert (known.banzhaf().stderr > 0.0).all()
