"""Exponentials and logarithms that round the same everywhere.

numpy and the C library choose theirs by the processor, and the choices differ in the last bit. These add and multiply in one
order, and are off by two units in the last place at most.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # the first has zeros at its end
_TERMS = 14  # of exp on |r| ≤ ln 2 / 2
_ODD = 23  # last power of the series of log, of s ≤ 0.172
_HALF = 0.7071067811865476
_ROUNDER = 1.5 * 2.0**52  # a sum with it is rounded to a whole number, which its last bits hold
_LEAST = -700.0
_R3, _R4, _R5, _R6, _R7, _R8, _R9, _R10, _R11, _R12, _R13 = (1.0 / math.factorial(k) for k in range(3, 14))


def exp(x: Any) -> Any:
    """e^x, element by element: float64, of the shape of ``x``."""
    return _compiled(_exp)(x)


def log(x: Any) -> Any:
    """The natural logarithm, element by element: −inf of 0, NaN below; float64, of the shape of ``x``."""
    return _compiled(_log)(x)


@cache
def _compiled(function: Any) -> Any:
    """The function of numbers as one of arrays; at the first call, as numba's start takes the better part of a second."""
    return numba.vectorize(["float64(float64)"], cache=True)(function)


def _exp(x):  # type: ignore[no-untyped-def]
    if not -745.0 < x < 709.7:  # beyond it 0, infinite or not a number
        return np.inf if x > 0.0 else 0.0 if x < 0.0 else x
    k = np.floor(x * _LOG2_E + 0.5)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    total = 1.0
    for term in range(_TERMS, 0, -1):
        total = 1.0 + total * r / term
    half = int(k) // 2  # in two steps: 2^k may not be a normal number
    return math.ldexp(math.ldexp(total, half), int(k) - half)


def _log(x):  # type: ignore[no-untyped-def]
    if not 0.0 < x < np.inf:
        return -np.inf if x == 0.0 else x if x > 0.0 else np.nan
    m, k = math.frexp(x)
    if m < _HALF:
        m, k = 2.0 * m, k - 1
    s = (m - 1.0) / (m + 1.0)
    square, total = s * s, 0.0
    for power in range(_ODD, 1, -2):
        total = square * (total + 1.0 / power)
    return k * _LN2_HIGH + (2.0 * s * (1.0 + total) + k * _LN2_LOW)


@numba.njit(cache=True)
def exp_in_place(values: NDArray[np.float64]) -> None:
    """e^x of ``values`` [m], at most 700, and below −700 as of that: several at a time, and not to the bit those of `exp`."""
    steps = np.empty_like(values)
    for i in range(len(values)):
        x = max(values[i], _LEAST)
        step = x * _LOG2_E + _ROUNDER
        k = step - _ROUNDER
        r = (x - k * _LN2_HIGH) - k * _LN2_LOW
        tail = ((((_R13 * r + _R12) * r + _R11) * r + _R10) * r + _R9) * r + _R8
        tail = (((((tail * r + _R7) * r + _R6) * r + _R5) * r + _R4) * r + _R3) * r + 0.5
        values[i] = 1.0 + r * (1.0 + r * tail)
        steps[i] = step
    bits = steps.view(np.int64)
    for i in range(len(values)):
        bits[i] = (bits[i] + 1023) << 52  # of 2^k
    for i in range(len(values)):
        values[i] *= steps[i]


def log_factorials(n: int) -> NDArray[np.float64]:
    """Log k! of k = 0 … n: float64[n + 1]."""
    return np.append(0.0, np.cumsum(log(np.arange(1.0, n + 1.0))))


def power(points: NDArray[np.float64], exponent: int) -> NDArray[np.float64]:
    """Each run's points float64[B, n] over its largest, to a power ≥ 0: in [0, 1], by products alone.

    A library's powers differ in their last bits from processor to processor.
    """
    largest = points.max(axis=1, keepdims=True)
    base = np.divide(points, largest, out=np.ones(points.shape), where=largest > 0)
    found = np.ones(points.shape)
    while exponent:
        if exponent % 2:
            found *= base
        base, exponent = base * base, exponent // 2
    return found
