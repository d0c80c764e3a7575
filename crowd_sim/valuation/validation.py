"""Checks of what comes in, in one place."""

from __future__ import annotations

import inspect
import math
import operator
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crowd_sim.errors import InputError

LARGEST_BUDGET = 10**12
"""Utility evaluations: nothing holds as many."""
_NUMBERS = "biufO"  # kinds of arrays; dates and strings would be converted, too


def finite(field: str, value: ArrayLike, shape: tuple[int | None, ...]) -> NDArray[np.float64]:
    """``value`` as a contiguous float64 array of ``shape`` (``None``: any length), a read-only copy.

    Raises:
        InputError: naming ``field``, where the value is not numeric, not of that shape, or not finite.
    """
    try:
        array = np.array(_numbers(value), order="C")
    except (TypeError, ValueError, OverflowError):
        raise InputError(field, value, "must be an array of real numbers") from None
    if array.ndim != len(shape) or any(want not in (None, have) for want, have in zip(shape, array.shape, strict=True)):
        wanted = "×".join("any" if want is None else str(want) for want in shape) or "a single number"
        raise InputError(field, array.shape, f"must have the shape {wanted}")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        where = tuple(int(i) for i in bad[0])
        raise InputError(field + str(list(where)) if where else field, float(array[where]), "must be finite")
    array.setflags(write=False)
    return array


def room(shape: tuple[int, ...], kind: type[np.generic], budget: int) -> NDArray[Any]:
    """An array of ``shape``, not filled, for what is drawn with ``budget``.

    Raises:
        InputError: memory does not hold it.
    """
    try:
        return np.empty(shape, dtype=kind)
    except (MemoryError, ValueError):
        size = math.prod(shape) * np.dtype(kind).itemsize / 2**30
        raise InputError("budget", budget, f"must be smaller: {size:,.0f} GiB do not fit into memory") from None


def real(field: str, utilities: Any) -> NDArray[np.float64]:
    """What a game has returned, as float64; what is masked in it is missing, NaN.

    Raises:
        InputError: naming ``field``, where it is no numbers, or complex ones, whose imaginary part would be dropped.
    """
    try:
        return _numbers(utilities)
    except (TypeError, ValueError, OverflowError):
        shown = getattr(utilities, "dtype", type(utilities).__name__)
        raise InputError(field, str(shown), "must return real numbers") from None


def _numbers(value: Any) -> NDArray[np.float64]:
    """As float64, masked numbers as NaN.

    Raises:
        TypeError, ValueError, OverflowError: no real numbers.
    """
    given: NDArray[Any] = value if isinstance(value, np.ma.MaskedArray) else np.asarray(value)
    if given.dtype.kind not in _NUMBERS:
        raise TypeError
    if given.dtype.kind == "O" and any(isinstance(entry, str | bytes) for entry in given.flat):
        raise TypeError
    array = given.astype(np.float64, copy=False)
    return np.asarray(array.filled(np.nan)) if isinstance(array, np.ma.MaskedArray) else array


def integer(field: str, value: Any, low: int, high: int | None = None) -> int:
    """``value`` as an int in [low, high].

    Raises:
        InputError: naming ``field``, where it is not an integer or out of range.
    """
    allowed = f"must be an integer of at least {low}" + ("" if high is None else f" and at most {high}")
    try:
        number = operator.index(value)
    except TypeError:
        raise InputError(field, value, allowed) from None
    if isinstance(value, bool) or number < low or (high is not None and number > high):
        raise InputError(field, value, allowed)
    return number


def checked_budget(value: Any, least: int = 1) -> int:
    """A number of utility evaluations.

    Raises:
        InputError: no integer in [least, 10^12].
    """
    return integer("budget", value, least, LARGEST_BUDGET)


def above_zero(field: str, value: Any) -> float:
    """``value`` as a float.

    Raises:
        InputError: naming ``field``, where it is no number above 0, or infinite.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real) or not 0.0 < float(value) < math.inf:
        raise InputError(field, value, "must be a number above 0")
    return float(value)


def takes(function: Any, count: int) -> bool:
    """Whether a callable can be called with so many positional arguments, as far as it says."""
    # of an object's own `__call__`, which may be a static method
    called = function if inspect.isroutine(function) or isinstance(function, type) else function.__call__
    try:
        inspect.signature(called).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # a builtin, say
        return True
    return True


def checked_size(value: float, smallest: float) -> None:
    """See that what was estimated is not so small that its squares vanish, and its standard errors with them.

    Args:
        value: the largest of the values.
        smallest: that is allowed besides 0.

    Raises:
        InputError: it is smaller.
    """
    if 0.0 < value < smallest:
        raise InputError(
            "game", value, f"the largest value must be 0 or of a size from {smallest:g} on; scale utilities"
        )


def checked_missing(missing: str | float) -> str | float:
    """What a utility that is NaN counts as: ``"raise"``, ``"skip"`` or a finite number.

    Raises:
        InputError: anything else.
    """
    if isinstance(missing, str) and missing in ("raise", "skip"):
        return missing
    if isinstance(missing, bool) or not isinstance(missing, int | float) or not math.isfinite(missing):
        raise InputError("missing", missing, "must be raise, skip or a finite number")
    return float(missing)
