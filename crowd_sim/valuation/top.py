"""Who is among the first ``k``, and how surely: ranks from simultaneous intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

_ERROR = 0.05


@dataclass(frozen=True, eq=False)
class Top:
    """The first ``k`` players, all that is said of them true together with 95 % confidence.

    A player is among the first k where fewer than k others are worth more.

    Attributes:
        players: int64[k], of the largest values, best first.
        certain: bool[k], which of them are among the first k whatever the errors are.
        possible: int64[m], ascending, all who may be: the first k are in it.
    """

    players: NDArray[np.int64]
    certain: NDArray[np.bool_]
    possible: NDArray[np.int64]


def top(values: NDArray[np.float64], stderr: NDArray[np.float64], k: int) -> Top:
    """The first ``k`` by ``values`` float64[n] with normal errors ``stderr`` float64[n], NaN where nothing is known of them.

    The intervals of all players hold together by Bonferroni's inequality, however the errors depend on each other. Who may be
    worth more than whom follows from them, and the ranks from that (Klein, Wright and Wieczorek, "A joint confidence region
    for an overall ranking of populations", Journal of the Royal Statistical Society C 69, 2020).
    """
    n = len(values)
    reach = float(scipy.special.ndtri(1.0 - 0.5 * _ERROR / n)) * np.where(np.isnan(stderr), np.inf, stderr)
    lower, upper = values - reach, values + reach
    # i is certain where fewer than k others may be worth more, possible where fewer than k others surely are
    may = n - np.searchsorted(np.sort(upper), lower, side="right") - (upper > lower)
    surely = n - np.searchsorted(np.sort(lower), upper, side="right")
    players = np.argsort(-values, kind="stable")[:k]
    return Top(players, may[players] < k, np.flatnonzero(surely < k))
