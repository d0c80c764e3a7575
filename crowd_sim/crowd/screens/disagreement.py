"""Screen `expert`: whose labels, or preferences, a model tuned on a few trusted records would not have given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.screens.rule import Screen, above

LabelEvidence = Sequence[NDArray[np.float64]]
"""float64[m] of each worker: how likely a model of others finds each of its choices, among all."""


def disagreement(evidence: LabelEvidence) -> NDArray[np.float64]:
    """1 − the mean probability of its choices, in [0, 1]; 0 for a worker without any.

    Source: Northcutt, Jiang, Chuang, "Confident learning" (JAIR 2021), by worker.
    """
    return np.array([1 - float(own.mean()) if len(own) else 0.0 for own in evidence])


DISAGREEMENT = Screen(disagreement, above(0.5))
"""Flagged: more wrong than right by the expert's model, and nearer to all wrong than the crowd's median is."""
