"""The people of a crowd, as arrays: one row per person, never one object per person."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError


class Drawing(Protocol):
    """People who are functions of a key: whoever has the key can draw any of them."""

    @property
    def n_people(self) -> int:
        """N."""

    def rows(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The vectors float64[m, d] of the people at int64[m]."""

    def identity(self) -> bytes:
        """What tells these people from others, without drawing them all."""


class Population:
    """Everyone whom workers and targets may be chosen from.

    People who are drawn by a key are drawn when, and where, their vectors are asked for: copies of such a population travel
    as the key.

    Attributes:
        vectors: float64[N, d], C-contiguous and read-only; a person's taste, in the source's units (MovieLens: stars).
        ids: N different names, row by row; drawn people are called by their row numbers.
        features: d different names, column by column.

    Raises:
        InputError: if a shape is wrong, nobody is in it, a number is not finite, or a name comes twice.
    """

    features: tuple[str, ...]

    def __init__(
        self, vectors: NDArray[np.float64] | Drawing, ids: Sequence[str] | None, features: Sequence[str]
    ) -> None:
        """From vectors with names, or from a `Drawing` with None for the names."""
        self.features = tuple(features)
        self._drawing: Drawing | None = None
        if ids is None:
            self._drawing = cast("Drawing", vectors)
            return
        self.vectors = _read_only(cast("NDArray[np.float64]", vectors))
        self.ids = tuple(ids)
        if np.ndim(self.vectors) != 2 or 0 in self.vectors.shape:
            raise InputError("vectors", None, f"a 2-D array, not empty; its shape is {self.vectors.shape}")
        _check_names("ids", self.ids, self.n_workers)
        _check_names("features", self.features, self.n_features)
        finite = np.isfinite(self.vectors)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            field = f"vectors[{row}, {column}] (worker {self.ids[row]!r}, feature {self.features[column]!r})"
            raise InputError(field, float(self.vectors[row, column]), "a finite number")

    @cached_property
    def vectors(self) -> NDArray[np.float64]:
        """See the class."""
        return _read_only(self._drawn.rows(np.arange(self.n_workers)))

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """See the class."""
        return tuple(map(str, range(self.n_workers)))

    @property
    def n_workers(self) -> int:
        """N, the number of rows: the target of a run is one of them."""
        return self._drawn.n_people if self._drawing else int(self.vectors.shape[0])

    @property
    def n_features(self) -> int:
        """d, the number of columns."""
        return len(self.features) if self._drawing else int(self.vectors.shape[1])

    @property
    def is_drawn(self) -> bool:
        """Whether these people are drawn by a key."""
        return self._drawing is not None

    def rows(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The vectors float64[m, d] of the people at int64[m]; of drawn people no others are drawn."""
        return self._drawn.rows(rows) if self._drawing and "vectors" not in self.__dict__ else self.vectors[rows]

    def portion(self, rows: NDArray[np.int64]) -> Callable[[], NDArray[np.float64]]:
        """What, called anywhere, gives the vectors float64[m, d] of the people at int64[m]: no vectors travel with a key."""
        if self._drawing:
            return partial(self._drawing.rows, rows)
        return partial(np.asarray, self.vectors[rows])

    def identity(self) -> Iterator[bytes]:
        """What tells these people from others."""
        if self._drawing:
            yield self._drawing.identity()
        else:
            yield str(self.vectors.shape).encode()
            yield self.vectors.astype("<f8", copy=False).tobytes()
            yield json.dumps(self.ids).encode()

    @property
    def _drawn(self) -> Drawing:
        assert self._drawing is not None, "people with vectors have no drawing"  # noqa: S101
        return self._drawing

    def __reduce__(self) -> tuple[Any, ...]:
        if self._drawing:
            return Population, (self._drawing, None, self.features)
        return Population, (self.vectors, self.ids, self.features)


def _read_only(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    view = np.ascontiguousarray(vectors, dtype=np.float64).view()
    view.flags.writeable = False
    return view


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
    seen: set[str] = set()
    return next(row for row, name in enumerate(names) if name in seen or seen.add(name))  # type: ignore[func-returns-value]
