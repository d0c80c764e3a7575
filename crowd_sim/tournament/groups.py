"""Who is in which group."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


class Groups:
    """The groups of B runs' workers, dealt from the first worker on, only as far as somebody asks.

    So one shard can be at work while the groups of the next one's workers are dealt.
    """

    def __init__(self, dealt: NDArray[np.int64], deal: Callable[[int, int], None] | None = None) -> None:
        """`deal(start, stop)` writes these workers' groups into int64[B, n]; it is called for consecutive ones, once.

        Without it all groups are there.
        """
        self._dealt, self._deal = dealt, deal
        self._stop = 0 if deal else dealt.shape[1]

    def of(self, members: slice) -> NDArray[np.int64]:
        """The groups of consecutive workers: int64[B, m]."""
        if self._deal and members.stop > self._stop:
            self._deal(self._stop, members.stop)
            self._stop = members.stop
            if self._stop == self._dealt.shape[1]:
                self._deal = None  # and what it holds is free again
        return self._dealt[:, members]

    def of_everyone(self) -> NDArray[np.int64]:
        """int64[B, n]."""
        return self.of(slice(0, self._dealt.shape[1]))

    def of_those(self, active: NDArray[np.bool_]) -> NDArray[np.int64]:
        """int64[B, n], −1 for those who have left; `active` bool[B, n], empty where nobody ever leaves."""
        everyone = self.of_everyone()
        return np.where(active, everyone, -1) if active.shape[1] else everyone
