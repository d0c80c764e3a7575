"""A budget is divided to its last unit, equal workers equal."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowd_sim.payment.division import divide, raised

WEIGHTS = st.lists(st.floats(0, 1, width=16) | st.sampled_from([0.0, 1.0, 1 / 3, 5e-324]), min_size=1, max_size=30)


@given(WEIGHTS, st.floats(1e-100, 1e100))
def test_a_division_is_exact_fair_and_in_proportion(weights, budget):
    weights = raised(np.array(weights), 1.0)
    pay, rest = divide(weights, budget)
    unit = math.ulp(budget)
    assert (pay >= 0).all()
    assert sum(map(Fraction, pay.tolist())) + Fraction(rest) == Fraction(budget)
    assert pay.sum() + rest == budget == pay[::-1].sum() + rest  # in any order
    levels, counts = np.unique(weights[weights > 0], return_counts=True)
    assert all(len(set(pay[weights == level].tolist())) == 1 for level in levels)
    assert rest < counts.min() * unit
    if (counts == 1).any():
        assert rest == 0
    assert np.abs(pay / budget - weights / weights.sum()).max() <= (len(weights) + 2) * 2.0**-51
    assert (pay[weights == 0] == 0).all()
    assert (np.diff(pay[np.argsort(weights, kind="stable")]) >= 0).all()


def test_three_equal_workers_leave_a_unit():
    pay, rest = divide(np.ones(3), 1.0)
    assert pay.tolist() == [pay[0]] * 3
    assert rest == 2.0**-52
    assert divide(np.ones(4), 1.0)[1] == 0


def test_accounts_that_share_a_weight_get_its_parts():
    pay, rest = divide(np.array([1.0, 1.0, 1.0, 0.5]), 1.0, np.array([2, 2, 1, 1]))
    np.testing.assert_allclose(pay, [0.2, 0.2, 0.4, 0.2], rtol=1e-14)
    assert pay[0] == pay[1] == pay[3]  # half of 1 is what half a weight gets alone
    assert pay.sum() + rest == 1.0


def test_powers_are_of_scores_over_the_largest():
    scores = np.array([[1.0, 2.0, 4.0, -3.0], [0.0, 0.0, -1.0, 0.0], [1e300, 1e300, 0.0, 5e299]])
    np.testing.assert_allclose(raised(scores, 2.0), [[1 / 16, 1 / 4, 1, 0], [1, 1, 1, 1], [1, 1, 0, 1 / 4]], rtol=1e-15)
    assert raised(scores, 0.0).tolist() == np.ones((3, 4)).tolist()


@pytest.mark.parametrize("power", [1.0, 3.0, 0.5])
def test_order_of_workers_does_not_matter(power):
    draws = np.random.default_rng(3)
    scores, order = np.round(draws.random(40), 1), draws.permutation(40)
    pay, rest = divide(raised(scores, power), 7.0)
    permuted, again = divide(raised(scores[order], power), 7.0)
    assert permuted.tolist() == pay[order].tolist()
    assert rest == again
