"""Screen `constants`: whose mean contribution says the same of everything."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.screens.rule import Screen, above, nearer_than
from crowd_sim.crowd.screens.vectors import VectorEvidence


def constants(evidence: VectorEvidence) -> NDArray[np.float64]:
    """1 − standard deviation over coordinates / its median: 1 for a constant. Of one coordinate nothing can be said.

    Source: straight-lining in surveys, Krosnick (Applied Cognitive Psychology 1991); spammers of Raykar and Yu (JMLR 2012).
    """
    return nearer_than(evidence.mean.std(axis=1))


CONSTANTS = Screen(constants, above(0.9))
"""Flagged: varies less over its coordinates than a tenth of the crowd's median."""
