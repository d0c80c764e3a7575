"""Screens: who is suspicious by what it contributes, for what no value can see.

A score per worker, higher is more suspicious, and a rule relative to the crowd (`crowd_sim.crowd.screens.rule`). None looks for
outliers among neighbours: where bad workers collude, they are the nearest neighbours, and the honest ones the outliers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.screens import duplicate_texts, duplicate_vectors
from crowd_sim.crowd.screens.constants import CONSTANTS
from crowd_sim.crowd.screens.disagreement import DISAGREEMENT, LabelEvidence
from crowd_sim.crowd.screens.inconsistency import INCONSISTENCY
from crowd_sim.crowd.screens.near_model import NEAR_MODEL
from crowd_sim.crowd.screens.peers import PEERS
from crowd_sim.crowd.screens.prompt_overlap import PROMPT_OVERLAP
from crowd_sim.crowd.screens.repetition import REPETITION
from crowd_sim.crowd.screens.rule import Screen
from crowd_sim.crowd.screens.shared_ngrams import SHARED_NGRAMS
from crowd_sim.crowd.screens.target_distance import TARGET_DISTANCE
from crowd_sim.crowd.screens.texts import TextEvidence
from crowd_sim.crowd.screens.vectors import VectorEvidence

E = TypeVar("E")

VECTOR_SCREENS: Mapping[str, Screen[VectorEvidence]] = {
    "near_model": NEAR_MODEL,
    "inconsistency": INCONSISTENCY,
    "duplicates": duplicate_vectors.DUPLICATES,
    "constants": CONSTANTS,
}

TEXT_SCREENS: Mapping[str, Screen[TextEvidence]] = {
    "duplicates": duplicate_texts.DUPLICATES,
    "repetition": REPETITION,
    "prompt_overlap": PROMPT_OVERLAP,
    "shared_ngrams": SHARED_NGRAMS,
    "target_distance": TARGET_DISTANCE,
}


LABEL_SCREENS: Mapping[str, Screen[LabelEvidence]] = {"expert": DISAGREEMENT}
"""Of labels and pairs."""

PAIR_SCREENS: Mapping[str, Screen[LabelEvidence]] = {**LABEL_SCREENS, "peers": PEERS}


@dataclass(frozen=True, eq=False)
class Screened:
    """What screens say of n workers.

    Attributes:
        scores: float64[n] by screen.
        flagged: bool[n], by any screen.
    """

    scores: Mapping[str, NDArray[np.float64]]
    flagged: NDArray[np.bool_]


def screened(screens: Mapping[str, Screen[E]], evidence: E, names: Collection[str] = ()) -> Screened:
    """What these screens say, all of them or those of these names."""
    used = {name: screen for name, screen in screens.items() if not names or name in names}
    scores = {name: screen.scores(evidence) for name, screen in used.items()}
    flags = [screen.rule(scores[name]) for name, screen in used.items()]
    return Screened(scores, np.any(flags, axis=0))
