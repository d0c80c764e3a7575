"""Workers from ratings, a row per judgement: worker, item, rating. A worker's vector has a coordinate for each item.

Where a worker has not rated an item stands the mean of those who have: it says what the crowd says, and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from crowd_sim.crowd.population import Population
from crowd_sim.crowd.sources.contents import kind_of
from crowd_sim.crowd.sources.csvtable import Check, is_number, open_csv
from crowd_sim.crowd.sources.identifiers import identifier, text_flaw
from crowd_sim.crowd.sources.layout import ANY, Layout
from crowd_sim.crowd.sources.parquet import read_parquet
from crowd_sim.errors import InputError

_WORKERS = ("worker", "userId", "user_id", "user")
_ITEMS = ("item", "movieId", "item_id", "itemId", "task")
_RATINGS = ("rating", "score", "label", "value")
_LARGEST = 100_000_000
"""Cells of the pivoted table."""


def load_ratings(path: Path, layout: Layout = ANY) -> Population:
    """Worker vectors float64[N, items]: workers and items in the order in which they first come.

    Args:
        path: a file that ends in .csv, .tsv (also .gz) or .parquet, with columns for worker, item and rating; others are left
            out.
        layout: what is known of it; the workers' column is its `id_column`, else `worker`, `userId`, `user_id` or `user`, the
            item's `item`, `movieId`, `item_id`, `itemId` or `task`, the rating's `rating`, `score`, `label` or `value`.

    Raises:
        InputError: another ending, a missing or unreadable file, a missing column, and with its place a rating that is no
            number, an odd name, or a second rating of an item by the same worker.
    """
    kind = kind_of(path)
    if kind not in (".csv", ".tsv", ".parquet"):
        raise InputError("crowd.path", path, "must be a file that ends in .csv, .tsv, .parquet or .csv.gz")
    return _from_parquet(path, layout) if kind == ".parquet" else _from_text(path, layout)


def pivoted(
    workers: Sequence[str], items: Sequence[str], ratings: NDArray[np.float64], where: str
) -> tuple[Population, int | None]:
    """Ratings as vectors, and the row of the first that a worker gives to an item for the second time, if there is one.

    Args:
        workers: m names.
        items: m names.
        ratings: float64[m], finite.
        where: the file, for errors.

    Raises:
        InputError: more cells than memory should be spent on.
    """
    ids, features = tuple(dict.fromkeys(workers)), tuple(dict.fromkeys(items))
    if len(ids) * len(features) > _LARGEST:
        allowed = f"has {len(ids):,} workers and {len(features):,} items; their product must be at most {_LARGEST:,}"
        raise InputError(where, None, allowed)
    rows = _places(workers, ids)
    columns = _places(items, features)
    cells = rows * len(features) + columns
    _, first = np.unique(cells, return_index=True)
    again = np.setdiff1d(np.arange(len(cells)), first)
    order = np.argsort(cells, kind="stable")  # an item's ratings are added in the order of the workers
    totals = np.bincount(columns[order], weights=ratings[order], minlength=len(features))
    means = totals / np.bincount(columns, minlength=len(features))
    vectors = np.tile(means, (len(ids), 1))
    vectors[rows, columns] = ratings
    return Population(vectors, ids, features), int(again[0]) if len(again) else None


def _places(names: Sequence[str], known: Sequence[str]) -> NDArray[np.int64]:
    place = {name: number for number, name in enumerate(known)}
    return np.array([place[name] for name in names], dtype=np.int64)


def _columns(where: str, there: Sequence[str], layout: Layout) -> tuple[str, str, str]:
    found = []
    workers = (layout.id_column,) if layout.id_column else _WORKERS
    for what, names in (("worker", workers), ("item", _ITEMS), ("rating", _RATINGS)):
        known = [name for name in names if name in there]
        if len(known) != 1:
            one = "more than one of" if known else "none of"
            named = " (crowd.id_column names the workers')" if what == "worker" else ""
            allowed = (
                f"a column for the {what} is needed{named}: {one} {', '.join(names)} is there, of {', '.join(there)}"
            )
            raise InputError(where, None, allowed)
        found.append(known[0])
    return found[0], found[1], found[2]


def _from_text(path: Path, layout: Layout) -> Population:
    separator = "\t" if kind_of(path) == ".tsv" and layout.separator is None else layout.separator
    file = open_csv(path, separator)
    worker, item, rating = _columns(f"{path}:1", file.header, layout)
    decimal = layout.decimal or file.decimal([rating])
    types = {worker: pa.string(), item: pa.string(), rating: pa.float64()}
    table = file.columns(types, _check(worker, item, rating, decimal), decimal)
    workers, items = table[worker].to_pylist(), table[item].to_pylist()
    ratings = table[rating].to_numpy()
    flawed = any(text_flaw(name) for names in (workers, items) for name in dict.fromkeys(names))
    if flawed or not np.isfinite(ratings).all():
        raise file.broken_line(_check(worker, item, rating, decimal), "a broken line is in it")
    population, again = pivoted(workers, items, ratings, str(path))
    if again is not None:
        raise file.broken_line(_check(worker, item, rating, decimal), "a broken line is in it")
    return population


def _check(worker: str, item: str, rating: str, decimal: str) -> Check:
    seen: set[tuple[str, str]] = set()

    def check(record: dict[str, str]) -> str | None:
        for name in (worker, item):
            if flaw := text_flaw(record[name]):
                return f"{name} must be a name, it is {record[name][:60]!r}: {flaw}"
        if not is_number(record[rating], decimal):
            return f"{rating} must be a finite number, it is {record[rating][:60]!r}"
        pair = record[worker], record[item]
        if pair in seen:
            return f"{worker} {pair[0]!r} rates {item} {pair[1]!r} on an earlier line, too"
        seen.add(pair)
        return None

    return check


def _from_parquet(path: Path, layout: Layout) -> Population:
    def read(file: pyarrow.parquet.ParquetFile, index: list[str]) -> Population:
        there = [name for name in file.schema_arrow.names if name not in index or name == layout.id_column]
        worker, item, rating = _columns(str(path), there, layout)
        columns = file.read([worker, item, rating], use_threads=False).to_pydict()
        if not columns[worker]:
            raise InputError(str(path), None, "at least one row is needed, there is none")
        workers, items = (
            [identifier(value, name, f"{path}:{row}") for row, value in enumerate(columns[name])]
            for name in (worker, item)
        )
        for row, value in enumerate(columns[rating]):
            if not _is_finite(value):
                raise InputError(f"{path}:{row}", None, f"{rating} must be a finite number, it is {value!r}")
        population, again = pivoted(workers, items, np.array(columns[rating], dtype=np.float64), str(path))
        if again is not None:
            twice = f"{worker} {workers[again]!r} rates {item} {items[again]!r} in an earlier row, too"
            raise InputError(f"{path}:{again}", None, twice)
        return population

    return read_parquet(path, read)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
