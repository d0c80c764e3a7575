"""The people of a crowd, as arrays: one row per person, never one object per person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowd_sim.errors import InputError


@dataclass(frozen=True, eq=False)
class Population:
    """Everyone whom workers and targets may be chosen from.

    Attributes:
        vectors: float64[N, d], C-contiguous and read-only; a person's taste, in the source's units (MovieLens: stars).
        ids: N different names, row by row.
        features: d different names, column by column.

    Raises:
        InputError: if a shape is wrong, nobody is in it, a number is not finite, or a name comes twice.
    """

    vectors: NDArray[np.float64]
    ids: tuple[str, ...]
    features: tuple[str, ...]

    def __post_init__(self) -> None:
        vectors = np.ascontiguousarray(self.vectors, dtype=np.float64).view()
        vectors.flags.writeable = False
        object.__setattr__(self, "vectors", vectors)
        object.__setattr__(self, "ids", tuple(self.ids))
        object.__setattr__(self, "features", tuple(self.features))
        if np.ndim(self.vectors) != 2 or 0 in self.vectors.shape:
            raise InputError("vectors", None, f"a 2-D array, not empty; its shape is {self.vectors.shape}")
        _check_names("ids", self.ids, self.n_workers)
        _check_names("features", self.features, self.n_features)
        finite = np.isfinite(self.vectors)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            field = f"vectors[{row}, {column}] (worker {self.ids[row]!r}, feature {self.features[column]!r})"
            raise InputError(field, float(self.vectors[row, column]), "a finite number")

    @property
    def n_workers(self) -> int:
        """N, the number of rows: the target of a run is one of them."""
        return int(self.vectors.shape[0])

    @property
    def n_features(self) -> int:
        """d, the number of columns."""
        return int(self.vectors.shape[1])


def _check_names(field: str, names: tuple[str, ...], length: int) -> None:
    if len(names) != length:
        raise InputError(field, None, f"{length} names, as the vectors' shape says; there are {len(names)}")
    row = first_duplicate(names)
    if row is not None:
        raise InputError(f"{field}[{row}]", names[row], "a name that comes only once")


def first_duplicate(names: tuple[str, ...]) -> int | None:
    """Position of the first name that stood before, ``None`` where all differ."""
    if len(set(names)) == len(names):
        return None
    return int(np.argmax(pd.Series(names, dtype=object).duplicated().to_numpy()))
