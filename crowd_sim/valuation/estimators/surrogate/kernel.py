"""A Gaussian process over the odd Fourier levels of a game, and how Shapley values depend on it.

Write a coalition S as x in {−1, 1}^n and v(S) = Σ_T c_T Π_{i∈T} x_i. Then d(S) = (v(S) − v(N∖S)) / 2 holds the odd levels
|T| alone, and Shapley values depend on nothing else: φ_i = Σ_{T∋i, |T| odd} 2 c_T / |T| (O'Donnell, "Analysis of Boolean
functions", 2014, for the expansion; the formula follows from those of unanimity games by symmetry and linearity).

A priori c_T with |T| = l are independent N(0, b^l) up to a common factor, for the odd levels from 3 on; level 1 has no
prior, it is a trend. With h places where x and y differ, Σ_{|T|=l} Π x_i y_i is the Krawtchouk polynomial K_l(h; n), whose
generating function Σ_l t^l K_l(h; n) = (1+t)^(n−h) (1−t)^h gives everything below in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class OddKernel:
    """Covariances under the prior, scaled so that the variance of d is 1.

    Attributes:
        between: float64[n + 1], of d(x) and d(y) by the number of players on different sides.
        with_value: float64[n], of d(x) and φ_i by the number of the other players that are out of x, where i is in x;
            where i is out of x its negative.
        contrast: the variance of φ_i − Σ_j φ_j / n, the same for all i.
    """

    between: NDArray[np.float64]
    with_value: NDArray[np.float64]
    contrast: float


def odd_kernel(n: int, decay: float) -> OddKernel:
    """The prior with coefficient variances ``decay`` ** level, for n >= 3 players and 0 < decay <= 1.

    With r = (1−b)/(1+b), after division by (1+b)^n:
    between(h) = (r^h − r^(n−h))/2 − b (n−2h) / (1+b)^n, the generating function's odd part without level 1;
    with_value(h) = Σ_l (2/l) b^l K_{l−1}(h; n−1) = ∫_{−b}^{b} (1+t)^(n−1−h) (1−t)^h dt − 2b, a polynomial of degree n−1,
    which Gauss and Legendre's rule integrates exactly;
    contrast = (1 − 1/n) Σ_l (4/l²) b^l (C(n−1, l−1) − C(n−2, l−2)), variance and covariance of two values.
    """
    h = np.arange(n + 1.0)
    scale = np.exp(-n * np.log1p(decay))  # (1+b)^−n
    ratio = (1.0 - decay) / (1.0 + decay)
    between = 0.5 * (ratio**h - ratio ** (n - h)) - decay * (n - 2.0 * h) * scale
    nodes, weights = np.polynomial.legendre.leggauss(n // 2 + 1)
    t, others = decay * nodes[:, None], h[None, :n]
    terms = ((1.0 + t) / (1.0 + decay)) ** (n - 1 - others) * ((1.0 - t) / (1.0 + decay)) ** others
    # Plain sums: a matrix product would leave the order of adding up to the linear algebra library
    with_value = decay * (weights[:, None] * (terms / (1.0 + decay) - scale)).sum(axis=0)
    levels = np.arange(3.0, n + 1.0, 2.0)
    logs = levels * np.log(decay) - n * np.log1p(decay)
    inside = np.exp(logs + _log_binomial(n - 1, levels - 1))
    # C(n−1, l−1) − C(n−2, l−2) = C(n−2, l−1) = C(n−1, l−1) (n−l)/(n−1)
    contrast = (1.0 - 1.0 / n) * (4.0 / levels**2 * inside * (n - levels) / (n - 1.0)).sum()
    return OddKernel(between / between[0], with_value / between[0], float(contrast / between[0]))


def _log_binomial(n: int, k: NDArray[np.float64]) -> NDArray[np.float64]:
    return scipy.special.gammaln(n + 1.0) - scipy.special.gammaln(k + 1.0) - scipy.special.gammaln(n - k + 1.0)
