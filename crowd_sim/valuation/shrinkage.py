"""Where the budget goes, how far the contrasts of the residuals are trusted, and how sure their sum is.

Contrasts of the residuals are small beside their noise where the polynomials fit well. In stratum b they are taken to
vary between players with the standard deviation τ_b = ρ σ_b Σ_k k^-1.5, where σ_b is the root mean square of the
residuals (the exponent was measured) and ρ is learnt from all strata together; the best linear estimate of R_i with
noise ν_i² is then λ R_i, λ = τ² / (τ² + ν_i²).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_PRIOR = 0.5  # of ρ², as one more observation with as large a standard deviation
_NOISE_ERROR = 0.05  # relative error granted to the estimated ν²
_SMALLEST = 0.005  # of ρ²
_FEW = 32.0  # what first-order theory leaves out of the fitted part's variance, per p / m (measured)


@dataclass(frozen=True, eq=False)
class Part:
    """What one stratum adds to n φ.

    Attributes:
        closed: float64[n], the fitted polynomials' contrasts, exact given the coefficients.
        closed_variance: float64[n], from the coefficients.
        residual: float64[n], the contrasts of what the polynomials leave.
        noise: the variance of ``residual``, as a mean over the players; 0 where the stratum is enumerated. A player's
            own estimate of it would be the noisier, and is no better even for workers far from all others.
        reach: σ_b Σ_k k^-1.5, to which τ_b is proportional.
        draws: coalitions.
        parameters: regressors per term.
        enumerated: whether every coalition of the stratum was evaluated.
    """

    closed: NDArray[np.float64]
    closed_variance: NDArray[np.float64]
    residual: NDArray[np.float64]
    noise: float
    reach: float
    draws: int
    parameters: int
    enumerated: bool


def combined(parts: Sequence[Part], distances: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The strata's sum and its variance, float64[n] each.

    Args:
        parts: the strata.
        distances: float64[n], with mean square 1: how much of what shrinking leaves is expected of each worker. The
            contrasts of those far from the others are larger; without it their intervals cover too seldom, and those of
            the others too often.
    """
    rho = _rho(parts)
    total, variance, bias = np.zeros(len(distances)), np.zeros(len(distances)), 0.0
    for part in parts:
        total += part.closed
        if part.enumerated:
            total += part.residual
            continue
        tau = rho * part.reach
        trust = tau * tau / (tau * tau + part.noise) if part.noise > 0.0 else 1.0
        total += trust * part.residual
        square, few = trust * trust, part.parameters / part.draws
        # a coefficient that is off moves the closed part and, the other way, the residuals' contrasts
        wrong_fit = (1.0 - square) * (1.0 + _FEW * few) + square * np.sqrt(few)
        variance += square * part.noise + wrong_fit * part.closed_variance
        bias += (1.0 - trust) * tau  # what shrinking leaves may point the same way in every stratum
    return total, variance + (bias * distances) ** 2


def _rho(parts: Sequence[Part]) -> float:
    """ρ by weighted moments: mean_i R_i² − ν_i² averages to τ_b², its variance is that of n squares and of ν²."""
    reaches = np.array([part.reach for part in parts])
    noise = np.array([part.noise for part in parts])
    excess = np.array([(part.residual * part.residual).mean() for part in parts]) - noise
    n, draws = len(parts[0].residual), np.array([part.draws for part in parts])
    largest = reaches.max()
    if largest <= 0.0:
        return 0.0
    # in units of the largest reach: squares of squares of tiny residuals would vanish
    reaches, noise, excess = reaches / largest, noise / largest**2, excess / largest**2
    square = _PRIOR
    for _ in range(4):  # the weights depend on ρ
        tau = square * reaches**2
        spread = 4.0 * (tau + noise) ** 2 / n + 4.0 * noise**2 / draws + (_NOISE_ERROR * noise) ** 2
        weight = 1.0 / (spread + 1e-30)
        pull = (weight * reaches**2 * excess).sum() + 1.0 / _PRIOR
        square = max(pull / ((weight * reaches**4).sum() + 1.0 / _PRIOR**2), _SMALLEST)
    return float(np.sqrt(square))


def allocation(
    deviations: NDArray[np.float64],
    reaches: NDArray[np.float64],
    drawn: NDArray[np.int64],
    fixed: NDArray[np.bool_],
    budget: int,
    fitted_share: float,
) -> NDArray[np.int64]:
    """How many more coalitions each stratum gets, so that totals are as proportional to the goal as may be.

    Neyman's allocation is proportional to the standard deviations of one coalition's contribution; where residuals'
    contrasts are shrunk by λ, draws serve the regression alone, to ``fitted_share`` of the variance.

    Args:
        deviations: float64[strata].
        reaches: float64[strata], see `Part`.
        drawn: int64[strata], coalitions so far, part of ``budget``.
        fixed: bool[strata], those that get no more.
        budget: coalitions in all.
        fitted_share: regressors per player.
    """
    deviations = np.where(fixed, 0.0, deviations)
    out = np.zeros(len(drawn), dtype=np.int64)
    if deviations.sum() <= 0.0:
        return out
    tau = _PRIOR * reaches**2
    noise = deviations * deviations.sum() / budget  # of each stratum under Neyman's allocation
    trust = np.divide(tau, tau + noise, out=np.ones_like(tau), where=tau + noise > 0.0)
    goal = deviations * np.sqrt(trust**2 + fitted_share)
    active = goal > 0.0
    while active.any():
        left = budget - drawn[~active].sum()
        wanted = np.where(active, goal / goal[active].sum() * left, 0.0)
        over = active & (wanted < drawn)
        if not over.any():
            out[active] = (wanted[active] - drawn[active]).astype(np.int64)
            break
        active &= ~over
    return out
