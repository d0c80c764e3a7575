"""Games of few odd Fourier terms, such as the explanation of a small tree: found by the surrogate, they are solved exactly.

The idea is OddSHAP's; here the terms are those to which the Gaussian process gives the most, and what
is solved counts only if it explains all the other pairs too, to the last digits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.linear_algebra import cholesky, solved, times, transposed_times
from crowd_sim.valuation.estimators.surrogate.fourier import gram_of, products, sums
from crowd_sim.valuation.estimators.surrogate.prior import Prior, shares_of
from crowd_sim.valuation.estimators.surrogate.pursuit import Pursuit
from crowd_sim.valuation.estimators.surrogate.terms import likeliest, others

_CANDIDATES = 1024
_PAIRS = 1024  # from which terms are solved; all have to agree
_MOST_TERMS = 512
_SURPLUS = 1.25  # different pairs to each term
_RANK = 1e-6  # relative
_REFINEMENTS = 4  # of normal equations
_ROUNDING, _SURELY = 1e-11, 1e4  # relative, and times that for what fewer of the terms would miss as well
_CHECKS = 128  # pairs that need not have agreed and do: so many are no chance

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FewTerms:
    """A game of few odd terms.

    Attributes:
        members: bool[k, n], of the terms.
        coefficients: float64[k].
        error: the standard error of a value.
    """

    members: NDArray[np.bool_]
    coefficients: Vector
    error: float

    @property
    def values(self) -> Vector:
        """The Shapley values less their mean, float64[n]."""
        shares = self.coefficients / self.members.sum(axis=1)
        values = 2.0 * transposed_times(self.members.astype(np.float64), shares)
        return values - values.mean()

    def worth(self, signs: Vector) -> Vector:
        """Of pairs, ``signs`` [m, n]: float64[m]."""
        return times(products(self.members, signs), self.coefficients)


def few_terms(signs: Vector, worth: Vector, prior: Prior, pulls: Vector, before: NDArray[np.bool_]) -> FewTerms | None:
    """The game's terms, where they are at most half as many as pairs.

    Where c pairs agree that need not, a term of other players may still act in one pair in c + 2 without having been seen
    (Laplace's rule of succession), and move a value by its part of the largest worth. ``None`` if the game is not one of few
    terms.

    Args:
        signs: float64[m, n] of the pairs, in random order.
        worth: float64[m].
        prior: of the surrogate, without single terms.
        pulls: float64[k], K⁻¹ (y − trend) of the last k pairs.
        before: bool[t, n], single terms that were found already.
    """
    most = min(min(len(signs), _PAIRS) // 2, _MOST_TERMS)
    shares = shares_of(prior.rates)
    first = np.zeros(len(shares), dtype=np.bool_)
    first[np.argsort(-shares, kind="stable")[: most.bit_length()]] = True
    members, _ = likeliest(np.where(first, 0.5, 0.0), _CANDIDATES)
    found, _ = _solved(members[~members[:, ~first].any(axis=1)], signs, worth)  # all terms of a few players
    if found is not None:
        return found
    members, weights = likeliest(shares, _CANDIDATES)
    guess = np.abs(weights * sums(members, signs[-len(pulls) :], pulls))
    # what the trend takes of level 1 leaves nothing to guess
    before = np.concatenate([np.eye(signs.shape[1], dtype=np.bool_), before[before.sum(axis=1) > 1]])
    fresh = others(members, before)
    members = members[fresh][np.argsort(-guess[fresh], kind="stable")]
    for count in (most, most // 2, most // 4, most // 8):
        if len(before) < count:
            found, missed = _solved(np.concatenate([before, members[: count - len(before)]]), signs, worth)
            if found is not None or missed:
                return found
    return None


def all_terms(found: Pursuit, signs: Vector, worth: Vector) -> FewTerms | None:
    """As `few_terms`, if the terms that pursuit ``found``, and level 1, are all that the game has."""
    if found.missed > np.square(_ROUNDING * np.abs(worth).max()):
        return None
    return _solved(np.concatenate([np.eye(signs.shape[1], dtype=np.bool_), found.members]), signs, worth, len(signs))[0]


def _solved(
    members: NDArray[np.bool_], signs: Vector, worth: Vector, count: int = _PAIRS
) -> tuple[FewTerms | None, bool]:
    """As `few_terms`, if the game has terms of ``members`` alone: solved from the last ``count`` pairs, and true of all.

    Besides, whether it surely has others.
    """
    used = signs[-count:, members.any(axis=0)]
    # pairs that differ in other players only are one
    different = len(np.unique(np.packbits(used * used[:, :1] < 0.0, axis=1), axis=0))
    if len(members) == 0 or different < min(_SURPLUS * len(members), 2.0 ** (used.shape[1] - 1)):
        return None, False
    upper, regular = cholesky(gram_of(members, signs[-count:]))
    right = worth[-count:]
    if not regular or upper.diagonal().min() < _RANK * np.sqrt(len(right)):
        return None, False
    equations = products(members, signs[-count:])
    coefficients, most = np.zeros(len(members)), _ROUNDING * np.abs(worth).max()
    rest = right
    for _ in range(_REFINEMENTS):
        coefficients += solved(upper, transposed_times(equations, rest))
        rest = right - times(equations, coefficients)
    if (missed := np.abs(rest).max()) > most:  # those of few pairs are told at once
        return None, bool(missed > _SURELY * most)
    rounding = float(np.abs(worth - times(products(members, signs), coefficients)).max())
    if rounding > most:
        return None, rounding > _SURELY * most
    checks, largest = len(worth) - min(different, len(members)), float(np.abs(worth).max())
    if checks < _CHECKS:
        # of games that know two answers, a vote, few pairs agree with anything
        answers = len(np.unique(np.round(worth / largest, 9)))
        if answers < (np.abs(coefficients) > _RANK * largest).sum():
            return None, False
    return FewTerms(members, coefficients, max(rounding, largest / (checks + 2))), False
