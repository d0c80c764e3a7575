"""How much effort a payment calls for: a symmetric game of effort on a grid.

Everyone chooses an effort e in [0, 1], which costs them c e in units of the mean pay, and lowers the noise of what they
contribute. Pays come from wherever a rule's pays come from: a closed form, or simulated runs. A worker who deviates, alone,
from the effort that all others make gains pay and saves, or spends, cost; an effort from which no deviation gains is a
symmetric equilibrium. One that lies between two efforts of the grid is looked for on the line between their pays, and told as
the nearer of them. Simulated pays have standard errors, over runs that share their draws between deviations: a gain of up
to twice its standard error is none.

The oracle is the contest of Tullock (*Efficient rent seeking*, 1980): where the share of a prize of n is eʳ over the sum of
all, the symmetric equilibrium is e = r (n − 1) / (n c), as long as that is at most 1 and r at most n / (n − 1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pays = Callable[[float, float], NDArray[np.float64]]
"""Pays float64[m] of a worker in m runs, over the mean pay, by the effort of all others and its own."""

_SURE = 2.0
"""Standard errors that a deviation must gain to be one."""

_BETWEEN = 41
"""Efforts that are looked at between two neighbours of the grid."""


@dataclass(frozen=True, eq=False)
class EffortGame:
    """Pays on a grid of efforts.

    Attributes:
        levels: float64[L], rising.
        cost: c.
        pays: float64[L, L, m], by the others' effort and one's own.
    """

    levels: NDArray[np.float64]
    cost: float
    pays: NDArray[np.float64]

    @classmethod
    def of(cls, pays: Pays, levels: NDArray[np.float64], cost: float) -> EffortGame:
        """All pairs of efforts."""
        return cls(levels, cost, np.array([[pays(others, own) for own in levels] for others in levels]))

    @property
    def utilities(self) -> NDArray[np.float64]:
        """Mean pay less cost, float64[L, L]."""
        return np.asarray(self.pays.mean(axis=2) - self.cost * self.levels)

    @property
    def gains(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What deviating from the others' effort gains, and its standard error: float64[L, L] each."""
        n_runs = self.pays.shape[2]
        same = self.pays[np.arange(len(self.levels)), np.arange(len(self.levels))]
        more = self.pays - same[:, None, :] - self.cost * (self.levels - self.levels[:, None])[:, :, None]
        error = more.std(axis=2, ddof=1) / np.sqrt(n_runs) if n_runs > 1 else np.zeros(more.shape[:2])
        return more.mean(axis=2), error

    @property
    def best(self) -> NDArray[np.int64]:
        """The best response to each effort of the others, by number: int64[L]; the least of equal ones."""
        return self.utilities.argmax(axis=1)

    @property
    def equilibria(self) -> NDArray[np.int64]:
        """The numbers of all efforts from which no deviation gains, in the sense of the module."""
        gain, error = self.gains
        rounding = 1e-12 * max(1.0, float(np.abs(self.utilities).max()))
        stays = np.asarray((gain <= _SURE * error + rounding).all(axis=1), dtype=np.bool_)
        best, found, between = self.best, stays.copy(), np.linspace(0.0, 1.0, _BETWEEN)
        for low in range(len(best) - 1):
            if best[low] > low and best[low + 1] <= low and not stays[low : low + 2].any():
                rows = np.outer(1.0 - between, self.utilities[low]) + np.outer(between, self.utilities[low + 1])
                nearer = low + (between >= 0.5)
                found[nearer[rows.argmax(axis=1) == nearer]] = True
        return np.flatnonzero(found)

    def settles(self, start: int) -> list[int]:
        """Where all end who move a step towards the best response at a time, from a number on: an effort, or two in turn."""
        before, now, best = -1, start, self.best
        while (after := now + int(np.sign(best[now] - now))) not in (before, now):
            before, now = now, after
        return sorted({now, after})

    @property
    def regret(self) -> tuple[float, float]:
        """What the best deviation from full effort gains where all others make it, and its standard error."""
        gain, error = self.gains
        most = int(gain[-1].argmax())
        return float(gain[-1, most]), float(error[-1, most])
