"""Screen `target_distance`: whose responses are, taken together, far from the target."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.screens.rule import Screen, outlying
from crowd_sim.crowd.screens.texts import TextEvidence


def target_distance(evidence: TextEvidence) -> NDArray[np.float64]:
    """‖mean Φ of its m examples − target‖₂ over what it is by chance and by the crowd's own bias, √(b² + s²/m).

    b is how far the crowd is from the target: the length of the median, in each coordinate, of the workers' means. s² is the
    spread of one example: the median of m ‖mean − that median‖². The mean of Φ tells more than the mean distance does: single
    examples are far from the target in all directions, the mean of honest ones is not. 0 for a worker without examples.

    Source: the Φ-distance of the tournament itself, on contributions in place of a model's outputs (arXiv 2506.04063).
    """
    sizes = np.array([len(own) for own in evidence.offsets])
    there = sizes > 0
    found = np.zeros(len(sizes))
    if not there.any():
        return found
    means, sizes = np.array([own.mean(axis=0) for own in evidence.offsets if len(own)]), sizes[there]
    bias = np.median(means, axis=0)
    spread = np.median(sizes * ((means - bias) ** 2).sum(axis=1))
    expected = np.sqrt((bias**2).sum() + spread / sizes)
    found[there] = np.divide(np.sqrt((means**2).sum(axis=1)), expected, out=np.zeros(len(means)), where=expected > 0)
    return found


TARGET_DISTANCE = Screen(target_distance, outlying(2.0))
"""Flagged: more than twice as far as expected, and outlying among the workers."""
