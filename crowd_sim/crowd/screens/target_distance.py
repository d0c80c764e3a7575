"""Screen `target_distance`: whose responses are, taken together, far from the target."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.screens.rule import Screen, outlying
from crowd_sim.crowd.screens.texts import TextEvidence

_FARTHEST = 1e9


def target_distance(evidence: TextEvidence) -> NDArray[np.float64]:
    """‖mean Φ of its m examples − target‖₂ over what it is by chance and by the crowd's own bias, √(b² + s²/m).

    b is how far the crowd is from the target: the length of the median, in each coordinate, of the workers' means. s² is the
    spread of one example: the median of m ‖mean − that median‖². The mean of Φ tells more than the mean distance does: single
    examples are far from the target in all directions, the mean of honest ones is not. 0 for a worker without examples; at most
    a billion, which is also said of one whose Φ is no number.

    Source: the Φ-distance of the tournament itself, on contributions in place of a model's outputs (arXiv 2506.04063).
    """
    sizes = np.array([len(own) for own in evidence.offsets])
    there = sizes > 0
    found = np.zeros(len(sizes))
    if not there.any():
        return found
    means, sizes = np.array([own.mean(axis=0) for own in evidence.offsets if len(own)]), sizes[there]
    known = np.isfinite(means).all(axis=1)
    largest = np.abs(means[known]).max(initial=0.0)
    if largest > 0:
        near = means[known] / largest  # so that no square is lost
        bias = np.median(near, axis=0)
        spread = np.median(sizes[known] * ((near - bias) ** 2).sum(axis=1))
        expected = np.sqrt((bias**2).sum() + spread / sizes[known])
        known_scores = np.sqrt((near**2).sum(axis=1)) / np.maximum(expected, 1 / _FARTHEST)
    else:
        known_scores = np.zeros(known.sum())
    scores = np.full(len(means), _FARTHEST)
    scores[known] = np.minimum(known_scores, _FARTHEST)
    found[there] = scores
    return found


TARGET_DISTANCE = Screen(target_distance, outlying(2.0))
"""Flagged: more than twice as far as expected, and outlying among the workers."""
