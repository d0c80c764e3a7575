"""How sure kernel ridge is of a worker's value: the posterior of the Gaussian process whose mean it is.

With covariance κ σ² and noise λ σ² the value v = Σ_j w_j (f(z_j) − f(u)) of a worker has the posterior variance
σ² (var v − kᵀ (K + λI)⁻¹ k), k the covariances of v with the observations, both for σ = 1, and σ² = yᵀ (K + λI)⁻¹ y / N is its
most likely scale (Rasmussen and Williams, "Gaussian processes for machine learning", 2006, sections 2.2 and 5.4.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.linear_algebra import cholesky, lower_inverse
from crowd_sim.tournament.kernel_ridge import Fading, Fit, arc, kernel_matrix


@dataclass(frozen=True, eq=False)
class Posterior:
    """What is needed of a fit to say how sure it is.

    Attributes:
        found: the fit.
        lower: float64[N, N], the inverse of the lower factor of K + λI.
    """

    found: Fit
    lower: NDArray[np.float64]

    @classmethod
    def of(cls, found: Fit, gram: NDArray[np.float64], fading: Fading | None) -> Posterior:
        """Of a fit to these compositions, see `kernel_ridge.fit_scores`."""
        matrix = kernel_matrix(found.family, gram)
        if fading is not None and found.fades:
            matrix *= fading.between()
        matrix.flat[:: len(matrix) + 1] += found.penalty * matrix.diagonal().mean()
        upper, _ = cholesky(matrix)  # definite, or there would be no fit
        return cls(found, lower_inverse(upper))

    def errors(
        self,
        shares: NDArray[np.float64],
        totals: NDArray[np.float64],
        squares: NDArray[np.float64],
        n_workers: int,
        sizes: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Standard errors float64[m], in the unit of `calibrated`'s values, of workers with `shares` float64[m, N]."""
        variances = np.empty(len(shares))
        linear = self.found.family == "lin"
        _variances(linear, shares, totals, squares, self.found.left, self.lower, n_workers, sizes, weights, variances)
        return np.sqrt(self.found.scale * np.maximum(variances, 0.0))


@numba.njit(cache=True, error_model="numpy")
def _variances(
    linear: bool,
    shares: NDArray[np.float64],
    totals: NDArray[np.float64],
    squares: NDArray[np.float64],
    faded: NDArray[np.float64],
    lower: NDArray[np.float64],
    n_workers: int,
    sizes: NDArray[np.float64],
    weights: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    n = len(totals)
    common = np.zeros(n)
    if linear:
        prior = 1.0 - 1.0 / n_workers
        common[:] = totals / n_workers
    else:
        prior = _prior(n_workers, sizes, weights)
        at = 1.0 + 1.0 / n_workers
        for o in range(n):
            common[o] = weights.sum() * arc(totals[o] / n_workers, at * squares[o])
    covariances = np.empty(n)
    for i in range(len(out)):
        if linear:
            covariances[:] = shares[i]
        else:
            covariances[:] = 0.0
            for j in range(len(sizes)):
                own = 1.0 / sizes[j]
                rest = (1.0 - own) / n_workers
                square = 1.0 + n_workers * rest * rest + 2.0 * rest * own + own * own
                for o in range(n):
                    covariances[o] += weights[j] * arc(rest * totals[o] + own * shares[i, o], square * squares[o])
        for o in range(n):
            covariances[o] = (covariances[o] - common[o]) * faded[o]
        known = 0.0
        for o in range(n):
            part = 0.0
            for p in range(o + 1):
                part += lower[o, p] * covariances[p]
            known += part * part
        out[i] = prior - known


@numba.njit(cache=True, error_model="numpy")
def _prior(n_workers: int, sizes: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Variance of Σ_j w_j (f(u + (e_i − u)/k_j) − f(u)), the same for every worker."""
    m = len(sizes) + 1
    own, factors = np.zeros(m), np.empty(m)  # the last is u
    own[:-1], factors[:-1] = 1.0 / sizes, weights
    factors[-1] = -weights.sum()
    total = 0.0
    for a in range(m):
        rest_a = (1.0 - own[a]) / n_workers
        square_a = 1.0 + n_workers * rest_a * rest_a + 2.0 * rest_a * own[a] + own[a] * own[a]
        for b in range(m):
            rest_b = (1.0 - own[b]) / n_workers
            square_b = 1.0 + n_workers * rest_b * rest_b + 2.0 * rest_b * own[b] + own[b] * own[b]
            g = n_workers * rest_a * rest_b + rest_a * own[b] + rest_b * own[a] + own[a] * own[b]
            total += factors[a] * factors[b] * arc(g, square_a * square_b)
    return total
