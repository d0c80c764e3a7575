"""Screen `repetition`: who says the same over and over."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.screens.rule import Screen, above
from crowd_sim.crowd.screens.texts import TextEvidence


def repetition(evidence: TextEvidence) -> NDArray[np.float64]:
    """The share of its examples that are near-duplicates of another of its own. Of a single example nothing can be said.

    Source: spammers of Raykar and Yu, "Eliminating spammers and ranking annotators" (JMLR 2012).
    """
    pairs = evidence.pairs
    found = np.zeros(len(evidence.workers), dtype=np.bool_)
    found[pairs[evidence.workers[pairs[:, 0]] == evidence.workers[pairs[:, 1]]]] = True
    return evidence.share(found)


REPETITION = Screen(repetition, above(0.5))
"""Flagged: more than half of its examples repeat one another."""
