"""The reward model: the maximum of its likelihood, and robust to pairs that are turned round."""

import numpy as np
import pytest
from scipy.optimize import minimize

from crowd_sim.models.reward_model import RIDGE, Reward, fit_reward


def pairs(n, noise, seed=0, d=12):
    draws = np.random.default_rng(seed)
    texts = draws.normal(size=(n, 2, d)) + draws.normal(size=(1, 1, d))
    better = (texts[:, 0, 0] > texts[:, 1, 0]) ^ (draws.random(n) < noise)
    return np.where(better[:, None], texts[:, 0], texts[:, 1]), np.where(better[:, None], texts[:, 1], texts[:, 0])


def test_weights_are_the_likeliest():
    chosen, rejected = pairs(80, 0.2)
    gaps = chosen - rejected
    gaps /= np.sqrt((gaps**2).mean(axis=0))
    best = minimize(lambda w: np.logaddexp(0, -gaps @ w).sum() + RIDGE / 2 * w @ w, np.zeros(12), tol=1e-12).x
    found = np.array(fit_reward(chosen, rejected).weights) * np.sqrt(((chosen - rejected) ** 2).mean(axis=0))
    assert found / np.linalg.norm(found) == pytest.approx(best / np.linalg.norm(best), abs=1e-5)
    told = fit_reward(chosen, rejected)(np.concatenate([chosen, rejected]))
    assert told.std() == pytest.approx(1.0)


@pytest.mark.parametrize(("noise", "least"), [(0.0, 0.93), (0.2, 0.75), (0.4, 0.65)])
def test_held_out_pairs_are_ordered_rightly(noise, least):
    found = [fit_reward(*pairs(240, noise, seed)).accuracy(*pairs(400, 0.0, seed + 10)) for seed in range(3)]
    assert np.mean(found) >= least


def test_what_no_pair_tells_apart_weighs_nothing():
    chosen, rejected = pairs(20, 0.0)
    chosen[:, 3] = rejected[:, 3] = 7.0
    assert fit_reward(chosen, rejected).weights[3] == 0
    assert set(fit_reward(chosen, chosen).weights) == {0.0}
    assert Reward((1.0, 0.0)).accuracy(np.ones((2, 2)), np.array([[0.0, 9], [1.0, 0]])) == 0.75
    assert Reward((1.0,)).accuracy(np.array([[np.nan]]), np.zeros((1, 1))) == 0
