"""How likely a model finds the target's texts: what candidates and coalitions are judged by where nothing is drawn.

A mean over texts that are always the same has none of the noise of outputs, and costs one forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.texts import Example, Item, TextCrowd
from crowd_sim.models.adapters import Adapter
from crowd_sim.models.jobs import ChoiceJob


class Reader(Protocol):
    """What reads texts: a learner, or those who ask one."""

    def choose(self, jobs: Sequence[ChoiceJob]) -> list[NDArray[np.float64]]:
        """Summed log-probabilities of the items' choices: float64[m, c] per job."""

    def count(self, groups: Sequence[Sequence[Example]]) -> list[int]:
        """Response tokens of each group's examples."""


def likelihoods(reader: Reader, adapters: Sequence[Adapter], crowd: TextCrowd) -> list[NDArray[np.float64]]:
    """Mean log-probability of the tokens of each of the target's texts, in nats: float64[t] per adapter; NaN if diverged."""
    if not adapters:
        return []
    texts = crowd.validation()
    items = tuple(Item(example.prompt, (example.response,), 0, example.before) for example in texts)
    n_tokens = np.array(reader.count([[example] for example in texts]))
    return [found[:, 0] / n_tokens for found in reader.choose([ChoiceJob(adapter, items) for adapter in adapters])]
