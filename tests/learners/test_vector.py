import numpy as np

from crowd_sim.tasks.vector import tune


def test_a_candidate_moves_towards_the_weighted_centroid():
    models = np.array([[1.0, 1.0]])
    sums = np.array([[[6.0, 2.0, 2.0], [0.0, 10.0, 5.0]]])  # centroids (3, 1) and (0, 2)
    candidates = tune(models, sums, np.array([0.1]))
    np.testing.assert_allclose(candidates, [[[1.2, 1.0], [0.9, 1.1]]])


def test_a_group_without_weight_leaves_the_model():
    models = np.array([[1.0, 2.0]])
    assert tune(models, np.zeros((1, 1, 3)), np.array([0.5])).tolist() == [[[1.0, 2.0]]]
