"""The screens of texts before the first round: who is flagged, and which examples stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config.screens import ScreensConfig
from crowd_sim.crowd.screens import TEXT_SCREENS, screened
from crowd_sim.crowd.screens.duplicate_texts import kept
from crowd_sim.crowd.screens.texts import TextEvidence
from crowd_sim.crowd.texts import TextCrowd
from crowd_sim.errors import InputError
from crowd_sim.tasks.adapters.screened_crowd import ScreenedCrowd

Embed = Callable[[Sequence[str]], NDArray[np.float64]]
"""Φ: m texts → float64[m, d]."""


def screen(screens: ScreensConfig, crowd: TextCrowd, embed: Embed, target: NDArray[np.float64]) -> ScreenedCrowd:
    """Screen a crowd; target float64[d] is where Φ should lead.

    Raises:
        InputError: no example would stay.
    """
    offsets = embed([example.response for own in crowd.examples for example in own]) - target
    ends = np.cumsum([len(own) for own in crowd.examples])[:-1]
    evidence = TextEvidence(crowd.examples, np.split(offsets, ends))
    found = screened(TEXT_SCREENS, evidence, screens.use)
    if screens.action == "report":
        return ScreenedCrowd(crowd, found)
    stay = kept(evidence) if screens.action == "merge" else ~found.flagged[evidence.workers]
    if not stay.any():
        raise InputError("screens.action", screens.action, "must be report: no example of the crowd would stay")
    left = [
        tuple(example for example, stays in zip(own, its, strict=True) if stays)
        for own, its in zip(crowd.examples, np.split(stay, ends), strict=True)
    ]
    return ScreenedCrowd(replace(crowd, examples=tuple(left), asked=crowd.prompts, screened=True), found)
