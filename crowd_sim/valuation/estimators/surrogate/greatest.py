"""Games whose worth is that of the greatest member, as what a runway costs, or of the least: valued in closed form.

The only game of that kind that can agree with what was evaluated gives every player the least worth of the coalitions it was
seen in (Cuninghame-Green, "Minimax algebra", 1979, on such equations). It counts if it agrees with everything, to the last
digits, and if every player's worth was seen. The values are Littlechild and Owen's ("A simple expression for the Shapley
value in a special case", Management Science 20, 1973).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-12  # relative

Vector = NDArray[np.float64]


def greatest_values(coalitions: NDArray[np.bool_], utilities: Vector) -> tuple[Vector, float] | None:
    """The values less their mean, float64[n], and their standard error; ``None`` if the game is not known to be of that kind.

    Where c coalitions agree that need not, one in c + 2 may be worth something else without having been seen (Laplace's rule of
    succession), by as much as the utilities differ: that is the error.

    Args:
        coalitions: bool[m, n], none of them empty.
        utilities: float64[m], theirs.
    """
    for sign in (1.0, -1.0):
        worth = _worths(coalitions, sign * utilities)
        if worth is not None:
            checks = len(utilities) - coalitions.shape[1]
            return sign * _values(worth), float(np.ptp(utilities)) / (checks + 2)
    return None


def _worths(coalitions: NDArray[np.bool_], utilities: Vector) -> Vector | None:
    """What each player is worth alone, float64[n], if the coalitions are worth as much as their greatest members."""
    rounding = _ROUNDING * float(np.abs(utilities).max())
    worth = np.array([utilities[with_it].min(initial=np.inf) for with_it in coalitions.T])
    members = np.where(coalitions, worth, -np.inf)
    if not np.isfinite(worth).all() or (np.abs(members.max(axis=1) - utilities) > rounding).any():
        return None
    first = members.argmax(axis=1)
    members[np.arange(len(members)), first] = -np.inf
    alone = members.max(axis=1) < utilities - rounding  # one member is the greatest, and what it is worth was seen
    return worth if len(np.unique(first[alone])) == len(worth) else None


def _values(worth: Vector) -> Vector:
    order = np.argsort(worth, kind="stable")
    steps = np.diff(worth[order]) / np.arange(len(worth) - 1, 0, -1)  # shared by all who are worth more
    found = np.empty(len(worth))
    found[order] = np.concatenate([np.zeros(1), np.cumsum(steps)])
    return found - found.mean()
