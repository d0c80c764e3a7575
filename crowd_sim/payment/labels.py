"""Rules for workers who label the same items, from labels int64[items, workers], −1 where a worker has not seen an item.

Scores may be below 0, which a division takes as 0: of output agreement as it is, of `dmi` too, whose mean is 0 for whoever
says the same always or at random.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def gold_questions(labels: NDArray[np.int64], gold: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of the items with a known answer (gold int64[items], −1: unknown) that a worker saw and got right: float64[n]."""
    asked = (gold[:, None] >= 0) & (labels >= 0)
    right = asked & (labels == gold[:, None])
    return np.asarray(right.sum(axis=0) / np.maximum(asked.sum(axis=0), 1))


def output_agreement(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of the others who say the same of an item, averaged over the items a worker saw with others: float64[n].

    Source: von Ahn and Dabbish, *Designing games with a purpose*, CACM 51, 2008. All saying the same pays all.
    """
    seen = labels >= 0
    same = np.zeros(labels.shape)
    for label in np.unique(labels[seen]):
        says = labels == label
        same += says * (says.sum(axis=1, keepdims=True) - 1)
    others = np.where(seen, seen.sum(axis=1, keepdims=True) - 1, 0)
    shares = np.divide(same, others, out=np.zeros(labels.shape), where=others > 0)
    return np.asarray(shares.sum(axis=0) / np.maximum((others > 0).sum(axis=0), 1))


def dmi(labels: NDArray[np.int64], n_classes: int) -> NDArray[np.float64]:
    """Determinant-based mutual information of a worker with each other one, on average: float64[n].

    Source: Kong, *Dominantly truthful multi-task peer prediction with a constant number of tasks*, SODA 2020. The items that
    both have labelled are cut in two by turns; of each half the joint counts of labels are a matrix over the number of items,
    and the score is the product of the two determinants. It is 0 in the mean for whoever reports without looking: constant
    reports make singular matrices, independent ones have a mean of rank one. A pair with fewer than `n_classes` items in
    common in either half scores 0.
    """
    n = labels.shape[1]
    scores = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            both = labels[(labels[:, i] >= 0) & (labels[:, j] >= 0)][:, [i, j]]
            halves = both[::2], both[1::2]
            if len(halves[1]) >= n_classes:
                scores[i, j] = scores[j, i] = np.prod([_determinant(half, n_classes) for half in halves])
    return np.asarray(scores.sum(axis=1) / max(n - 1, 1))


def _determinant(pairs: NDArray[np.int64], n_classes: int) -> float:
    """Of the joint counts over the number of pairs, by elimination without fractions (Bareiss 1968), so exactly."""
    counts = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(counts, (pairs[:, 0], pairs[:, 1]), 1)
    rows, sign, before = [[int(count) for count in row] for row in counts], 1, 1
    for k in range(n_classes - 1):
        pivot = next((r for r in range(k, n_classes) if rows[r][k]), None)
        if pivot is None:
            return 0.0
        if pivot != k:
            rows[k], rows[pivot], sign = rows[pivot], rows[k], -sign
        for r in range(k + 1, n_classes):
            own = rows[r]
            rows[r] = [(own[c] * rows[k][k] - own[k] * rows[k][c]) // before for c in range(n_classes)]
        before = rows[k][k]
    return sign * rows[-1][-1] / len(pairs) ** n_classes  # of whole numbers
