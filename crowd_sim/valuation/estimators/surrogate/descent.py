"""The least value of a function within bounds, by its gradient and what is known of its curvature.

Steps of Newton's kind, damped as the last one kept its promise (Levenberg and Marquardt: Nocedal and Wright, "Numerical
optimization", 2006, 10.3). Sums alone, none of which goes through BLAS: steps would then depend on the processor.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from crowd_sim.linear_algebra import cholesky, solved, times

_LONGEST = 2.0  # step of a variable
_DAMPING, _LEAST_DAMPING = 1e-3, 1e-4  # relative to the curvature along a variable
_FLAT = 1e-2  # of the largest curvature, which a variable is damped by at least
_KEPT, _BROKEN = 0.75, 0.25  # of what a step promised

Vector = NDArray[np.float64]


def least(
    function: Callable[[Vector], tuple[float, Callable[[], tuple[Vector, Vector]]]],
    start: Vector,
    low: Vector,
    high: Vector,
    calls: int,
    enough: float,
) -> Vector:
    """Where ``function`` is least between ``low`` and ``high``, after ``calls`` at most.

    It returns its value and what has its slopes: its gradient [k] and a curvature [k, k] with no direction below 0. A variable
    at a bound stays there while the gradient points outward. A step that promises no more than ``enough`` is the last, and
    taken unseen.
    """
    at = np.clip(start, low, high)
    value, slopes = function(at)
    gradient, curvature = slopes()
    damping, refused = _DAMPING, False
    for _ in range(calls - 1):
        free = ~(((at <= low) & (gradient > 0.0)) | ((at >= high) & (gradient < 0.0)))
        there = np.clip(at + _step(gradient, curvature, free, damping), low, high)
        moved = there - at
        promised = -float((moved * (gradient + 0.5 * times(curvature, moved))).sum())
        if not promised > enough:
            return at if refused else there
        less, slopes = function(there)
        gain = value - less
        refused = not gain > 0.0
        if not refused:
            at, value, (gradient, curvature) = there, less, slopes()
        if gain > _KEPT * promised:
            damping = max(0.1 * damping, _LEAST_DAMPING)
        elif gain < _BROKEN * promised:
            damping *= 10.0 if refused else 4.0
    return at


def _step(gradient: Vector, curvature: Vector, free: NDArray[np.bool_], damping: float) -> Vector:
    """Minus the damped inverse of ``curvature`` times ``gradient``, of ``free`` variables alone."""
    step = np.zeros_like(gradient)
    if not free.any():
        return step
    matrix = curvature[free][:, free]
    along = matrix.diagonal()
    matrix[np.diag_indices(len(matrix))] += damping * (along + _FLAT * along.max()) + 1e-8
    upper, regular = cholesky(matrix)
    if regular:
        step[free] = -solved(upper, gradient[free])
    return step * min(1.0, _LONGEST / max(float(np.abs(step).max()), 1e-300))
