"""Single odd Fourier terms of a game that its prior does not expect, and that the pairs all but prove.

A prior by relevances takes a term's size from its players alone. The explanation of a few trees, say, has some terms that are
far larger than others of the same players. Such terms are found by a score test (Rao's: what the likelihood gains at first
where the term gets a variance of its own) and put beside the prior as features that share a variance. That few terms carry
such games is the idea of OddSHAP.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.elementary import exp
from crowd_sim.linear_algebra import orthonormal, product, times, transposed_times
from crowd_sim.valuation.estimators.surrogate.fourier import products, sums
from crowd_sim.valuation.estimators.surrogate.gp import Solved
from crowd_sim.valuation.estimators.surrogate.prior import shares_of

_CANDIDATES = 4096
_ROOM, _MOST = 10, 256  # pairs for each term, and terms
_STANDS_OUT = 16.0  # squared, in standard deviations: by chance one of 16,000 terms
_TESTED = 4.0  # as it is guessed; of what stood out on real games no guess was below 11
_TIMES, _ROUNDS = 2, 4  # so many tests for each term that there is room for; rounds, as terms hide others
_LEAST_TOLD = 1e-9  # of a term by the pairs, relative

Vector = NDArray[np.float64]
Sets = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Terms:
    """Products over odd sets of players, as features of pairs.

    Attributes:
        members: bool[k, n].
    """

    members: Sets

    @property
    def values(self) -> tuple[Vector]:
        """float64[k, n]: the Shapley values of each term, 2 / |T| for its players, less their mean."""
        shares = 2.0 * self.members / self.members.sum(axis=1, keepdims=True)
        return (shares - shares.mean(axis=1, keepdims=True),)

    def features(self, signs: Vector) -> tuple[Vector]:
        """Of the pairs ``signs`` [m, n]: float64[m, k]."""
        return (products(self.members, signs),)

    def uncertainty(self, *_: object) -> float:
        """Values of terms are known."""
        return 0.0


def likeliest(shares: Vector, n_sets: int) -> tuple[Sets, Vector]:
    """The odd sets of players with the greatest products of ``shares`` (below 1): bool[k, n], about ``n_sets``, and these."""
    n = len(shares)
    members, weights = np.zeros((1, n), dtype=np.bool_), np.ones(1)
    for player in np.argsort(-shares, kind="stable"):
        more = members.copy()
        more[:, player] = True
        members, weights = np.concatenate([members, more]), np.concatenate([weights, weights * shares[player]])
        if len(weights) > 2 * n_sets:
            kept = np.argsort(-weights, kind="stable")[: 2 * n_sets]
            members, weights = members[kept], weights[kept]
    odd = np.flatnonzero(members.sum(axis=1) % 2 == 1)
    odd = odd[np.argsort(-weights[odd], kind="stable")]
    return members[odd], weights[odd]


def others(members: Sets, before: Sets) -> NDArray[np.bool_]:
    """Which of the sets ``members`` bool[k, n] are not among those ``before``: bool[k]."""
    if len(before) == 0:
        return np.ones(len(members), dtype=np.bool_)
    old = {row.tobytes() for row in before}
    return np.array([row.tobytes() not in old for row in members], dtype=np.bool_)


def standing_out(found: Solved, signs: Vector, white: Vector, before: Sets, *, linear: bool) -> Sets:
    """The terms bool[k, n] that the pairs tell to be larger than the prior has them, the largest first.

    Args:
        found: the equations of the prior.
        signs: float64[m, n], of the pairs.
        white: float64[m], L⁻¹ y.
        before: bool[k, n], those that are features already.
        linear: whether level 1 is in the trend.
    """
    m, room = len(signs), min(len(signs) // _ROOM, _MOST) - len(before)
    if room <= 0:
        return before[:0]
    rates = found.prior.rates
    members, weights = likeliest(shares_of(rates), _CANDIDATES)
    fresh = others(members, before)
    if linear:
        fresh &= members.sum(axis=1) > 1
    if not fresh.any():
        return before[:0]
    members, variances = members[fresh], weights[fresh] * (0.5 + 0.5 * exp(-rates)).prod()
    # a term's precision is 1 / (its variance + what is unexplained, over m), of which the least likely one tells
    last = found.off_trend(found.whitened(products(members[-1:], signs)))
    unexplained = max(1.0 / max(float(np.square(last).sum()), 1e-300) - variances[-1], 0.0)
    rest = found.off_trend(white[:, None])[:, 0]
    scale = float(np.square(rest).sum()) / (m - len(found.basis))
    pulled = sums(members, signs, found.pulls(rest))
    guess = np.square(pulled) * (variances + unexplained)
    tested = np.argsort(-guess, kind="stable")[: _TIMES * room]
    members = members[tested[guess[tested] > _TESTED * scale]]
    if len(members) == 0:
        return members
    columns, rest = found.tested(members, signs, rest)
    least = _LEAST_TOLD * np.square(columns).sum(axis=0)
    return members[chosen(columns, rest, least, room, m - len(found.basis))]


def chosen(columns: Vector, rest: Vector, least: Vector, room: int, freedom: int) -> NDArray[np.int64]:
    """Which ``columns`` [m, k] stand out in ``rest`` [m], then in what they leave of it: ``room`` at most, largest first."""
    taken = np.zeros(0, dtype=np.int64)
    for _ in range(_ROUNDS):
        told = np.square(columns).sum(axis=0)
        scale = float(np.square(rest).sum()) / (freedom - len(taken))
        along = transposed_times(columns, rest)
        score = np.divide(np.square(along), told * scale, out=np.zeros_like(along), where=told > least)
        score[taken] = 0.0
        best = np.argsort(-score, kind="stable")[: room - len(taken)]
        best = best[score[best] > _STANDS_OUT]
        taken = np.append(taken, best)
        found = orthonormal(columns[:, best]) if len(best) else None
        if found is None or len(taken) == room:
            break
        rest = rest - transposed_times(found[0], times(found[0], rest))
        columns = columns - product(found[0].T, product(found[0], columns))
    return taken
