"""A game to be tabulated, and how scikit-learn's data, models and scores come in."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Whole = NDArray[np.int64]
Coalitions = NDArray[np.bool_]
Utility = Callable[[Coalitions], Vector]
"""bool[m, n] -> float64[m]."""


@dataclass(frozen=True, eq=False)
class Made:
    """A game.

    Attributes:
        name: within its family.
        n_players: at most 15.
        utility: of coalitions bool[m, n], m any number.
    """

    name: str
    n_players: int
    utility: Utility


Family = Callable[[], Iterator[Made]]


def sklearn(module: str) -> Any:
    """A module of scikit-learn, which has no types."""
    return importlib.import_module(f"sklearn.{module}")


def bundled(name: str, *, columns: int | None = None, standard: bool = True) -> tuple[Vector, Whole]:
    """Rows float64[N, columns] and targets of a data set that comes with scikit-learn.

    The first ``columns`` (default: all), each with mean 0 and variance 1 where ``standard``; classes are numbered, numbers
    stay whole.
    """
    data = getattr(sklearn("datasets"), f"load_{name}")()
    rows = np.asarray(data.data, dtype=np.float64)[:, :columns]
    if standard:
        rows = (rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), 1e-9)
    return rows, np.asarray(data.target).astype(np.int64)


def share_of_largest(classes: Whole) -> float:
    """How often the most frequent of ``classes`` [N] is right."""
    return float(np.bincount(classes).max() / len(classes))
