"""Figures of fairness by hand."""

import numpy as np
import pytest

from crowd_sim.payment.fairness import auc, envy, figures, gaining, gini, jain, per_head, sybil_gain

PAY = np.array([[1.0, 2.0, 3.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
VALUES = np.array([[1.0, 3.0, 2.0, 0.0], [4.0, 4.0, 4.0, 4.0]])
BAD = np.array([[False, False, False, True]] * 2)


def test_by_hand():
    np.testing.assert_allclose(jain(PAY), [36 / (4 * 14), 1])
    np.testing.assert_allclose(gini(PAY), [(1 + 2 + 1 + 1 + 3 + 2) * 2 / (2 * 4**2 * 1.5), 0])
    np.testing.assert_allclose(envy(PAY, VALUES), [1 / 6, np.nan])  # of six pairs, the one of 2 and 3
    np.testing.assert_allclose(gaining(PAY, VALUES), [3 / 4, 1])
    np.testing.assert_allclose(per_head(PAY, BAD), [0, 1])
    np.testing.assert_allclose(auc(PAY, BAD), [1, 0.5])
    np.testing.assert_allclose(sybil_gain(PAY, np.array([[0, 1, 1, 3]] * 2)), [5 / 0.5, 2])


def test_what_is_not_known_is_nan():
    found = figures(PAY, None, BAD & False, None)
    for name in ("pay_spearman", "pay_envy", "pay_gaining", "pay_per_head", "pay_auc"):
        assert np.isnan(found[name]).all()
    assert np.isnan(per_head(np.array([[0.0, 0.0, 0.0, 2.0]]), BAD[:1])).all()  # no other is paid
    assert found["pay_effective_workers"] == pytest.approx([36 / 14, 4])
    assert np.isnan(sybil_gain(PAY, np.array([[0, 1, 2, 3]] * 2))).all()
