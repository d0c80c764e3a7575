"""Behaviour `alie`: a little is enough."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.behaviours.base import BadBehaviour, Members, everyone, per_shard


@per_shard
def alie(members: Members) -> NDArray[np.float64]:
    """Contributes μ − s z σ. Strength s: 1.5; 1 is the paper's.

    z = Φ⁻¹((n − m − k) / (n − m)) with k = max(⌊n / 2⌋ + 1 − m, 1), for m bad of n workers; at least 0.

    Source: Baruch, Baruch, Goldberg, "A little is enough: circumventing defenses for distributed learning" (NeurIPS 2019).
    """
    n, bad = members.n_workers, members.n_bad
    supporters = max(n // 2 + 1 - bad, 1)
    share = min(max((n - bad - supporters) / (n - bad), 0.5), 1 - 1e-9)
    deviation = members.strength * NormalDist().inv_cdf(share)
    return everyone(members, members.facts["mean"] - deviation * members.facts["sd"])


ALIE = BadBehaviour(alie, needs=("mean", "sd"), strength=1.5, alike=True)
