import numpy as np
import pytest

from crowd_sim.payment.labels import _determinant


@pytest.mark.parametrize("n_classes", [2, 3, 4])
def test_determinants_are_those_of_the_joint_frequencies(n_classes):
    pairs = np.random.default_rng(n_classes).integers(n_classes, size=(40, 2))
    counts = np.zeros((n_classes, n_classes))
    np.add.at(counts, (pairs[:, 0], pairs[:, 1]), 1)
    counts[[0, 1]] = counts[[1, 0]]
    swapped = pairs.copy()
    swapped[:, 0] = np.where(pairs[:, 0] < 2, 1 - pairs[:, 0], pairs[:, 0])
    assert _determinant(swapped, n_classes) == pytest.approx(np.linalg.det(counts / 40), rel=1e-9)
    assert _determinant(np.zeros((5, 2), dtype=int), n_classes) == 0.0
