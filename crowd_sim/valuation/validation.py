"""Checks of what comes in, in one place."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crowd_sim.errors import InputError


def finite(field: str, value: ArrayLike, shape: tuple[int | None, ...]) -> NDArray[np.float64]:
    """``value`` as a contiguous float64 array of ``shape`` (``None``: any length), a read-only copy.

    Raises:
        InputError: naming ``field``, where the value is not numeric, not of that shape, or not finite.
    """
    try:
        given = np.asarray(value)
        array = np.array(given if given.dtype.kind != "c" else given.real, dtype=np.float64, order="C")
    except (TypeError, ValueError):
        raise InputError(field, value, "must be an array of numbers") from None
    if given.dtype.kind == "c":  # its imaginary part would be dropped
        raise InputError(field, value, "must be an array of real numbers")
    if array.ndim != len(shape) or any(want not in (None, have) for want, have in zip(shape, array.shape, strict=True)):
        wanted = "×".join("any" if want is None else str(want) for want in shape) or "a single number"
        raise InputError(field, array.shape, f"must have the shape {wanted}")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        where = tuple(int(i) for i in bad[0])
        raise InputError(field + str(list(where)) if where else field, float(array[where]), "must be finite")
    array.setflags(write=False)
    return array


def real(field: str, utilities: NDArray[Any]) -> NDArray[np.float64]:
    """What a game has returned, as float64.

    Raises:
        InputError: naming ``field``, where it is no numbers, or complex ones, whose imaginary part would be dropped.
    """
    allowed = "must return real numbers"
    if utilities.dtype.kind == "c":
        raise InputError(field, str(utilities.dtype), allowed)
    try:
        return utilities.astype(np.float64, copy=False)
    except (TypeError, ValueError):
        raise InputError(field, str(utilities.dtype), allowed) from None


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
