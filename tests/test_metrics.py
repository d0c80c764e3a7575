import numpy as np
import pytest
from scipy import stats

from crowd_sim.metrics import detection, mean_and_error, pearson, rounds_to_converge, spearman, summarise


def test_correlations_are_scipys():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, size=(6, 30)).astype(float), rng.normal(size=(6, 30))
    np.testing.assert_allclose(pearson(x, y), [stats.pearsonr(a, b).statistic for a, b in zip(x, y, strict=True)])
    np.testing.assert_allclose(spearman(x, y), [stats.spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)])


def test_a_constant_has_no_correlation():
    assert np.isnan(pearson(np.ones((1, 4)), np.arange(4.0)[None])).all()
    assert np.isnan(spearman(np.ones((1, 4)), np.arange(4.0)[None])).all()


def test_rounding_has_no_correlation():
    nearly = 0.1 + np.array([[0.0, 1.4e-17, 2.8e-17, -1.4e-17, 4.2e-17, 0.0]])
    for one, other in ((nearly, np.arange(6.0)[None]), (np.arange(6.0)[None], nearly)):
        assert np.isnan(pearson(one, other)).all()
        assert np.isnan(spearman(one, other)).all()
    assert np.isfinite(pearson(1e6 + np.arange(6.0)[None], np.arange(6.0)[None])).all()


def test_rounds_to_converge_is_the_first_round_within():
    distances = np.array([[9.0, 4.0, 9.0], [5.0, 6.0, 8.0], [4.0, 3.0, 7.0]])
    result = rounds_to_converge(distances, 5.0)
    assert result[:2].tolist() == [1.0, 0.0]
    assert np.isnan(result[2])


def test_means_leave_out_what_is_not_known():
    mean, error, n = mean_and_error(np.array([1.0, np.nan, 3.0]))
    assert (mean, error, n) == (2.0, pytest.approx(1.0), 2)
    assert summarise({"a": np.array([np.nan])}) == {"a": {"mean": None, "se": None, "n": 0}}
    assert summarise({"a": np.array([2.0])}) == {"a": {"mean": 2.0, "se": None, "n": 1}}


def test_detection_is_the_chance_that_a_bad_worker_has_less():
    bad = np.array([[True, False, False, True], [False, True, False, False]])
    found = detection({"points": np.array([[1.0, 2, 3, 2], [5, 5, 5, 5]])}, bad)
    assert found["detection_points"].tolist() == [3.5 / 4, 0.5]
