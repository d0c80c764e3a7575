"""Kernel ridge regression of scores on compositions, with the penalty and the family chosen by leaving one out.

f(z) = Σ_o α_o κ(z, z_o) with α = (K + λI)⁻¹ y: ridge regression on the features whose inner product is κ. The error at
observation o of a fit without it is α_o / [(K + λI)⁻¹]_oo, so all of them cost one factorisation (Rasmussen and Williams,
"Gaussian processes for machine learning", 2006, section 5.4.2).

Two families. With g = z · z' (shares of the initial model included):

    lin   κ = 10 + g: any score that is linear in the point (`dot`); plain ridge on the members' weights.
    arc   κ = a a' (√(1 − r²) + r asin r + 9), a = √(1 + z · z), r = (1 + g)/(a a'): distances.

1 + g is the covariance of Σ_i z_i (x_i − target) in one coordinate when workers, initial model and target are independent and
alike, and a a' (√(1 − r²) + r asin r − 1) is, up to a factor, that of the absolute values of two such Gaussians (the even part
of the arc-cosine kernel of order one: Cho and Saul, NeurIPS 2009). So `arc` is the prior of −‖·‖₁ and, to leading order, of
−‖·‖₂. The constants, 10 with the −1, are the prior of the mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.elementary import exp
from crowd_sim.linear_algebra import cholesky, lower_inverse, solved

PENALTIES = {"lin": (1e-12,), "arc": (1e-9, 1e-6, 1e-3, 1e-1)}
"""λ over the mean of K's diagonal, ascending."""

_EXACT = 1e-14
"""Mean squared error of leaving one out, over the variance, at which nothing is left to explain."""

_CLEARLY = 0.25
"""Part of the error of `arc` below which `lin` is preferred: where observations are few, distances look linear."""

_MEAN = 10.0

_LN2 = 0.6931471805599453


@dataclass(frozen=True, eq=False)
class Fading:
    """How f changes with time: values of it Δ rounds apart have 2^(−Δ / half-life) of the covariance they would have at once.

    Attributes:
        since: float64[N], rounds that have passed since each observation.
        half_life: rounds.
    """

    since: NDArray[np.float64]
    half_life: float

    def left(self) -> NDArray[np.float64]:
        """Of each observation's covariance with f as it is now: float64[N]."""
        return exp(-_LN2 / self.half_life * self.since)

    def between(self) -> NDArray[np.float64]:
        """Of any two's: float64[N, N]."""
        return exp(-_LN2 / self.half_life * np.abs(self.since[:, None] - self.since))


@dataclass(frozen=True)
class Fit:
    """A fitted function.

    Attributes:
        family, penalty: what was chosen; the penalty relative to the mean of K's diagonal.
        error: the mean squared error of leaving one out.
        alpha: float64[N]; of what is known now: weighted by what is left of each observation, where they fade.
        left: float64[N], that weight; 1 where nothing fades.
        scale: yᵀ (K + λI)⁻¹ y / N, most likely of the covariance.
    """

    family: str
    penalty: float
    error: float
    alpha: NDArray[np.float64]
    left: NDArray[np.float64]
    scale: float

    @property
    def fades(self) -> bool:
        """Whether f is taken to change with time."""
        return bool((self.left < 1).any())


def fit_scores(gram: NDArray[np.float64], y: NDArray[np.float64], fading: Fading | None = None) -> Fit | None:
    """The fit whose family and penalty leave the smallest errors, or None where no matrix can be factorised.

    Args:
        gram: float64[N, N], inner products of the compositions.
        y: float64[N].
        fading: how f changes with time, where it may; it is taken to where that leaves smaller errors.
    """
    still = _fit(gram, y, None)
    moving = _fit(gram, y, fading) if fading is not None else None
    if still is None or moving is None:
        return still or moving
    return moving if moving.error < still.error else still


def _fit(gram: NDArray[np.float64], y: NDArray[np.float64], fading: Fading | None) -> Fit | None:
    lin = _best("lin", gram, y, fading)
    if lin is not None and lin.error <= _EXACT * y.var():
        return lin
    arc = _best("arc", gram, y, fading)
    if lin is None or arc is None:
        return lin or arc
    return lin if lin.error < _CLEARLY * arc.error else arc


def _best(family: str, gram: NDArray[np.float64], y: NDArray[np.float64], fading: Fading | None) -> Fit | None:
    """The first penalty, from the smallest on, after which the error grows."""
    kernel = kernel_matrix(family, gram)
    if fading is not None:
        kernel *= fading.between()
    left = np.ones(len(y)) if fading is None else fading.left()
    best = None
    for penalty in PENALTIES[family]:
        found = _leave_one_out(kernel, y, penalty)
        if found is not None and np.isfinite(found[0]):
            if best is not None and found[0] >= best.error:
                break
            error, alpha = found
            best = Fit(family, penalty, error, alpha * left, left, max(float((y * alpha).sum()) / len(y), 0.0))
    return best


def kernel_matrix(family: str, gram: NDArray[np.float64]) -> NDArray[np.float64]:
    """κ of all pairs: float64[N, N], symmetric, from their inner products."""
    kernel = np.empty_like(gram)
    if family == "lin":
        np.add(gram, _MEAN, out=kernel)
    else:
        _arc_matrix(gram, kernel)
    return kernel


def _leave_one_out(
    kernel: NDArray[np.float64], y: NDArray[np.float64], penalty: float
) -> tuple[float, NDArray[np.float64]] | None:
    """Mean squared error and α; None where the matrix is not positive definite to rounding."""
    matrix = kernel.copy()
    matrix.flat[:: len(matrix) + 1] += penalty * kernel.diagonal().mean()
    upper, definite = cholesky(matrix)
    if not definite:
        return None
    alpha = solved(upper, y)
    return _mean_squared(alpha, lower_inverse(upper)), alpha


@numba.njit(cache=True, error_model="numpy")
def _mean_squared(alpha: NDArray[np.float64], lower: NDArray[np.float64]) -> float:
    """Mean of (α_o / [(K + λI)⁻¹]_oo)², for the inverse ``lower`` of the lower factor of K + λI."""
    n = len(alpha)
    diagonal = np.zeros(n)
    for o in range(n):
        for j in range(o + 1):
            diagonal[j] += lower[o, j] * lower[o, j]
    total = 0.0
    for o in range(n):
        total += (alpha[o] / diagonal[o]) ** 2
    return total / n


@numba.njit(cache=True, error_model="numpy")
def arc(g, aa):  # type: ignore[no-untyped-def]
    """κ of the family from g = z · z' and aa = (1 + z · z)(1 + z' · z'), shares not negative.

    Without a branch or a call, so that the compiler does several pairs at once. asin by the rational
    approximation of FreeBSD's e_asin.c.
    """
    ab = np.sqrt(aa)
    r = min((1.0 + g) / ab, 1.0)
    small = r < 0.5
    t = r * r if small else 0.5 * (1.0 - r)
    s = r if small else np.sqrt(t)
    p = t * (
        1.66666666666666657415e-01
        + t
        * (
            -3.25565818622400915405e-01
            + t
            * (
                2.01212532134862925881e-01
                + t * (-4.00555345006794114027e-02 + t * (7.91534994289814532176e-04 + t * 3.47933107596021167570e-05))
            )
        )
    )
    q = 1.0 + t * (
        -2.40339491173441421878e00
        + t * (2.02094576023350569471e00 + t * (-6.88283971605453293030e-01 + t * 7.70381505559019352791e-02))
    )
    y = s + s * (p / q)
    asin = y if small else 1.5707963267948966 - 2.0 * y
    return ab * (np.sqrt(1.0 - r * r) + r * asin + 9.0)


@numba.njit(cache=True, error_model="numpy")
def _arc_matrix(gram: NDArray[np.float64], kernel: NDArray[np.float64]) -> None:
    n = len(gram)
    a2 = np.empty(n)
    for o in range(n):
        a2[o] = 1.0 + gram[o, o]
    for o in range(n):
        for p in range(o + 1):
            kernel[o, p] = arc(gram[o, p], a2[o] * a2[p])
        for p in range(o):
            kernel[p, o] = kernel[o, p]
