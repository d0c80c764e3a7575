"""The least value of a smooth function within bounds, by L-BFGS (Nocedal and Wright, "Numerical optimization", 2006, 7.2).

Sums alone, none of which goes through BLAS: scipy's own go, and its steps then depend on the processor.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_REMEMBERED = 10  # steps
_ENOUGH, _STEEP = 1e-3, 0.9  # Wolfe's conditions
_TRIALS = 20  # along a line
_NO_MORE = 2e-9  # relative gain
_SLOW = 2  # steps

Vector = NDArray[np.float64]
Past = tuple[tuple[Vector, Vector], ...]
"""The last moves, and how far the gradient turned at each."""


def least(
    function: Callable[[Vector], tuple[float, Vector]],
    start: Vector,
    low: Vector,
    high: Vector,
    steps: int,
    *,
    enough: float = 0.0,
    before: Past = (),
) -> tuple[Vector, Past]:
    """Where ``function``, which returns its value and gradient, is least between ``low`` and ``high``, after ``steps`` at most.

    A variable at a bound stays there while the gradient points outward. It ends where two steps in a row gain no more than
    ``enough``; ``before`` are the moves of a similar function.
    """
    at = np.clip(start, low, high)
    value, gradient = function(at)
    past = deque(before, maxlen=_REMEMBERED)
    slow = 0
    for _ in range(steps):
        free = ~(((at <= low) & (gradient > 0.0)) | ((at >= high) & (gradient < 0.0)))
        direction = _direction(np.where(free, gradient, 0.0), past, free)
        found = _along(function, at, value, gradient, direction, low, high)
        if found is None:
            if not past:
                break
            past.clear()
            continue
        there, less, its_gradient = found
        moved, turned = there - at, its_gradient - gradient
        if _dot(moved, turned) > 1e-10 * _dot(turned, turned):
            past.append((moved, turned))
        gain = value - less
        at, value, gradient = there, less, its_gradient
        slow = slow + 1 if gain <= enough else 0
        if slow == _SLOW or gain <= _NO_MORE * max(abs(value), 1.0):
            break
    return at, tuple(past)


def carried(past: Past, times: float, more: int) -> Past:
    """The moves ``past`` as those of a function that is ``times`` as large and has ``more`` variables after the others."""
    return tuple((np.pad(moved, (0, more)), np.pad(times * turned, (0, more))) for moved, turned in past)


def _dot(left: Vector, right: Vector) -> float:
    return float((left * right).sum())


def _direction(gradient: Vector, past: deque[tuple[Vector, Vector]], free: NDArray[np.bool_]) -> Vector:
    """Minus the inverse Hessian, as ``past`` moves and turns of the gradient tell, times ``gradient``; 0 where not ``free``."""
    kept = [(np.where(free, moved, 0.0), np.where(free, turned, 0.0)) for moved, turned in past]
    kept = [(moved, turned) for moved, turned in kept if _dot(moved, turned) > 1e-10 * _dot(turned, turned)]
    found, taken = -gradient, []
    for moved, turned in reversed(kept):
        part = _dot(moved, found) / _dot(moved, turned)
        taken.append(part)
        found = found - part * turned
    if kept:
        moved, turned = kept[-1]
        found = found * (_dot(moved, turned) / _dot(turned, turned))
    else:
        found = found / max(1.0, math.sqrt(_dot(gradient, gradient)))
    for (moved, turned), part in zip(kept, reversed(taken), strict=True):
        found = found + (part - _dot(turned, found) / _dot(moved, turned)) * moved
    return found


def _along(
    function: Callable[[Vector], tuple[float, Vector]],
    at: Vector,
    value: float,
    gradient: Vector,
    direction: Vector,
    low: Vector,
    high: Vector,
) -> tuple[Vector, float, Vector] | None:
    """A point on the line, bent at the bounds, with its value and gradient, where Wolfe's conditions hold; ``None`` without."""
    slope = _dot(gradient, direction)
    if not slope < 0.0:
        return None
    step, shortest, longest = 1.0, 0.0, np.inf
    best = None
    for _ in range(_TRIALS):
        there = np.clip(at + step * direction, low, high)
        found, its_gradient = function(there)
        if found > value + _ENOUGH * _dot(gradient, there - at):
            longest = step
            # the least of the parabola through both ends and the slope, in the middle part
            aimed = -0.5 * slope * step * step / (found - value - slope * step)
            step = shortest + min(max((aimed - shortest) / (longest - shortest), 0.1), 0.5) * (longest - shortest)
            if best is not None:
                return best
        else:
            best = there, found, its_gradient
            if _dot(its_gradient, direction) >= _STEEP * slope or step >= 8.0:
                return best
            shortest = step
            step *= 2.0
    return best
