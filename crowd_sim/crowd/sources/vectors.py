"""Workers from a file of vectors: CSV or Parquet, a row per worker, a column per feature."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from crowd_sim.crowd.population import Population, first_duplicate
from crowd_sim.crowd.sources.csvtable import Check, broken_line, is_number, read_columns, read_header
from crowd_sim.errors import InputError

ID_COLUMN = "worker"


def load_vectors(path: Path) -> Population:
    """Worker vectors from ``path``, in the file's order.

    A column ``worker``, if there is one, has the ids; without it they are the row numbers, from 0. All other columns
    must be numbers. A pandas index that was saved with a Parquet file counts only if its name is ``worker``.

    Args:
        path: a file that ends in .csv (UTF-8, a header line first) or .parquet.

    Raises:
        InputError: another ending, a missing or unreadable file, no rows, no features; and with ``file:line`` (CSV) or
            ``file:row`` (Parquet; rows count from 0) a missing, infinite or non-numeric value, a repeated or empty id,
            a line with too few or too many fields.
    """
    readers = {".csv": _from_csv, ".parquet": _from_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError("crowd.path", path, f"a file that ends in {' or '.join(readers)}")
    if not path.is_file():
        raise InputError("crowd.path", path, "must be a file that exists")
    return reader(path)


def _from_csv(path: Path) -> Population:
    header = read_header(path)
    features = _features(path, header)
    types = {name: pa.string() if name == ID_COLUMN else pa.float64() for name in header}
    table = read_columns(path, types, _line_check(features))
    vectors = _stack([table[name].to_numpy() for name in features])
    ids = _ids(table)
    if not np.isfinite(vectors).all() or "" in ids or first_duplicate(ids) is not None:
        raise broken_line(path, _line_check(features), "a broken line is in it")
    return Population(vectors, ids, features)


def _line_check(features: tuple[str, ...]) -> Check:
    seen: set[str] = set()

    def check(record: dict[str, str]) -> str | None:
        for name in features:
            if not is_number(record[name]):
                return f"{name} must be a finite number, it is {record[name]!r}"
        worker = record.get(ID_COLUMN)
        if worker is not None:
            if not worker or worker in seen:
                return f"{ID_COLUMN} must be a name that comes only once, it is {worker!r}"
            seen.add(worker)
        return None

    return check


def _from_parquet(path: Path) -> Population:
    try:
        # the file itself, not a data set: folders named like a=1 must not become columns
        table = pyarrow.parquet.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        raise InputError(str(path), None, f"a readable Parquet file is needed ({error})") from error
    index_columns = (table.schema.pandas_metadata or {}).get("index_columns", [])
    table = table.drop_columns([n for n in table.column_names if n in index_columns and n != ID_COLUMN])
    features = _features(path, tuple(table.column_names))
    if table.num_rows == 0:
        raise InputError(str(path), None, "at least one row is needed, there is none")
    vectors = _stack([_numbers(path, name, table[name]) for name in features])
    broken = np.argwhere(~np.isfinite(vectors))
    if len(broken):
        row, column = broken[0]
        complaint = f"{features[column]} must be a finite number, it is {table[features[column]][int(row)].as_py()!r}"
        raise InputError(f"{path}:{row}", None, complaint)
    ids = _ids(table)
    row = first_duplicate(ids) if "" not in ids else ids.index("")
    if row is not None:
        raise InputError(f"{path}:{row}", None, f"{ID_COLUMN} must be a name that comes only once, it is {ids[row]!r}")
    return Population(vectors, ids, features)


def _numbers(path: Path, name: str, column: pa.ChunkedArray) -> NDArray[np.float64]:
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise InputError(str(path), None, f"column {name!r} must hold numbers, it holds {kind}")
    # a missing value becomes NaN; numbers beyond 2⁵³ are rounded
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _features(path: Path, columns: tuple[str, ...]) -> tuple[str, ...]:
    features = tuple(name for name in columns if name != ID_COLUMN)
    if not features:
        raise InputError(str(path), None, f"at least one feature column is needed; there are: {', '.join(columns)}")
    repeated = first_duplicate(columns)
    if repeated is not None:
        raise InputError(str(path), columns[repeated], "a column's name must come only once")
    return features


def _ids(table: pa.Table) -> tuple[str, ...]:
    if ID_COLUMN not in table.column_names:
        return tuple(map(str, range(table.num_rows)))
    return tuple("" if value is None else str(value) for value in table[ID_COLUMN].to_pylist())


def _stack(columns: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.ascontiguousarray(np.stack(columns, axis=1))
