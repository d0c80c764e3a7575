"""How the noise of a game differs by a coalition's size, and what that makes of the values' errors.

Every size's variance solves the equation of the restricted likelihood, Σ N² p² = Σ N P over its pairs and the answers that
repeat them: with N the noise's variance at a pair, p what it pulls, and P the diagonal of the inverse off the trend (Harville,
"Maximum likelihood approaches to variance component estimation and to related problems", Journal of the American Statistical
Association 72, 1977). The right side is how many independent numbers tell of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.linear_algebra import transposed_times
from crowd_sim.valuation.estimators.surrogate.gp import HeldOut
from crowd_sim.valuation.estimators.surrogate.prior import Repeats

_ALIKE = 1.0  # numbers that tell of a size as much noise as of others
_DIFFER = 1.0  # standard deviations from what chance makes of sizes that are alike

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BySize:
    """What tells of each size's noise, by the size of the smaller member.

    Attributes:
        squares: float64[n // 2 + 1], of numbers of variance 1 were all noise as the prior says.
        told: float64[n // 2 + 1], how many.
        of: float64[n // 2 + 1], of how many, were nothing else to be learnt from them.
    """

    squares: Vector
    told: Vector
    of: Vector

    def noisier(self, before: Vector) -> Vector:
        """How many times the mean noise that of each size is, ``before`` in the prior: float64[n // 2 + 1]."""
        mean = self.squares.sum() / self.told.sum()
        found = (self.squares / mean * before + _ALIKE) / (self.told + _ALIKE)
        return np.asarray(np.where(self.told > 0.0, found, 1.0))

    @property
    def differ(self) -> bool:
        """Whether chance does not explain it, by the squares of what sizes have beyond their share, over its variance."""
        some = self.told > 0.0
        told, squares = self.told[some], self.squares[some]
        squares = squares * (told.sum() / squares.sum())
        statistic = float((np.square(squares - told) / (2.0 * told)).sum())
        expected = len(told) - 1.0
        return bool(statistic > expected + _DIFFER * np.sqrt(2.0 * expected))


def noise_by_size(out: HeldOut, size: NDArray[np.int64], nugget: float, repeats: Repeats) -> BySize:
    """What pairs that are held ``out``, of ``size`` int64[k], and all ``repeats`` tell of each size's noise."""
    noise = nugget / repeats.copies[-len(size) :]
    known = out.variances > 0.0
    precision = np.divide(1.0, out.variances, out=np.zeros_like(noise), where=known)
    squares = np.bincount(size, noise * np.square(precision * out.residuals), len(repeats.squares))
    told = np.bincount(size, noise * precision, len(repeats.squares))
    of = np.bincount(size, minlength=len(told))
    return BySize(squares + repeats.squares / nugget, told + repeats.freedom, of + repeats.freedom)


def with_freedom(
    told: BySize, size: NDArray[np.int64], noise: Vector, weights: Vector, variance: Vector, freedom: float
) -> tuple[Vector, Vector]:
    """The ``variance`` [n] of the values where sizes differ, and its degrees of freedom: float64[n] each.

    A size's noise is that of held-out pairs: what the fit may have made of it counts as noise (MacKinnon and White, "Some
    heteroskedasticity-consistent covariance matrix estimators with improved finite sample properties", Journal of
    Econometrics 29, 1985). Of a few pairs it is known by as many numbers alone (Satterthwaite, Biometrics Bulletin 2, 1946).

    Args:
        told: of each size's noise.
        size: int64[m], of the pairs.
        noise: float64[m], its variance in what they are worth.
        weights: float64[m, n], of the pairs in the values.
        variance: of these, which holds that noise.
        freedom: of what is left of it.
    """
    left, total, apart = variance.copy(), variance.copy(), np.zeros(len(variance))
    for k in np.unique(size):
        of_size = transposed_times(np.square(weights[size == k]), noise[size == k])
        left -= of_size
        freely = max(float(told.told[k]), 1.0)
        more = float(told.of[k]) / freely
        total += of_size * (more - 1.0)
        apart += np.square(of_size * more) / freely
    apart += np.square(np.maximum(left, 0.0)) / freedom
    return total, np.asarray(np.square(total) / np.maximum(apart, 1e-300))
