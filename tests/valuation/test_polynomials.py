"""Closed-form contrasts against enumeration."""

import itertools

import numpy as np
import pytest

from crowd_sim.valuation.estimators.stratified.polynomials import contrasts_l1, contrasts_l2, moments_l2


def enumerated(functions, masks):
    """Mean of each function over the coalitions with a player, less that over those without: [n, functions]."""
    return np.array([functions[with_it].mean(axis=0) - functions[~with_it].mean(axis=0) for with_it in masks.T])


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8])
def test_contrasts_are_those_of_all_coalitions(n):
    rng = np.random.default_rng(n)
    vectors, offset = rng.exponential(size=(n, 3)), rng.normal(size=3)
    vectors -= vectors.mean(axis=0)
    l1, l2 = [np.zeros((n, 12))], [np.zeros((n, 8))]
    for k in range(1, n):
        members = np.array(list(itertools.combinations(range(n), k)))
        masks = np.zeros((len(members), n), dtype=bool)
        np.put_along_axis(masks, members, True, axis=1)
        u = vectors[members].mean(axis=1)
        z, q = u @ offset, (u * u).sum(axis=1)
        l1.append(enumerated(np.stack([u, u**2, u**3, u**4], axis=-1).reshape(len(u), -1), masks))
        l2.append(enumerated(np.stack([z, q, z**2, z * q, q**2, z**3, z**2 * q, z**4], axis=-1), masks))
        np.testing.assert_allclose(contrasts_l1(vectors, k, k), l1[-1], atol=1e-12)
        np.testing.assert_allclose(contrasts_l2(*moments_l2(vectors, offset), k, k), l2[-1], atol=1e-10)
    np.testing.assert_allclose(contrasts_l1(vectors, 1, n - 1), sum(l1), atol=1e-12)
    np.testing.assert_allclose(contrasts_l2(*moments_l2(vectors, offset), 1, n - 1), sum(l2), atol=1e-10)
