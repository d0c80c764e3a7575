"""A sweep's folder: parts written as batches finish, each with its own checksum, and the tables made of them at the end.

``parts/points`` has a row per finished point, ``parts/runs`` one per run of these, ``parts/failures`` one per failed attempt,
``parts/workers`` the sampled workers.
All of a part but its first point's number is in its name: a digest of its bytes. So a part that was cut short or has changed is
found, equal parts are one file, and different ones never overwrite each other, whoever writes into the folder at the same time.
"""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from crowd_sim.errors import StorageError
from crowd_sim.files import replace_file, write_bytes, write_table
from crowd_sim.store.lock import lock
from crowd_sim.sweeps.batch import BatchResult, joined
from crowd_sim.sweeps.plan import Sweep, as_cell
from crowd_sim.tables import metrics_in_order

Kind = Literal["points", "runs", "failures", "workers"]

_BLOCK = 1 << 18
"""Rows that are in memory at a time, and of a row group."""

_FIXED = ("point", "run", "seed", "error", "traceback", "attempts")
"""Columns that stand before the metrics."""

_TURN = "tables.lock"

MOST_POINTS_WITH_WORKERS = 2_000
"""Larger sweeps keep no workers: their table would outgrow the points'."""


@dataclass(frozen=True)
class SweepProgress:
    """How far a sweep is.

    Attributes:
        done: bool[points].
        attempts: uint8[points], how often each was tried in vain.
    """

    done: NDArray[np.bool_]
    attempts: NDArray[np.uint8]

    @property
    def failed(self) -> NDArray[np.bool_]:
        """bool[points]: tried, and not done."""
        return (self.attempts > 0) & ~self.done


class SweepFolder:
    """Reads and writes what a sweep leaves in its folder."""

    def __init__(self, folder: Path, plan: Sweep) -> None:
        self.folder = folder
        self._plan = plan
        self.with_workers = plan.n_points <= MOST_POINTS_WITH_WORKERS
        self._values = {field: _typed(values) for field, values in plan.fields.items()}

    def standing(self) -> SweepProgress:
        """What is on disk; a damaged part is set aside, and its points count as not done."""
        done, sampled, with_runs = (np.zeros(self._plan.n_points, dtype=bool) for _ in range(3))
        attempts = np.zeros(self._plan.n_points, dtype=np.uint8)
        for table in self._parts("points"):
            done[table["point"].to_numpy()] = True
        for table in self._parts("runs"):
            with_runs[table["point"].to_numpy()] = True
        done &= with_runs
        if self.with_workers:
            for table in self._parts("workers"):
                sampled[table["point"].to_numpy()] = True
            done &= sampled
        for table in self._parts("failures"):
            numbers = table["point"].to_numpy()
            attempts[numbers] = np.maximum(attempts[numbers], table["attempts"].to_numpy())
        return SweepProgress(done, attempts)

    def write(self, results: Sequence[BatchResult], standing: SweepProgress) -> None:
        """Write finished batches and note them in `standing`; when this returns, they are on disk.

        Raises:
            StorageError: they cannot be written.
        """
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
        if finished:
            numbers = np.concatenate([result.points for result in finished])
            runs = joined([result.runs for result in finished])
            self._write_part("runs", self._with_fields(runs["point"], _arrays(runs)))
            metrics = _arrays(joined([result.metrics for result in finished]))
            self._write_part("points", self._with_fields(numbers, {"point": pa.array(numbers), **metrics}))
            standing.done[numbers] = True

    def turn(self) -> IO[str]:
        """A context in which nobody else reads all parts or makes tables of them; waits for it."""
        return lock(self.folder / _TURN, wait=True)

    def made(self) -> str:
        """A word that is another one whenever tables and report have been made; empty before that."""
        path = self.folder / _TURN
        return path.read_text(encoding="utf-8") if path.exists() else ""

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
            path.write_text(f"{self._all_parts()} {uuid.uuid4().hex}", encoding="utf-8")  # in place: a lock is on it
        except OSError as error:
            raise StorageError(path, error.strerror or str(error)) from error

    def take_parts_of(self, other: Path) -> None:
        """Copy the parts of another folder of the same sweep."""
        for source in sorted((other / "parts").glob("*/*.parquet")):
            target = self.folder / "parts" / source.parent.name / source.name
            if not target.exists():
                write_bytes(target, source.read_bytes())

    def compact(self, standing: SweepProgress) -> None:
        """Make the tables of points, runs, failures and sampled workers of the parts; one without rows is left out."""
        self._write_rows("points", "points.parquet", standing.done)
        self._write_rows("runs", "runs.parquet", standing.done)
        self._write_rows("failures", "failures.parquet", standing.failed)
        if self.with_workers and standing.done.any():
            parts = [part.to_pandas() for part in self._parts("workers")]
            # a point has equal rows in two parts where an interrupted sweep went on in other batches
            table = pd.concat(parts, ignore_index=True).drop_duplicates(["point", "run", "row"])
            table = table[standing.done[table["point"]]].sort_values("point", kind="stable", ignore_index=True)
            own = [name for name in table.columns if name not in self._values]
            table = table[[*sorted(own, key=_WORKERS.index), *self._values]]
            write_table(self.folder / "workers_sample.parquet", table.drop(columns="point"))

    def first_failure(self) -> dict[str, Any]:
        """The first row of failures.parquet."""
        with pq.ParquetFile(self.folder / "failures.parquet") as file:
            return next(file.iter_batches(batch_size=1)).to_pylist()[0]

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
        n_runs = max(self._plan.fields.get("runs", [self._plan.first.runs])) if kind == "runs" else 1
        n_points = max(_BLOCK // n_runs, 1)
        spans, names = self._spans(kind)
        for start in range(0, len(wanted), n_points):
            here = wanted.copy()
            here[:start] = here[start + n_points :] = False
            if not here.any():
                continue
            read = (_part(path) for path, first, last in spans if first < start + n_points and last >= start)
            parts = [part.filter(pa.array(here[part["point"].to_numpy()])) for part in read if part is not None]
            table = pa.concat_tables([_filled(part, names) for part in parts if len(part)])
            numbers = table["point"].to_numpy()
            # a point has equal rows in two parts where an interrupted sweep went on in other batches; failures count up
            second = {"runs": "run", "failures": "attempts"}.get(kind)
            within = (
                np.zeros(len(table), dtype=np.int64) if second is None else table[second].to_numpy().astype(np.int64)
            )
            order = np.lexsort([-within if kind == "failures" else within, numbers])
            numbers, within = numbers[order], within[order]
            new = np.diff(numbers, prepend=-1) != 0
            if kind == "runs":
                new |= np.diff(within, prepend=-1) != 0
            once = order[new]
            n_found = len(np.unique(numbers))
            if n_found != here.sum():
                raise RuntimeError(f"{self.folder} has rows for {n_found} of {here.sum()} points")
            yield table.take(pa.array(once)).drop_columns("point")

    def _spans(self, kind: Kind) -> tuple[list[tuple[Path, int, int]], list[str]]:
        """Every part with its lowest and highest point, and all columns of theirs, in an order that no cut changes."""
        spans, names = [], dict[str, None]()
        for path, table in self._parts_by_path(kind):
            numbers = table["point"].to_numpy()
            spans.append((path, int(numbers.min()), int(numbers.max())))
            names |= dict.fromkeys(table.column_names)
        own = [name for name in names if name in _FIXED or name in self._values]
        return spans, [*own, *metrics_in_order(names.keys() - own)]

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
        write_bytes(self.folder / "parts" / kind / f"{first:09d}-{_digest(content)}.parquet", content)

    def _all_parts(self) -> str:
        """A digest of which parts there are: the same tables are made of the same ones."""
        paths = (self.folder / "parts").glob("*/*.parquet")
        return _digest("\n".join(sorted(f"{path.parent.name}/{path.name}" for path in paths)).encode())

    def _parts(self, kind: Kind) -> Iterator[pa.Table]:
        for _, table in self._parts_by_path(kind):
            yield table

    def _parts_by_path(self, kind: Kind) -> Iterator[tuple[Path, pa.Table]]:
        for path in sorted((self.folder / "parts" / kind).glob("*.parquet")):
            table = _part(path)
            if table is not None:
                yield path, table
            else:
                aside = self.folder / "damaged" / f"{kind}-{path.name}"
                aside.parent.mkdir(exist_ok=True)
                path.rename(aside)


_WORKERS = ("run", "worker", "row", "points", "shapley", "shapley_stderr", "kernel_shap", "point")


def count_points(folder: Path) -> tuple[int, int]:
    """How many points of the sweep in a folder have a result, and how many were tried in vain; changes nothing there.

    A part is taken at its word: whether it is damaged is found out when the sweep goes on.
    """
    done, tried = (_numbers(folder / "parts" / kind) for kind in ("points", "failures"))
    return len(done), len(np.setdiff1d(tried, done))


def _numbers(parts: Path) -> NDArray[np.int64]:
    """The points that parts have rows of, int64[m], once each, in order."""
    found = [np.empty(0, dtype=np.int64)]
    for path in parts.glob("*.parquet"):
        with suppress(OSError, pa.ArrowException):  # set aside on_idle, or cut short
            found.append(pq.read_table(io.BytesIO(path.read_bytes()), columns=["point"])["point"].to_numpy())
    return np.unique(np.concatenate(found))


def _part(path: Path) -> pa.Table | None:
    """A part's table; None where it is damaged."""
    content = path.read_bytes()
    return pq.read_table(io.BytesIO(content)) if path.stem.rpartition("-")[2] == _digest(content) else None


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


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
