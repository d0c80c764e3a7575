"""Intervals of a page of items."""

import numpy as np
import pandas as pd
import pytest

from crowd_sim.metrics import clustered_error, mean_and_error
from crowd_sim.report.choice_page import _estimate, wilson


def test_wilsons_interval_is_that_of_the_textbook():
    assert wilson(0.0, 16) == (0.0, pytest.approx(0.1936, abs=1e-4))
    assert wilson(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert np.isnan(wilson(float("nan"), 3)).all()


@pytest.mark.parametrize(
    ("rewards", "low", "high"),
    [([0, 0, 0, 0], *wilson(0.0, 4)), ([0, 1, 1, 0], *wilson(0.5, 4)), ([0.0, 0.4, 0.8], -0.0526, 0.8526)],
)
def test_rewards_of_one_run_have_the_interval_of_their_items(rewards, low, high):
    items = pd.DataFrame({"reward_after": rewards, "prompt": [f"p{i}" for i in range(len(rewards))]})
    found = {"reward_after": {"mean": float(np.mean(rewards)), "se": None, "n": 1}}
    assert _estimate("reward", "after", found, items)[1:] == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(("values", "runs"), [([0.5, 0.5], 1), ([0.5, 0.5], 2)])
def test_numbers_that_are_all_the_same_have_no_interval(values, runs):
    found = {"reward_after": {"mean": 0.5, "se": None if runs == 1 else 0.0, "n": runs}}
    items = pd.DataFrame({"reward_after": values, "prompt": ["p", "q"]})
    assert np.isnan(_estimate("reward", "after", found, items)[1:]).all()


def test_pairs_that_share_a_prompt_count_as_one_where_they_agree():
    right = np.array([1.0, 0, 1, 1])
    told = {"accuracy_after": {"mean": 0.75, "se": None, "n": 1}}
    apart = pd.DataFrame({"prompt": list("abcd"), "right": "x", "chosen_after": ["x" if r else "y" for r in right]})
    thrice = apart.loc[np.repeat(apart.index, 3)]
    for items, n in ((apart, 4), (thrice, 3), (thrice.assign(prompt=range(12)), 12)):
        # 4 prompts tell as 3 independent items here: of clusters the variance is that of 4 less one
        assert _estimate("accuracy", "after", told, items)[1:] == pytest.approx(wilson(0.75, n))
    alone = {"accuracy_single": {"mean": 0.75, "se": None, "n": 1}}  # of a baseline no item is known
    assert _estimate("accuracy", "single", alone, thrice)[1:] == wilson(0.75, 4)
    values = np.array([0.9, 0.2, 0.6, 0.7])
    of_one, of_three = (np.repeat(values, n) for n in (1, 3))
    assert clustered_error(of_three, np.repeat(list("abcd"), 3).tolist()) == pytest.approx(mean_and_error(values)[1])
    assert clustered_error(of_one, list("abcd")) == pytest.approx(mean_and_error(of_one)[1])
    assert np.isnan(clustered_error(of_one, ["a"] * 4))
