"""Who is one person behind several accounts: clusters of near-identical contributors, each of which is paid once.

Accounts are clustered by what they contributed on average over the rounds, so that noise which is drawn anew every round
averages out, by complete linkage: no two members of a cluster are farther apart than its diameter. How near is too near is
relative to the crowd: `DIAMETER` times the upper quartile of the distances to the nearest neighbour, a quantile that
accounts which sit on top of each other do not move until they are most of the crowd.

The *quotient*: a cluster is one player who contributes its members' mean, and has the mean of their points. What it earns is
divided equally among its accounts. A worker who opens more of them changes nothing for the others, and earns the same.

What it cannot see: identities whose fixed noise is as large as the distance between honest neighbours, and workers who are
honest and as alike as that, who share one pay.
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

DIAMETER, QUANTILE = 0.23, 0.75
MOST_MERGED = 5_000
"""Workers whose distances, one of each pair, are held at a time."""


def merged(contributions: NDArray[np.float64], diameter: float = DIAMETER) -> NDArray[np.int64]:
    """Clusters int64[n] of contributors float64[n, d], numbered by their first member."""
    if len(contributions) < 2:
        return np.zeros(len(contributions), dtype=np.int64)
    distances = scipy.spatial.distance.pdist(contributions)
    apart = scipy.spatial.distance.squareform(distances)
    np.fill_diagonal(apart, np.inf)
    reach = diameter * float(np.quantile(apart.min(axis=1), QUANTILE))
    tree = scipy.cluster.hierarchy.linkage(distances, "complete")
    found = scipy.cluster.hierarchy.fcluster(tree, reach, "distance")
    return numbered(found.astype(np.int64))


def numbered(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Labels int64[n] as numbers from 0, in the order of their first member."""
    _, first, which = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[which.ravel()].astype(np.int64)


def means(rows: NDArray[np.float64], clusters: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of the rows float64[n, ...] of each cluster: float64[clusters, ...]; equal rows give that row, to the last bit."""
    order = np.argsort(clusters, kind="stable")
    starts = np.flatnonzero(np.diff(clusters[order], prepend=-1))
    first = rows[order][starts]
    counts = np.bincount(clusters).reshape(-1, *[1] * (rows.ndim - 1))
    off = np.add.reduceat(rows[order] - first[clusters[order]], starts, axis=0)
    return np.asarray(first + off / counts)
