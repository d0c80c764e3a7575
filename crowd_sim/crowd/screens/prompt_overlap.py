"""Screen `prompt_overlap`: who answers with the prompt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.screens.rule import Screen, above
from crowd_sim.crowd.screens.shingles import shingles
from crowd_sim.crowd.screens.texts import TextEvidence


def prompt_overlap(evidence: TextEvidence) -> NDArray[np.float64]:
    """Mean share of a response's 5-shingles that its prompt has, too: the containment of Broder (SEQUENCES 1997)."""
    found = [
        len(response & shingles(example.prompt)) / len(response)
        for own in evidence.examples
        for example in own
        for response in (shingles(example.response),)
    ]
    return evidence.share(np.array(found, dtype=np.float64))


PROMPT_OVERLAP = Screen(prompt_overlap, above(0.5))
"""Flagged: more than half of what it says stands in the prompts."""
