"""Screen `inconsistency`: whose contributions differ from round to round."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.screens.rule import Screen, outlying
from crowd_sim.crowd.screens.vectors import VectorEvidence


def inconsistency(evidence: VectorEvidence) -> NDArray[np.float64]:
    """Root mean squared deviation from its own mean, in units of the median distance of workers from the crowd's median.

    Source: test and retest, the intra-rater reliability of Shrout and Fleiss (Psychological Bulletin 1979).
    """
    if len(evidence.mean) == 0:
        return np.zeros(0)
    apart = np.sqrt(((evidence.mean - np.median(evidence.mean, axis=0)) ** 2).sum(axis=1))
    own = np.sqrt(evidence.spread)
    unit = float(np.median(apart[apart > 0])) if (apart > 0).any() else 1.0
    return own / unit


INCONSISTENCY = Screen(inconsistency, outlying(0.1))
"""Flagged: deviates from itself by more than a tenth of what workers differ by."""
