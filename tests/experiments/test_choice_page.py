"""Intervals of a page of items."""

import numpy as np
import pandas as pd
import pytest

from crowd_sim.metrics import independent, mean_and_se
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
    items = pd.DataFrame({"reward_after": rewards, "prompt": [f"prompt {i}" for i in range(len(rewards))]})
    found = {"reward_after": {"mean": float(np.mean(rewards)), "se": None, "n": 1}}
    assert _estimate("reward", "after", found, items)[1:] == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("right", "worth"),
    [
        ([1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0], 4.0),  # a prompt's pairs say one thing
        ([1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0], 12.0),  # they differ as those of other prompts do, and no less
        ([1] * 12, 4.0),
    ],
)
def test_pairs_of_a_prompt_are_not_independent(right, worth):
    prompts = [f"prompt {i // 3}" for i in range(12)]
    items = pd.DataFrame({"right": ["a"] * 12, "chosen_after": ["ba"[x] for x in right], "prompt": prompts})
    share = float(np.mean(right))
    found = {"accuracy_after": {"mean": share, "se": None, "n": 1}}
    assert independent(np.array(right, float), prompts) == pytest.approx(worth)
    assert _estimate("accuracy", "after", found, items)[1:] == pytest.approx(wilson(share, worth))
    if 0 < share < 1 and worth < 12:
        means = np.array(right, float).reshape(4, 3).mean(axis=1)
        assert mean_and_se(np.array(right, float), prompts)[1] == pytest.approx(means.std(ddof=1) / 2)


@pytest.mark.parametrize(("values", "runs"), [([0.5, 0.5], 1), ([0.5, 0.5], 2)])
def test_numbers_that_are_all_the_same_have_no_interval(values, runs):
    found = {"reward_after": {"mean": 0.5, "se": None if runs == 1 else 0.0, "n": runs}}
    items = pd.DataFrame({"reward_after": values, "prompt": ["a", "b"]})
    assert np.isnan(_estimate("reward", "after", found, items)[1:]).all()
