"""Screen `peers`: whose preferences a reward fitted to all others' would not have given."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.screens.disagreement import LabelEvidence, disagreement
from crowd_sim.crowd.screens.rule import Screen

_LEAST = 0.03
"""Share of pairs that others' reward orders otherwise, at least, though nobody is bad: it sees what Φ sees."""


def excess(evidence: LabelEvidence) -> NDArray[np.float64]:
    """By how many standard deviations a worker is contradicted in more of its m pairs than the better half of the crowd is.

    Of m pairs contradicted with probability p that is √(p (1 − p) / m); p is the mean share of the workers at most at the
    median, at least 0.03. (Their own spread, of six workers of twelve, is too uncertain a yardstick.) 0 for one without pairs.
    """
    shares, sizes = disagreement(evidence), np.array([len(own) for own in evidence])
    usual = float(np.clip(shares[shares <= np.median(shares)].mean(), _LEAST, 1 - _LEAST))
    return np.where(sizes > 0, (shares - usual) * np.sqrt(sizes / (usual * (1 - usual))), 0.0)


def _three(scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    return scores > 3


PEERS = Screen(excess, _three)
"""Flagged: above three standard deviations."""
