import math

import numpy as np

from crowd_sim.elementary import exp, exp_in_place, log, log_factorials


def test_they_are_numpy_s_to_the_last_digits():
    x = np.concatenate([np.linspace(-740.0, 709.0, 20_001), np.linspace(-1e-3, 1e-3, 101), [0.0]])
    np.testing.assert_allclose(exp(x), np.exp(x), rtol=5e-16, atol=1e-323)
    x = np.concatenate([np.geomspace(1e-307, 1e307, 20_001), np.linspace(0.9, 1.1, 1_001), [5e-324]])
    np.testing.assert_allclose(log(x), np.log(x), rtol=5e-16)


def test_many_exponentials_at_a_time():
    x = np.append(np.linspace(-700.0, 700.0, 20_003), -900.0)
    found = x.copy()
    exp_in_place(found)
    np.testing.assert_allclose(found, np.exp(np.maximum(x, -700.0)), rtol=5e-16)


def test_beyond_their_ranges():
    assert exp(np.array([-np.inf, -800.0, 800.0, np.inf])).tolist() == [0.0, 0.0, np.inf, np.inf]
    assert log(np.array([0.0, np.inf])).tolist() == [-np.inf, np.inf]
    assert np.isnan([exp(np.nan), log(np.nan), log(-1.0)]).all()


def test_logarithms_of_factorials():
    np.testing.assert_allclose(log_factorials(170), [math.lgamma(k + 1.0) for k in range(171)], rtol=1e-14)
