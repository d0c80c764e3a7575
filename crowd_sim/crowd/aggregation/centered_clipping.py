"""Centered clipping: from the round's model on, the mean of the members' steps, each cut to a radius τ.

v ← v + Σ w min(1, τ/‖c − v‖) (c − v) / Σ w, a fixed number of times. Source: Karimireddy, He, Jaggi, "Learning from history for
Byzantine robust optimization", ICML 2021 (arXiv 2012.10333).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.aggregation.base import settled
from crowd_sim.crowd.aggregation.reweighted import Reweighted
from crowd_sim.crowd.protocol import Crowd
from crowd_sim.tournament.request import RoundRequest


@dataclass(frozen=True)
class CenteredClipping:
    """See the module.

    Attributes:
        radius: τ.
        passes: over the crowd.
    """

    radius: float
    passes: int = 3

    def __call__(self, crowd: Crowd, asked: RoundRequest) -> NDArray[np.float64]:
        """A group whose weights are 0 keeps the model."""
        points = np.repeat(asked.models[:, None, :], asked.n_groups, axis=1)
        weight = np.zeros((*points.shape[:2], 1))
        for _ in range(self.passes):
            sums = crowd.fold(asked, Reweighted(points, points, self.radius, self.radius))
            weight = sums[:, :, -1:]
            points = points + np.divide(sums[:, :, :-2], weight, out=np.zeros(points.shape), where=weight > 0)
        return settled(points, weight[:, :, 0] > 0)
