"""Games of few odd Fourier terms, such as the explanation of a small tree: found by the surrogate, they are solved exactly.

The idea is OddSHAP's; here the terms are those to which the Gaussian process gives the most, and what
is solved counts only if it explains all the other pairs too, to the last digits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.linear_algebra import cholesky, gram, solved, times, transposed_times
from crowd_sim.valuation.estimators.surrogate.prior import Prior
from crowd_sim.valuation.estimators.surrogate.terms import likeliest, products, shares_of

_CANDIDATES = 1024
_PAIRS = 1024  # from which terms are solved; all have to agree
_MOST_TERMS = 512
_SURPLUS = 1.25  # different pairs to each term
_RANK = 1e-6  # relative
_REFINEMENTS = 4  # of normal equations
_ROUNDING = 1e-11  # relative
_CHECKS = 128  # pairs that need not have agreed and do: so many are no chance

Vector = NDArray[np.float64]


def exact_values(
    signs: Vector, worth: Vector, order: NDArray[np.int64], prior: Prior, pulls: Vector
) -> tuple[Vector, float] | None:
    """The values less their mean, float64[n], of a game of at most half as many terms as pairs, and their standard error.

    Where c pairs agree that need not, a term of other players may still act in one pair in c + 2 without having been seen
    (Laplace's rule of succession), and move a value by its part of the largest worth. ``None`` if the game is not one of few
    terms.

    Args:
        signs: float64[m, n] of the pairs.
        worth: float64[m].
        order: a permutation of the pairs.
        prior: of the surrogate.
        pulls: float64[m], K⁻¹ (y − trend).
    """
    some = np.sort(order[:_PAIRS])
    most = min(len(some) // 2, _MOST_TERMS)
    shares = shares_of(prior.rates)
    first = np.zeros(len(shares), dtype=np.bool_)
    first[np.argsort(-shares, kind="stable")[: most.bit_length()]] = True
    members, _ = likeliest(np.where(first, 0.5, 0.0), _CANDIDATES)
    found = _solved(members[~members[:, ~first].any(axis=1)], signs, worth, some)  # all terms of a few players
    if found is None:
        members, weights = likeliest(shares, _CANDIDATES)
        guess = np.abs(weights * transposed_times(products(members, signs), pulls))
        best = np.argsort(-guess, kind="stable")
        for count in (most, most // 2, most // 4, most // 8):
            found = found or _solved(members[np.sort(best[:count])], signs, worth, some)
    return found


def _solved(
    members: NDArray[np.bool_], signs: Vector, worth: Vector, some: NDArray[np.int64]
) -> tuple[Vector, float] | None:
    """As `exact_values`, if the game has terms of ``members`` alone: solved from ``some`` pairs, and true of all."""
    used = signs[np.ix_(some, members.any(axis=0))]
    different = len(np.unique(used * used[:, :1], axis=0))  # pairs that differ in other players only are one
    if len(members) == 0 or different < min(_SURPLUS * len(members), 2.0 ** (used.shape[1] - 1)):
        return None
    terms = products(members, signs)
    equations, right = terms[some], worth[some]
    upper, regular = cholesky(gram(equations))
    if not regular or upper.diagonal().min() < _RANK * np.sqrt(len(some)):
        return None
    coefficients = np.zeros(len(members))
    for _ in range(_REFINEMENTS):
        coefficients += solved(upper, transposed_times(equations, right - times(equations, coefficients)))
    rounding = float(np.abs(worth - times(terms, coefficients)).max())
    if rounding > _ROUNDING * np.abs(worth).max():
        return None
    values = 2.0 * transposed_times(members.astype(np.float64), coefficients / members.sum(axis=1))
    checks, largest = len(worth) - min(different, len(members)), float(np.abs(worth).max())
    if checks < _CHECKS:
        # of games that know two answers, a vote, few pairs agree with anything
        answers = len(np.unique(np.round(worth / largest, 9)))
        if answers < (np.abs(coefficients) > _RANK * largest).sum():
            return None
    return values - values.mean(), max(rounding, largest / (checks + 2))
