"""Clusters of near-identical contributors, and what a cluster stands for."""

import numpy as np

from crowd_sim.payment.merging import means, merged, numbered

CROWD = np.random.default_rng(0).normal(0.0, 3.0, (40, 20))


def test_accounts_of_one_person_are_one_cluster_and_others_are_not():
    noise = np.random.default_rng(1).normal(0.0, 0.1, (10, 20))
    clusters = merged(np.vstack([CROWD, CROWD[3] + noise]))
    assert len(set(clusters[40:].tolist()) | {clusters[3]}) == 1
    assert clusters.max() + 1 == 40


def test_most_of_the_crowd_may_be_one_person():
    clusters = merged(np.vstack([CROWD[:20], np.tile(CROWD[30], (40, 1))]))
    assert clusters.max() + 1 == 21


def test_no_cluster_is_wider_than_its_diameter():
    line = np.arange(12.0)[:, None] * 0.1
    clusters = merged(line, diameter=2.5)
    assert all(np.ptp(line[clusters == number]) <= 0.25 + 1e-9 for number in set(clusters.tolist()))
    assert 4 <= clusters.max() + 1 < 12


def test_order_of_workers_does_not_matter():
    crowd = np.vstack([CROWD, CROWD[:5]])
    order = np.random.default_rng(2).permutation(45)
    np.testing.assert_array_equal(numbered(merged(crowd)[order]), merged(crowd[order]))


def test_one_worker_and_workers_who_are_all_the_same():
    assert merged(CROWD[:1]).tolist() == [0]
    assert merged(np.ones((5, 2))).tolist() == [0] * 5


def test_means_of_equal_rows_are_that_row():
    rows = np.array([[0.1, 0.2], [1.0, 3.0], [0.1, 0.2], [3.0, 1.0], [0.1, 0.2]])
    assert means(rows, np.array([0, 1, 0, 1, 0])).tolist() == [[0.1, 0.2], [2.0, 2.0]]
