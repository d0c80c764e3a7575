"""The regression of a stratum: what weights and the jackknife are for."""

from dataclasses import replace

import numpy as np
import pytest

from crowd_sim.valuation.estimators.stratified.basis import Basis, Crowd
from crowd_sim.valuation.estimators.stratified.regression import fit
from crowd_sim.valuation.estimators.stratified.strata import draw, strata_of

N = 30


@pytest.fixture(params=["l1", "l2"])
def stratum_of_crowd(request, averaging_game):
    """A crowd, the stratum of its largest coalitions, 200 of them, what they show, and their weights."""
    game = averaging_game(N, d=1 if request.param == "l1" else 3, score=request.param)
    crowd, stratum = Crowd.of(game.vectors, game.target, request.param == "l1"), strata_of(N, 300)[-1]
    lists = draw(stratum, N, 200, 1, 2, 0)
    weights = stratum.weights[lists.sizes - stratum.low]
    return crowd, stratum, lists, crowd.coordinates(lists), game.at(lists), weights


def test_what_coefficients_lack_is_the_jackknife_s(stratum_of_crowd):
    crowd, stratum, _, points, utilities, weights = stratum_of_crowd
    assert np.ptp(weights) > 1
    basis, m = Basis.of(crowd, stratum), len(utilities)
    found = fit(crowd, basis, points, utilities, weights)
    others = []
    for s in range(m):
        rest = np.delete(np.arange(m), s)
        others.append(fit(crowd, basis, points[:, rest], utilities[rest], weights[rest]).coefficients)
    lacking = (m - 1) * (found.coefficients - np.mean(others, axis=0))
    assert np.abs(lacking).max() > 1e-6 * np.abs(found.coefficients).max()
    np.testing.assert_allclose(found.lacking, lacking, rtol=1e-6, atol=1e-9 * np.abs(found.coefficients).max())


def test_residuals_have_no_contrasts_along_the_vectors(stratum_of_crowd):
    crowd, stratum, lists, points, utilities, weights = stratum_of_crowd
    unshrunk = replace(Basis.of(crowd, stratum), penalty=np.zeros_like(Basis.of(crowd, stratum).penalty))
    axes = crowd.centred if crowd.l1 else (crowd.centred @ crowd.direction)[:, None]

    def along(by):
        parts = stratum.importance[lists.sizes - stratum.low] * fit(crowd, unshrunk, points, utilities, by).residuals
        return np.abs((parts @ lists.masks(N)) @ axes).max()

    assert along(weights) < 1e-9 * along(np.ones_like(weights))


@pytest.mark.parametrize("draws", [300, 5_000])
def test_weights_are_1_in_the_mean_and_for_a_single_size(draws):
    for stratum in strata_of(N, draws):
        assert (stratum.weights * stratum.chances).sum() == pytest.approx(1)
        if stratum.low == stratum.high:
            assert stratum.weights.tolist() == [1.0]
