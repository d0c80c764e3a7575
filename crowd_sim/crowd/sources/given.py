"""Workers from an array or a DataFrame that a Python program has at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from crowd_sim.crowd.population import Population, first_duplicate
from crowd_sim.crowd.sources.identifiers import identifier, looks_like_identifiers
from crowd_sim.crowd.sources.layout import ID_COLUMN
from crowd_sim.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

FILE = "crowd.parquet"
"""What a run's folder keeps such a crowd in; `crowd_sim.crowd.sources.vectors.load_vectors` reads it."""


def population_of(crowd: Any) -> Population:
    """Workers from a row each.

    Args:
        crowd: an array [N, d] of integers or floats, or a DataFrame of N rows and d columns of these. A DataFrame's index, or
            its column ``worker`` if there is one, has the ids; those of an array are the row numbers, from 0.

    Raises:
        InputError: something else, an empty one, a number that is missing or not finite, a name that comes twice.
    """
    import pandas as pd

    vectors, ids, features = _of_frame(crowd) if isinstance(crowd, pd.DataFrame) else _of_array(crowd)
    if 0 in vectors.shape:
        allowed = f"must have a row per worker and a column per feature; its shape is {vectors.shape}"
        raise InputError("crowd", None, allowed)
    for names, what in ((ids, "a worker"), (features, "a column")):
        if (place := first_duplicate(names)) is not None:
            raise InputError("crowd", names[place], f"must be the name of {what} only once")
    broken = np.argwhere(~np.isfinite(vectors))
    if len(broken):
        row, column = broken[0]
        where = f"crowd: worker {ids[row]!r}, {features[column]}"
        raise InputError(where, float(vectors[row, column]), "must be a finite number")
    return Population(vectors, ids, features)


def _without_lists(frame: pd.DataFrame) -> pd.DataFrame:
    """A column of lists as a column for each of their places, ``name[0]`` and so on."""
    import pandas as pd

    if all(kind.kind != "O" for kind in frame.dtypes if hasattr(kind, "kind")):
        return frame
    parts = []
    for place, name in enumerate(frame.columns):
        column = frame.iloc[:, place]
        lengths = {len(cell) if isinstance(cell, list | tuple | np.ndarray) else 0 for cell in column}
        if getattr(column.dtype, "kind", "") != "O" or len(lengths) != 1 or 0 in lengths:
            parts.append(column.to_frame(name))
            continue
        try:
            cells = np.stack([np.asarray(cell) for cell in column])
        except ValueError:
            cells = np.empty(0, dtype=object)
        if cells.ndim != 2 or cells.dtype.kind not in "iuf":
            raise InputError("crowd", None, f"must have columns of numbers; {name!r} holds lists of something else")
        names = [f"{name}[{i}]" for i in range(cells.shape[1])]
        parts.append(pd.DataFrame(cells, columns=names, index=frame.index))
    return pd.concat(parts, axis=1) if parts else frame


def table_of(people: Population) -> pd.DataFrame:
    """The workers as a table that is read as the same workers: column ``worker``, then one per feature."""
    import pandas as pd

    table = pd.DataFrame(people.vectors, columns=list(people.features))
    table.insert(0, ID_COLUMN, list(people.ids))
    return table


_Parts = tuple[np.ndarray[Any, Any], tuple[str, ...], tuple[str, ...]]


def _of_array(given: Any) -> _Parts:
    try:
        masked = isinstance(given, np.ma.MaskedArray)
        array = np.ma.filled(given.astype(np.float64), np.nan) if masked else np.asarray(given)
    except ValueError:  # rows of different lengths
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "iuf" or array.ndim != 2:
        described = f"{type(given).__name__} of shape {array.shape} and type {array.dtype}"
        file = "a file is named by crowd.source=vectors and crowd.path"
        allowed = f"must be an array [workers, features] of numbers, or a DataFrame, not {described}; {file}"
        raise InputError("crowd", None, allowed)
    ids, features = (tuple(map(str, range(length))) for length in array.shape)
    return array.astype(np.float64), ids, features


def _of_frame(frame: pd.DataFrame) -> _Parts:
    ids = frame[ID_COLUMN] if ID_COLUMN in frame.columns else frame.index
    columns = [column for column in frame.columns if column != ID_COLUMN]
    if ids.ndim != 1 or getattr(ids, "nlevels", 1) > 1 or ids.isna().any():
        raise InputError(
            "crowd", None, "must have a name for every worker, in one column worker or an index of one level"
        )
    rest = _without_lists(frame[columns])
    columns = list(rest.columns)
    for column, kind in zip(columns, rest.dtypes, strict=False):
        if str(column).startswith("Unnamed: ") or not str(column).strip():
            raise InputError(
                "crowd", None, f"must have a name for every column; {column!r} is pandas' own for an index"
            )
        if looks_like_identifiers(str(column)):
            allowed = f"must have columns of coordinates; {column!r} looks like identifiers: call it worker if it names"
            raise InputError("crowd", None, f"{allowed} the workers, else give it another name")
        if getattr(kind, "kind", "O") not in "iuf":
            raise InputError("crowd", None, f"must have columns of numbers; {column!r} holds {kind}")
    vectors = rest.to_numpy(dtype=np.float64, na_value=np.nan) if columns else np.empty((len(frame), 0))
    names = [identifier(value, ID_COLUMN, f"crowd: row {row}") for row, value in enumerate(ids)]
    return vectors, tuple(names), tuple(map(str, columns))
