"""A sweep's folder: parts written as batches finish, each with its own checksum, and the tables made of them at the end.

``parts/points`` has a row per finished point, ``parts/runs`` one per run of these, ``parts/failures`` one per failed attempt,
``parts/workers`` the sampled workers, ``parts/all-workers`` and ``parts/all-rounds`` tables that were asked for.
All of a part but its first point's number is in its name: a digest of its bytes. So a part that was cut short or has changed is
found, equal parts are one file, and different ones never overwrite each other, whoever writes into the folder at the same time.
"""

from __future__ import annotations

import io
import json
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from crowd_sim.errors import StorageError
from crowd_sim.files import check_not_removed, replace_file, write_bytes, write_sealed, write_table
from crowd_sim.integrity import FILES, digests_of
from crowd_sim.paths import exists, is_folder
from crowd_sim.store.lock import lock
from crowd_sim.sweeps.batch import CACHE, UNFINISHED, BatchResult, joined, other_weights, unfinished
from crowd_sim.sweeps.parts import digest_of, part_of
from crowd_sim.sweeps.plan import Sweep, as_cell
from crowd_sim.tables import metrics_in_order

Kind = Literal["points", "runs", "failures", "workers", "all-workers", "all-rounds"]

_BLOCK = 1 << 18
"""Rows that are in memory at a time, and of a row group."""

_FIXED = ("point", "run", "seed", "error", "traceback", "attempts")
"""Columns that stand before the metrics."""

_TURN, _SUMMARY = "tables.lock", "summary.json"
_WEIGHTS = b"weights"
"""Of a part of points: a key of its metadata."""

_ALL: dict[str, Kind] = {"workers": "all-workers", "rounds": "all-rounds"}

MOST_POINTS_WITH_WORKERS = 2_000
"""Larger sweeps keep no workers: their table would outgrow the points'."""


@dataclass(frozen=True)
class SweepProgress:
    """How far a sweep is.

    Attributes:
        done: bool[points].
        attempts: uint8[points], how often each was tried in vain.
        weights: digests of the files of the models that the results are of, by the models' names.
    """

    done: NDArray[np.bool_]
    attempts: NDArray[np.uint8]
    weights: dict[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> NDArray[np.bool_]:
        """bool[points]: tried, and not done."""
        return (self.attempts > 0) & ~self.done


class SweepFolder:
    """Reads and writes what a sweep leaves in its folder."""

    def __init__(self, folder: Path, plan: Sweep, tables: Sequence[str] = ()) -> None:
        """`tables`: those of `crowd_sim.sweeps.batch.TABLES` that are wanted of all points."""
        self.folder = folder
        self.tables = tuple(tables)
        self._plan = plan
        self.with_workers = plan.n_points <= MOST_POINTS_WITH_WORKERS
        self._values = {field: _typed(values) for field, values in plan.fields.items()}

    @staticmethod
    def has(folder: Path, name: str) -> bool:
        """Whether a sweep's folder has parts of one of `crowd_sim.sweeps.batch.TABLES`."""
        return is_folder(folder / "parts" / _ALL[name])

    def standing(self) -> SweepProgress:
        """What is on disk; a damaged part is set aside, and its points count as not done.

        Raises:
            OtherWeightsError: parts of models whose files have changed in between.
        """
        done = np.ones(self._plan.n_points, dtype=bool)
        attempts = np.zeros(self._plan.n_points, dtype=np.uint8)
        weights: dict[str, str] = {}
        for kind in self._kinds():
            here = np.zeros(self._plan.n_points, dtype=bool)
            for table in self._parts(kind):
                here[table["point"].to_numpy()] = True
                for name, digest in json.loads((table.schema.metadata or {}).get(_WEIGHTS, b"{}")).items():
                    if weights.setdefault(name, digest) != digest:
                        raise other_weights(self.folder)
            done &= here
        for table in self._parts("failures"):
            numbers = table["point"].to_numpy()
            attempts[numbers] = np.maximum(attempts[numbers], table["attempts"].to_numpy())
        return SweepProgress(done, attempts, weights)

    def write(self, results: Sequence[BatchResult], standing: SweepProgress) -> None:
        """Write finished batches and note them in `standing`; when this returns, they are on disk.

        Raises:
            StorageError: they cannot be written.
        """
        check_not_removed(self.folder)
        failures = [failure for result in results for failure in result.failures]
        finished = [result for result in results if len(result.points)]
        samples = [table for result in results for table in result.workers]
        # the points' part comes last: it is what says that they are done
        if samples:
            table = pd.concat(samples, ignore_index=True)
            self._write_part("workers", self._with_fields(table["point"].to_numpy(), _columns(table)))
        if failures:
            numbers = np.array([failure.point for failure in failures])
            standing.attempts[numbers] = np.minimum(standing.attempts[numbers], 254) + 1
            told = {
                "error": pa.array([failure.error for failure in failures]),
                "traceback": pa.array([failure.traceback for failure in failures]),
                "attempts": pa.array(standing.attempts[numbers]),
            }
            self._write_part("failures", self._with_fields(numbers, {"point": pa.array(numbers), **told}))
        for name in self.tables if finished else ():
            table = pd.concat([result.tables[name] for result in finished], ignore_index=True)
            self._write_part(_ALL[name], self._with_fields(table["point"].to_numpy(), _columns(table)))
        if finished:
            for result in finished:
                standing.weights.update(result.weights)
            numbers = np.concatenate([result.points for result in finished])
            runs = joined([result.runs for result in finished])
            self._write_part("runs", self._with_fields(runs["point"], _arrays(runs)))
            metrics = _arrays(joined([result.metrics for result in finished]))
            table = self._with_fields(numbers, {"point": pa.array(numbers), **metrics})
            made_by = {name: digest for result in finished for name, digest in result.weights.items()}
            told_by = {_WEIGHTS: json.dumps(made_by, sort_keys=True).encode()} if made_by else None
            self._write_part("points", table.replace_schema_metadata(told_by))
            standing.done[numbers] = True
            for number in numbers.tolist():
                shutil.rmtree(unfinished(self.folder, number), ignore_errors=True)

    def turn(self) -> IO[str]:
        """A context in which nobody else reads all parts or makes tables of them; waits for it."""
        return lock(self.folder / _TURN, wait=True)

    def made(self) -> str:
        """A word that is another one whenever tables and report have been made; empty before that."""
        path = self.folder / _TURN
        return path.read_text(encoding="utf-8") if exists(path) else ""

    def tables_version(self, before: str) -> bool:
        """Whether tables of just these parts have been made since `made` was this."""
        now = self.made()
        return now != before and now.startswith(self._all_parts())

    def note_made(self) -> None:
        """Tables and report have been made of the parts that there are.

        Raises:
            StorageError: that cannot be written.
        """
        path = self.folder / _TURN
        try:
            word = f"{self._all_parts()} {uuid.uuid4().hex}"
            path.write_text(f"{word} {digest_of(word.encode())}", encoding="utf-8")  # in place: a lock is on it
        except OSError as error:
            raise StorageError(path, error.strerror or str(error)) from error

    def take_parts_of(self, other: Path) -> None:
        """Copy the parts of another folder of the same sweep."""
        for source in sorted((other / "parts").glob("*/*.parquet")):
            target = self.folder / "parts" / source.parent.name / source.name
            if not exists(target):
                write_bytes(target, source.read_bytes())

    def compact(self, standing: SweepProgress) -> None:
        """Make the tables of points, runs, failures and sampled workers of the parts; one without rows is left out.

        The summary, with their digests, comes last.
        """
        (self.folder / _SUMMARY).unlink(missing_ok=True)  # the tables' digests are not these any more
        self._write_rows("points", "points.parquet", standing.done)
        self._write_rows("runs", "runs.parquet", standing.done)
        self._write_rows("failures", "failures.parquet", standing.failed)
        for name in self.tables:
            self._write_rows(_ALL[name], f"{name}.parquet", standing.done)
        for number in np.flatnonzero(standing.done) if exists(self.folder / UNFINISHED) else ():
            shutil.rmtree(unfinished(self.folder, int(number)), ignore_errors=True)
        if standing.done.all():  # nothing is left that could ask for them
            shutil.rmtree(self.folder / CACHE, ignore_errors=True)
            shutil.rmtree(self.folder / UNFINISHED, ignore_errors=True)
        if self.with_workers and standing.done.any():
            parts = [part.to_pandas() for part in self._parts("workers")]
            # a point has equal rows in two parts where an interrupted sweep went on in other batches
            table = pd.concat(parts, ignore_index=True).drop_duplicates(["point", "run", "row"])
            table = table[standing.done[table["point"]]].sort_values("point", kind="stable", ignore_index=True)
            own = [name for name in table.columns if name not in self._values]
            table = table[[*sorted(own, key=_place), *self._values]]
            write_table(self.folder / "workers_sample.parquet", table.drop(columns="point"))
        told = {"points": len(standing.done), "done": int(standing.done.sum()), "failed": int(standing.failed.sum())}
        write_sealed(self.folder / _SUMMARY, {**told, FILES: digests_of(self.folder, self.folder.glob("*.parquet"))})

    def first_failure(self) -> dict[str, Any]:
        """The first row of failures.parquet."""
        with pq.ParquetFile(self.folder / "failures.parquet") as file:
            return next(file.iter_batches(batch_size=1, use_threads=False)).to_pylist()[0]

    def _write_rows(self, kind: Kind, name: str, wanted: NDArray[np.bool_]) -> None:
        path = self.folder / name
        if not wanted.any():
            path.unlink(missing_ok=True)
            return

        def write(temporary: Path) -> None:
            writer = None
            with temporary.open("wb") as file:
                for table in self._blocks(kind, wanted):
                    writer = writer or pq.ParquetWriter(file, table.schema, write_page_checksum=True)
                    writer.write_table(table)
                if writer is not None:
                    writer.close()

        replace_file(path, write)

    def _blocks(self, kind: Kind, wanted: NDArray[np.bool_]) -> Iterator[pa.Table]:
        """The rows of the wanted points in their order, without their numbers: the same whatever the parts are."""
        spans, names, n_rows = self._spans(kind)
        n_points = max(_BLOCK // n_rows, 1)
        for start in range(0, len(wanted), n_points):
            here = wanted.copy()
            here[:start] = here[start + n_points :] = False
            if not here.any():
                continue
            read = (part_of(path) for path, first, last in spans if first < start + n_points and last >= start)
            parts = [part.filter(pa.array(here[part["point"].to_numpy()])) for part in read if part is not None]
            table = pa.concat_tables([_filled(part, names) for part in parts if len(part)])
            numbers = table["point"].to_numpy()
            # a point has equal rows in two parts where an interrupted sweep went on in other batches; failures count up
            rank = -table["attempts"].to_numpy().astype(np.int64) if kind == "failures" else np.repeat(*_lengths(parts))
            order = np.lexsort([rank, numbers])
            found, first = np.unique(numbers[order], return_index=True)
            n_found = len(found)
            best = rank[order][np.repeat(first, np.diff(first, append=len(order)))]
            once = order[rank[order] == best]
            if n_found != here.sum():
                raise RuntimeError(f"{self.folder} has rows for {n_found} of {here.sum()} points")
            yield table.take(pa.array(once)).drop_columns("point")

    def _spans(self, kind: Kind) -> tuple[list[tuple[Path, int, int]], list[str], int]:
        """Every part with its lowest and highest point; all columns, in an order that no cut changes; most rows of a point."""
        spans, names, n_rows = [], dict[str, None](), 1
        for path, table in self._parts_by_path(kind):
            numbers = table["point"].to_numpy()
            spans.append((path, int(numbers.min()), int(numbers.max())))
            names |= dict.fromkeys(table.column_names)
            n_rows = max(n_rows, int(np.unique(numbers, return_counts=True)[1].max()))
        own = [name for name in names if name in _FIXED or name in self._values]
        return spans, [*own, *self._in_order(kind, names, own)], n_rows

    def _in_order(self, kind: Kind, names: Mapping[str, None], own: Sequence[str]) -> list[str]:
        rest = [name for name in names if name not in own]
        return rest if kind.startswith("all-") else metrics_in_order(rest)

    def _kinds(self) -> list[Kind]:
        """What a point that is done has rows of."""
        kinds: list[Kind] = ["points", "runs", "workers"]
        return [*kinds[: 2 + self.with_workers], *(_ALL[name] for name in self.tables)]

    def _with_fields(self, numbers: NDArray[np.int64], columns: dict[str, pa.Array]) -> pa.Table:
        """A table with the swept fields of its points after the first column."""
        fields = {
            name: values.take(pa.array(self._plan.places(name, numbers))) for name, values in self._values.items()
        }
        first = next(iter(columns))
        return pa.table({first: columns[first], **fields, **columns})

    def _write_part(self, kind: Kind, table: pa.Table) -> None:
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        content = buffer.getvalue()
        first = table["point"][0].as_py()
        write_bytes(self.folder / "parts" / kind / f"{first:09d}-{digest_of(content)}.parquet", content)

    def _all_parts(self) -> str:
        """A digest of which parts there are: the same tables are made of the same ones."""
        paths = (self.folder / "parts").glob("*/*.parquet")
        return digest_of("\n".join(sorted(f"{path.parent.name}/{path.name}" for path in paths)).encode())

    def _parts(self, kind: Kind) -> Iterator[pa.Table]:
        for _, table in self._parts_by_path(kind):
            yield table

    def _parts_by_path(self, kind: Kind) -> Iterator[tuple[Path, pa.Table]]:
        for path in sorted((self.folder / "parts" / kind).glob("*.parquet")):
            table = part_of(path)
            if table is not None:
                yield path, table
            else:
                aside = self.folder / "damaged" / f"{kind}-{path.name}"
                aside.parent.mkdir(exist_ok=True)
                path.rename(aside)


_WORKERS = ("run", "worker", "row", "points", "shapley", "shapley_stderr", "kernel_shap", "point")


def _place(column: str) -> tuple[int, str]:
    """Where a column of the workers' sample stands: those of all sweeps first, then others by name."""
    return (_WORKERS.index(column) if column in _WORKERS else len(_WORKERS), column)


def _lengths(parts: Sequence[pa.Table]) -> tuple[NDArray[np.int64], list[int]]:
    """The parts' numbers and lengths, those without rows left out."""
    lengths = [len(part) for part in parts if len(part)]
    return np.arange(len(lengths)), lengths


def _filled(part: pa.Table, names: Sequence[str]) -> pa.Table:
    """All columns, NaN in those that the part lacks."""
    unknown = pa.array(np.full(len(part), np.nan))
    return pa.table({name: part[name] if name in part.column_names else unknown for name in names})


def _arrays(columns: Mapping[str, NDArray[Any]]) -> dict[str, pa.Array]:
    return {name: pa.array(column) for name, column in columns.items()}


def _columns(table: pd.DataFrame) -> dict[str, pa.Array]:
    return {str(name): pa.array(table[name]) for name in table.columns}


def _typed(values: Sequence[Any]) -> pa.Array:
    """A swept field's values, in the one type that holds all of them."""
    cells = [as_cell(value) for value in values]
    try:
        return pa.array(cells)
    except pa.ArrowException:  # true beside 1, say
        return pa.array([str(cell) for cell in cells])
