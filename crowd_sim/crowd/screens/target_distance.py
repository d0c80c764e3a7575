"""Screen `target_distance`: whose responses are far from the target."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.screens.rule import Screen, deviation_below, outlying
from crowd_sim.crowd.screens.texts import TextEvidence


def target_distance(evidence: TextEvidence) -> NDArray[np.float64]:
    """Mean ‖Φ(response) − target‖₂ of its m examples less the crowd's median of it, in standard errors.

    A standard error is what the crowd's examples deviate below their median, over √m: who has few examples may be farther away
    by chance. 0 for a worker without examples.

    Source: the score of the tournament itself, on contributions in place of a model's outputs (arXiv 2506.04063).
    """
    sizes = np.array([len(own) for own in evidence.distances])
    there = sizes > 0
    found = np.zeros(len(sizes))
    if not there.any():
        return found
    means = np.array([own.mean() for own in evidence.distances if len(own)])
    deviation = deviation_below(np.concatenate(list(evidence.distances)))
    if deviation > 0:
        found[there] = (means - np.median(means)) / (deviation / np.sqrt(sizes[there]))
    return found


TARGET_DISTANCE = Screen(target_distance, outlying(3.0))
"""Flagged: more than three standard errors above the crowd's median, by examples and by workers."""
