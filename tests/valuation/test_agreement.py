"""Draws that all agree: standard errors are 0 for exact values alone, and a constant game is done early all the same."""

import numpy as np
import pytest

from crowd_sim.valuation import (
    MaxEvaluations,
    SampledUtilities,
    TargetError,
    banzhaf,
    leave_one_out,
    sampled_owen,
    shapley,
)
from crowd_sim.valuation.agreement import Seen, unsure

METHODS = ["auto", "chains", "kernel_shap", "paired_regression", "permutation", "surrogate"]
N = 60
HALF = np.arange(N) % 2 == 0


class Made:
    def __init__(self, utility, n_players=N):
        self.n_players, self.utility = n_players, utility

    def __call__(self, coalitions):
        return self.utility(coalitions).astype(float)


SELDOM = Made(lambda c: (c == HALF).all(axis=1))
"""1 for one coalition of 2^60: all that is drawn is 0."""
AT_LAST = Made(lambda c: 4.0 * c.all(axis=1))
"""Nobody is worth anything but all together."""


@pytest.mark.parametrize("method", METHODS)
class TestShapley:
    def test_one_number_says_nothing_of_others(self, method):
        for game in (SELDOM, Made(lambda c: np.full(len(c), 3.0))):
            result = shapley(game, method, 2_600)
            assert not result.values.any()
            assert np.isnan(result.stderr).all()
            assert np.isnan(result.relative_error)
            assert not result.top(3).certain.any()

    def test_a_rule_is_met_by_the_share_that_may_be_worth_something_else(self, method):
        result = shapley(SELDOM, method, 6_000, stop=TargetError(0.01))
        assert result.converged
        assert 98 <= result.n_evaluations <= (500 if method != "chains" else 4_000)
        assert not shapley(SELDOM, method, 2_600, stop=TargetError(1e-4)).converged
        assert not shapley(SELDOM, method, 2_600, stop=TargetError(0.0, absolute=0.1)).converged

    def test_the_ends_tell_by_how_much(self, method):
        result = shapley(AT_LAST, method, 2_600)
        assert result.values.sum() == pytest.approx(4.0)
        assert (result.stderr >= 4.0 / result.n_evaluations).all()

    def test_what_draws_make_is_never_said_to_be_exact(self, method):
        result = shapley(Made(lambda c: c @ np.arange(N)), method, 2_600)
        assert (result.stderr > 0.0).all()


def test_other_values_say_the_same():
    known = SampledUtilities.of(shapley(SELDOM, "surrogate", 600, stop=MaxEvaluations(600)))
    found = [known.banzhaf(), known.beta_shapley(4.0, 1.0), known.semivalue(np.full(N, 1 / N)), banzhaf(SELDOM, 600)]
    found += [sampled_owen(SELDOM, np.arange(N) // 3, 600)]
    for result in found:
        assert np.isnan(result.stderr).all()
    pairs = known.interactions()
    assert (np.isnan(pairs.stderr) == ~np.eye(N, dtype=np.bool_)).all()
    known = SampledUtilities.of(shapley(AT_LAST, "surrogate", 600, stop=MaxEvaluations(600)))
    assert (known.banzhaf().stderr >= 4.0 / 600).all()
    assert not leave_one_out(SELDOM).stderr.any()  # nothing is drawn


def test_a_player_whose_draws_all_agree_may_differ_as_others_do():
    game = Made(lambda c: (c[:, 0] & c[:, 1]) * c[:, 2:6].any(axis=1), 10)
    result = sampled_owen(game, np.arange(10) // 2, 120)
    assert result.method == "owen"
    # what the first two add differs by 1, or 1 / 2 of a pair, and 8 places of 10 are drawn: the ends are known
    assert (result.stderr >= 0.8 * 0.5 / 10).all()

    class Doubtful(Made):
        noise = "keyed"

        def __call__(self, coalitions, draws):
            return coalitions[:, 0] * (1.0 + draws % 2)

    assert (leave_one_out(Doubtful(None, 4), repeats=4).stderr >= 1.0 / 6).all()


def test_rounding_is_no_difference_and_what_is_missing_is_none():
    seen = Seen.of(np.array([0.1 + 0.2, 0.3, np.nan]))
    assert seen.range == 0.0
    assert np.isnan(unsure(np.zeros(2), seen, 3)).all()
    assert Seen.of(np.array([1.0, 1.0 + 1e-12])).range > 0.0
