"""Screen `near_model`: who gives back the model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.screens.rule import Screen, above, nearer_than
from crowd_sim.crowd.screens.vectors import VectorEvidence


def near_model(evidence: VectorEvidence) -> NDArray[np.float64]:
    """1 − nearness / median nearness: 1 for an echo, about 0 for the crowd.

    Source: free riders return what they were sent, Fraboni, Vidal, Lorenzi (AISTATS 2021).
    """
    return nearer_than(evidence.nearness)


NEAR_MODEL = Screen(near_model, above(0.75))
"""Flagged: nearer to the model than a quarter of the crowd's median."""
