"""Workers from a file of vectors, a row per worker: CSV, TSV, Parquet, NumPy or JSON (docs/data.md)."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from crowd_sim.crowd.population import Population, first_duplicate
from crowd_sim.crowd.sources.contents import content_of, kind_of
from crowd_sim.crowd.sources.csvtable import Check, is_number, open_csv
from crowd_sim.crowd.sources.identifiers import check_names, identifier, looks_like_identifiers, text_flaw
from crowd_sim.crowd.sources.layout import ANY, ID_COLUMN, Layout
from crowd_sim.crowd.sources.parquet import read_parquet
from crowd_sim.crowd.sources.records import parsed_json, read_lines
from crowd_sim.errors import InputError


def load_vectors(path: Path, layout: Layout = ANY) -> Population:
    """Worker vectors from ``path``, in the file's order.

    The column that `layout` names, or ``worker`` if there is one, has the ids; without it they are the row numbers, from 0. All
    other columns must be numbers, or, of Parquet and JSON, lists of as many numbers in each row, which become a feature each. A
    pandas index that was saved with a Parquet file counts only if its name is that of the ids' column.

    Args:
        path: a file that ends in .csv, .tsv (UTF-8, a header line first; also .gz), .parquet, .npy (an array [workers,
            features]), .json (a list of objects, or of lists) or .jsonl (an object per line).
        layout: what is known of it.

    Raises:
        InputError: another ending, a missing or unreadable file, no rows, no features, a header without names,
            a column that looks like ids and is not named; and with ``file:line`` (text) or ``file:row`` (Parquet, JSON; rows
            count from 0) a missing, infinite or non-numeric value, a repeated, empty or odd id, a line of too few or too many
            fields.
    """
    reader = _READERS.get(kind_of(path))
    if reader is None:
        raise InputError("crowd.path", path, f"must be a file that ends in {', '.join(_READERS)}, or .csv.gz")
    return reader(path, layout)


def _from_csv(path: Path, layout: Layout) -> Population:
    separator = "\t" if kind_of(path) == ".tsv" and layout.separator is None else layout.separator
    file = open_csv(path, separator)
    header = file.header
    if all(is_number(name) for name in header):
        allowed = "the first line must have names, it has numbers only: a header is missing, or was made of a row"
        raise InputError(f"{path}:1", None, allowed)
    features = _features(f"{path}:1", header, layout)
    decimal = layout.decimal or file.decimal(list(features))
    types = {name: pa.string() if name == layout.ids else pa.float64() for name in header}
    check = _line_check(features, layout, decimal)
    table = file.columns(types, check, decimal)
    by_name = dict(zip(table.column_names, table.columns, strict=True))
    vectors = _stack([by_name[name].to_numpy() for name in features])
    ids = tuple(by_name[layout.ids].to_pylist()) if layout.ids in by_name else _numbered(len(vectors))
    if not np.isfinite(vectors).all() or first_duplicate(ids) is not None or any(map(text_flaw, ids)):
        raise file.broken_line(check, "a broken line is in it")
    return Population(vectors, ids, features)


def _line_check(features: tuple[str, ...], layout: Layout, decimal: str) -> Check:
    seen: set[str] = set()

    def check(record: dict[str, str]) -> str | None:
        for name in features:
            if not is_number(record[name], decimal):
                hint = "" if layout.id_column or layout.ids in record else _hint(name, record[name])
                return f"{name} must be a finite number, it is {_cut(record[name])}{hint}"
        worker = record.get(layout.ids)
        if worker is not None:
            if worker in seen:
                return f"{layout.ids} must be a name that comes only once, it is {_cut(worker)}"
            if flaw := text_flaw(worker):
                return f"{layout.ids} must be a name that comes only once, it is {_cut(worker)}: {flaw}"
            seen.add(worker)
        return None

    return check


def _hint(name: str, value: str) -> str:
    return f"; if {name} names the workers: call it {ID_COLUMN}, or crowd.id_column={name}" if value.strip() else ""


def _from_parquet(path: Path, layout: Layout) -> Population:
    def read(file: pyarrow.parquet.ParquetFile, index: list[str]) -> Population:
        table = file.read(use_threads=False)
        kept = [i for i, name in enumerate(table.column_names) if name not in index or name == layout.ids]
        names = tuple(table.column_names[i] for i in kept)
        features = _features(str(path), names, layout)
        if table.num_rows == 0:
            raise InputError(str(path), None, "at least one row is needed, there is none")
        columns = dict(zip(names, (table.column(i) for i in kept), strict=True))
        ids = columns[layout.ids].to_pylist() if layout.ids in columns else None
        parts = [_arrow_numbers(path, name, columns[name]) for name in features]
        return _population(path, [part for many in parts for part in many], ids, layout)

    return read_parquet(path, read)


_Part = tuple[str, NDArray[np.float64], Callable[[int], Any]]
"""A feature: its name, float64[m] with NaN for what is missing, and what really stands in a row."""


def _arrow_numbers(path: Path, name: str, column: pa.ChunkedArray) -> list[_Part]:
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _list_parts(path, name, column.to_pylist())
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        hint = (
            f" (call it {ID_COLUMN}, or crowd.id_column={name}, if it names the workers)"
            if pa.types.is_string(kind)
            else ""
        )
        raise InputError(str(path), None, f"column {name!r} must hold numbers, it holds {kind}{hint}")
    # a missing value becomes NaN; numbers beyond 2⁵³ are rounded
    numbers = np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    return [(name, numbers, lambda row: column[row].as_py())]


def _list_parts(path: Path, name: str, cells: Sequence[Any]) -> list[_Part]:
    """Lists of numbers, as many in every row, as a feature each: ``name[0]``, ``name[1]`` and so on."""
    length = len(cells[0]) if isinstance(cells[0], list | tuple) else 0
    for row, cell in enumerate(cells):
        if not isinstance(cell, list | tuple) or len(cell) != length or not length:
            wanted = f"{name} must be a list of {length or 'some'} numbers, as in row 0"
            raise InputError(f"{path}:{row}", None, f"{wanted}, it is {_cut(cell)}")
        for number in cell:
            if not _is_finite(number):
                raise InputError(f"{path}:{row}", None, f"{name} must hold finite numbers, it has {_cut(number)}")
    numbers = np.array(cells, dtype=np.float64)
    return [(f"{name}[{i}]", numbers[:, i], lambda row, i=i: cells[row][i]) for i in range(length)]  # type: ignore[misc]


def _from_npy(path: Path, layout: Layout) -> Population:
    if layout != ANY:
        raise InputError("crowd.id_column", layout.id_column, "must be left out for .npy, which has no columns by name")
    content = content_of(path)
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except (Exception, MemoryError) as error:  # of a damaged head NumPy raises almost anything
        raise InputError(str(path), None, f"a readable .npy file of numbers is needed ({error})") from None
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "iuf" or 0 in array.shape:
        described = f"shape {array.shape} and type {array.dtype}" if isinstance(array, np.ndarray) else "no array"
        allowed = f"must be an array [workers, features] of numbers, it has {described}"
        raise InputError(str(path), None, allowed)
    return _population(path, _array_parts(array), None, layout)


def _array_parts(array: NDArray[Any]) -> list[_Part]:
    numbers = array.astype(np.float64)
    return [(str(i), numbers[:, i], lambda row, i=i: array[row, i]) for i in range(array.shape[1])]  # type: ignore[misc]


def _from_json(path: Path, layout: Layout) -> Population:
    if kind_of(path) == ".jsonl":
        rows = [parsed_json(f"{path}:{number}", line) for number, line in read_lines(path) if line.strip()]
    else:
        try:
            text = content_of(path).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(str(path), None, f"text in UTF-8 is needed ({error.reason})") from None
        rows = parsed_json(str(path), text)
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], dict | list):
        allowed = "a list of objects, a worker each, or of lists of numbers is needed, with at least one"
        raise InputError(str(path), None, allowed)
    if isinstance(rows[0], list):
        rows = [{"row": row} for row in rows]
        parts = _list_parts(path, "row", [row["row"] for row in rows])
        return _population(path, [(str(i), part[1], part[2]) for i, part in enumerate(parts)], None, ANY)
    names = tuple(rows[0])
    features = _features(str(path), names, layout)
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or row.keys() != rows[0].keys():
            allowed = f"an object with the keys of row 0 is needed: {', '.join(names)}"
            raise InputError(f"{path}:{number}", None, allowed)
    parts = [part for name in features for part in _json_parts(path, name, [row[name] for row in rows])]
    return _population(path, parts, [row[layout.ids] for row in rows] if layout.ids in names else None, layout)


def _json_parts(path: Path, name: str, cells: Sequence[Any]) -> list[_Part]:
    if isinstance(cells[0], list):
        return _list_parts(path, name, cells)
    for row, cell in enumerate(cells):
        if not _is_finite(cell):
            hint = _hint(name, cell) if isinstance(cell, str) else ""
            raise InputError(f"{path}:{row}", None, f"{name} must be a finite number, it is {_cut(cell)}{hint}")
    return [(name, np.array(cells, dtype=np.float64), lambda row: cells[row])]


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond the largest float
        return False


def _population(path: Path, parts: Sequence[_Part], ids: Sequence[Any] | None, layout: Layout) -> Population:
    vectors = _stack([numbers for _, numbers, _ in parts])
    broken = np.argwhere(~np.isfinite(vectors))
    if len(broken):
        row, column = broken[0].tolist()
        name, _, cell = parts[column]
        name = f"column {name}" if name.isdecimal() else name  # of a format without names
        raise InputError(f"{path}:{row}", None, f"{name} must be a finite number, it is {_cut(cell(row))}")
    features = tuple(name for name, _, _ in parts)
    check_names(features, lambda name: InputError(str(path), name, "a column's name must come only once"))
    if ids is None:
        return Population(vectors, _numbered(len(vectors)), features)
    named = tuple(identifier(value, layout.ids, f"{path}:{row}") for row, value in enumerate(ids))
    row = first_duplicate(named)
    if row is not None:
        complaint = f"{layout.ids} must be a name that comes only once, it is {named[row]!r}"
        raise InputError(f"{path}:{row}", None, complaint)
    return Population(vectors, named, features)


def _features(where: str, columns: tuple[str, ...], layout: Layout) -> tuple[str, ...]:
    """The columns that are coordinates.

    Raises:
        InputError: there is none, or one that has no name, or comes twice, or looks like identifiers that are not named.
    """
    check_names(columns, lambda name: InputError(where, name, "a column's name must come only once"))
    if layout.id_column is not None and layout.id_column not in columns:
        there = f"must be a column of {where.removesuffix(':1')}; there are: {', '.join(columns)}"
        raise InputError("crowd.id_column", layout.id_column, there)
    for name in columns:
        if not name.strip() or name.startswith("Unnamed: "):
            allowed = "has no name: is it pandas' index? leave it out (index=False), or name it"
            raise InputError(where, name, f"the column {allowed}")
        if layout.id_column is None and name != layout.ids and looks_like_identifiers(name):
            allowed = (
                f"looks like identifiers: call it {ID_COLUMN}, or crowd.id_column={name}, if it names the workers, "
                "else another name is needed"
            )
            raise InputError(where, name, f"the column {allowed}")
    features = tuple(name for name in columns if name != layout.ids)
    if not features:
        raise InputError(
            where.removesuffix(":1"), None, f"at least one feature column is needed; there are: {', '.join(columns)}"
        )
    return features


def _numbered(length: int) -> tuple[str, ...]:
    return tuple(map(str, range(length)))


def _stack(columns: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.ascontiguousarray(np.stack(columns, axis=1))


def _cut(value: Any, longest: int = 60) -> str:
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= longest else text[: longest - 1] + "…"


_READERS: dict[str, Callable[[Path, Layout], Population]] = {
    ".csv": _from_csv,
    ".tsv": _from_csv,
    ".parquet": _from_parquet,
    ".npy": _from_npy,
    ".json": _from_json,
    ".jsonl": _from_json,
}
