"""Screen `duplicates` of texts: whose responses are others'."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.screens.rule import Screen, above
from crowd_sim.crowd.screens.texts import TextEvidence

_MOST = 0.75
"""Share of a worker's examples."""


def duplicates(evidence: TextEvidence) -> NDArray[np.float64]:
    """The share of its examples that are near-duplicates of another worker's, in 5-shingle Jaccard similarity.

    Who copies has duplicates of workers with few of them; who was copied of all its examples has them with copiers alone, and
    counts half.

    Source: Lee et al., "Deduplicating training data makes language models better" (ACL 2022).
    """
    between = evidence.workers[evidence.pairs]
    apart = between[:, 0] != between[:, 1]
    found = np.zeros(len(evidence.workers), dtype=np.bool_)
    found[evidence.pairs[apart]] = True
    share = evidence.share(found)
    both = np.concatenate([between[apart], between[apart, ::-1]])
    suspect = share > _MOST
    copies = np.zeros(len(share), dtype=np.bool_)  # suspects with duplicates of others than suspects
    copies[both[suspect[both[:, 0]] & ~suspect[both[:, 1]], 0]] = True
    copied = np.zeros(len(share), dtype=np.bool_)
    copied[both[copies[both[:, 1]], 0]] = True
    return np.where(suspect & ~copies & copied, share / 2, share)


def kept(evidence: TextEvidence) -> NDArray[np.bool_]:
    """Which examples stay where near-duplicates are merged: bool[N].

    Of two, the example of the worker with the smaller share of `duplicates` stays, of equals the first one: who copies of many
    has more duplicates than any of those.
    """
    share = duplicates(evidence)
    workers = evidence.workers
    order = np.lexsort((np.arange(len(workers)), share[workers]))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    neighbours: dict[int, list[int]] = {}
    for a, b in evidence.pairs.tolist():
        first, second = (a, b) if place[a] < place[b] else (b, a)
        neighbours.setdefault(second, []).append(first)
    found = np.ones(len(workers), dtype=np.bool_)
    for example in order.tolist():
        found[example] = not any(found[other] for other in neighbours.get(example, ()))
    return found


DUPLICATES = Screen(duplicates, above(_MOST))
"""Flagged: more than three quarters of its examples are another's."""
