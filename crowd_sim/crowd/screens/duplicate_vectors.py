"""Screen `duplicates` of vectors: whose mean contribution is another's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.screens.rule import Screen, above, nearer_than
from crowd_sim.crowd.screens.vectors import VectorEvidence

NEAR = 0.1
"""The distance of duplicates, as a share of the crowd's median."""


def neighbour_distances(mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each worker's mean contribution to the nearest other: float64[n, d] → float64[n]; 0 for one alone."""
    from scipy.spatial import cKDTree  # actors, which screen nobody, start without it

    if len(mean) < 2:
        return np.zeros(len(mean))
    found = np.asarray(cKDTree(mean).query(mean, k=2)[0], dtype=np.float64)
    return found[:, 1]


def duplicates(evidence: VectorEvidence) -> NDArray[np.float64]:
    """1 − distance to the nearest other / its median: 1 for a duplicate, about 0 for the crowd. Whom a mimic copies, too.

    Source: similarity of contributions betrays sybils, FoolsGold, Fung, Yoon, Beschastnikh (RAID 2020).
    """
    return nearer_than(neighbour_distances(evidence.mean))


def copies(evidence: VectorEvidence) -> NDArray[np.int64]:
    """How many workers, itself among them, each worker is a duplicate of, through others as well: int64[n] ≥ 1.

    Two are duplicates whose distance is below `NEAR` × the median distance to the nearest other.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    distances = neighbour_distances(evidence.mean)
    there = distances[distances > 1e-9 * distances.max(initial=0.0)]
    n = len(distances)
    if n < 3 or not len(there):
        return np.ones(n, dtype=np.int64)
    pairs = cKDTree(evidence.mean).query_pairs(NEAR * float(np.median(there)), output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, labels = connected_components(graph, directed=False)
    return np.bincount(labels)[labels].astype(np.int64)


DUPLICATES = Screen(duplicates, above(1 - NEAR))
"""Flagged: nearer to another than a tenth of the crowd's median."""
