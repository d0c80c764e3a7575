"""Where the budget goes, how far the contrasts of the residuals are trusted, and how sure their sum is.

Contrasts of the residuals are small beside their noise where the polynomials fit well. In stratum b they are taken to
vary between players with the variance τ_b² = σ_b² (ρ_b² reach_b² + floor_b²), where σ_b is the root mean square of the
residuals, reach and floor are those of `Stratum`, and ρ_b² is learnt from all strata together and then from the stratum
itself; the best linear estimate of R_i with noise ν_i² is then λ R_i, λ = τ² / (τ² + ν_i²).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.valuation.result import widening

_PRIOR = 0.5  # of ρ², as one more observation with as large a standard deviation
_ALIGNED = 0.4  # correlation between strata of what shrinking leaves (measured)
_FEWEST_DEGREES = 3.0  # of freedom: one huge residual would claim fewer
_NOISE_ERROR = 0.05  # relative error granted to the estimated ν²
_SMALLEST = 0.005  # of ρ²
_FEW = 64.0  # what first-order theory leaves out of the fitted part's variance, per draw, for l2 as for l1 (measured)


@dataclass(frozen=True, eq=False)
class Part:
    """What one stratum adds to n φ.

    Attributes:
        closed: float64[n], the fitted polynomials' contrasts, exact given the coefficients.
        lacking: float64[n], what ``closed`` lacks in the mean, by the jackknife; the residuals' contrasts, which are of what
            each coalition's utility is off a fit to the others, have it already.
        closed_variance: float64[n], from the coefficients.
        closed_wobble: the relative variance of ``closed_variance``, an estimate itself.
        residual: float64[n], the contrasts of what the polynomials leave.
        noise: the variance of ``residual``, as a mean over the players; 0 where the stratum is enumerated. A player's
            own estimate of it would be the noisier, and is no better even for workers far from all others.
        noise_wobble: the relative variance of ``noise``: residuals with heavy tails show their spread late.
        reach, floor: those of the stratum in units of the utility: τ_b² = ρ_b² reach² + floor.
        draws: coalitions.
        parameters: regressors per term.
        enumerated: whether every coalition of the stratum was evaluated.
    """

    closed: NDArray[np.float64]
    lacking: NDArray[np.float64]
    closed_variance: NDArray[np.float64]
    closed_wobble: float
    residual: NDArray[np.float64]
    noise: float
    noise_wobble: float
    reach: float
    floor: float
    draws: int
    parameters: int
    enumerated: bool


def combined(
    parts: Sequence[Part], distances: NDArray[np.float64], apart: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The strata's sum and its variance, float64[n] each.

    Args:
        parts: the strata.
        distances: float64[n], with mean square 1: how much of what shrinking leaves is expected of each worker. The
            contrasts of those far from the others are larger; without it their intervals cover too seldom, and those of
            the others too often.
        apart: how far a stratum's own ρ² is from the common one, a standard deviation.
    """
    total, variance, wobble = np.zeros(len(distances)), np.zeros(len(distances)), 0.0
    bias, alone = 0.0, 0.0
    for part, square, unsure in zip(parts, *_squares(parts, apart), strict=True):
        total += part.closed
        if part.enumerated:
            total += part.residual
            continue
        likely = square + part.floor
        trust = likely / (likely + part.noise) if part.noise > 0.0 else 1.0
        total += trust * part.residual + (1.0 - trust) * part.lacking
        few = part.parameters / part.draws
        # a coefficient that is off moves the closed part and, the other way, the residuals' contrasts
        wrong_fit = (1.0 - trust**2) * (1.0 + _FEW / part.draws) + trust**2 * np.sqrt(few)
        noise, fitted = trust**2 * part.noise, wrong_fit * part.closed_variance
        variance += noise + fitted + (1.0 - trust) ** 2 * part.floor
        wobble += noise**2 * part.noise_wobble + fitted.mean() ** 2 * part.closed_wobble
        left = (1.0 - trust) ** 2 * (square + unsure)
        bias += np.sqrt(left)
        alone += left
    # what shrinking leaves may point the same way in every stratum, or not
    variance += (_ALIGNED * bias**2 + (1.0 - _ALIGNED) * alone) * distances**2
    return total, variance * _student(variance.mean(), wobble) ** 2


def _student(variance: float, wobble: float) -> float:
    """How much wider than normal an interval has to be whose variance is known with the variance ``wobble``.

    As many degrees of freedom as a χ² of that relative variance has (Welch and Satterthwaite).
    """
    if wobble <= 0.0:
        return 1.0
    freedom = max(2.0 * variance**2 / wobble, _FEWEST_DEGREES)
    return float(widening(freedom))


def _squares(parts: Sequence[Part], apart: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """τ_b² without its floor, and its standard error.

    ρ² is found by weighted moments, then each ρ_b² moved towards what its stratum shows. mean_i R_i² − ν_i² averages to τ_b²;
    its variance is that of n squares and of ν². The ρ_b² are taken to lie about ρ² with the standard deviation ``apart``.
    """
    n, draws = len(parts[0].residual), np.array([part.draws for part in parts])
    reaches = np.array([part.reach for part in parts])
    largest = reaches.max()
    if largest <= 0.0:
        return np.zeros(len(parts)), np.zeros(len(parts))
    # in units of the largest reach: squares of squares of tiny residuals would vanish
    squares = (reaches / largest) ** 2
    noise = np.array([part.noise for part in parts]) / largest**2
    floors = np.array([part.floor for part in parts]) / largest**2
    excess = np.array([(part.residual * part.residual).mean() for part in parts]) / largest**2 - noise - floors
    misfit = (apart * squares) ** 2
    common = _PRIOR
    for _ in range(4):  # the weights depend on ρ
        expected = common * squares
        error = 4.0 * (expected + floors + noise) ** 2 / n + 4.0 * noise**2 / draws + (_NOISE_ERROR * noise) ** 2
        weight = 1.0 / (error + misfit + 1e-30)
        pull = (weight * squares * excess).sum() + 1.0 / _PRIOR
        common = max(pull / ((weight * squares**2).sum() + 1.0 / _PRIOR**2), _SMALLEST)
    expected = common * squares
    own = misfit / (misfit + error + 1e-300)
    found = np.maximum(expected + own * (excess - expected), _SMALLEST * squares)
    return found * largest**2, np.sqrt(own * error) * largest**2


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
