"""Coalitions as lists of their members: what a small coalition of a large crowd costs does not grow with the crowd."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Lists:
    """Coalitions, one list of players after the other.

    Attributes:
        members: int32[total], the players of the first coalition in any order, then those of the second, ….
        ends: int64[m], where in ``members`` each list ends.
    """

    members: NDArray[np.int32]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """How many players each coalition has: int64[m]."""
        sizes = self.ends.copy()
        sizes[1:] -= self.ends[:-1]
        return sizes

    def __getitem__(self, rows: slice) -> Lists:
        """Consecutive coalitions, as rows of an array are taken; a view of the members."""
        start = rows.indices(len(self))[0]
        first = int(self.ends[start - 1]) if start else 0
        ends = self.ends[rows] - first
        return Lists(self.members[first : first + int(ends[-1]) if len(ends) else first], ends)

    def masks(self, n_players: int) -> NDArray[np.bool_]:
        """The same coalitions as bool[m, n]."""
        out = np.zeros((len(self), n_players), dtype=np.bool_)
        _mark(self.members, self.ends, out)
        return out

    @staticmethod
    def joined(parts: Sequence[Lists]) -> Lists:
        """The coalitions of all parts, in their order."""
        if not parts:
            return Lists(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int64))
        before = np.cumsum([0] + [len(part.members) for part in parts])
        ends = [part.ends + start for part, start in zip(parts, before, strict=False)]
        return Lists(np.concatenate([part.members for part in parts]), np.concatenate(ends))

    @staticmethod
    def equal(players: NDArray[np.int_]) -> Lists:
        """Coalitions of one size: the rows of ``players`` [m, k]."""
        m, k = players.shape
        return Lists(players.astype(np.int32).ravel(), np.arange(1, m + 1) * k)


@numba.njit(cache=True)
def _mark(members: NDArray[np.int32], ends: NDArray[np.int64], out: NDArray[np.bool_]) -> None:
    start = 0
    for row in range(len(ends)):
        for t in range(start, ends[row]):
            out[row, members[t]] = True
        start = ends[row]
