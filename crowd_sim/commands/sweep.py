"""A sweep's folder: batches run, parts written as they finish, what is finished never computed again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.commands import IN_PROCESS
from crowd_sim.commands.batches import batch_runner
from crowd_sim.errors import InputError
from crowd_sim.files import fingerprint_of, open_folder, read_config, read_table, write_config, write_sealed
from crowd_sim.host import InProcess
from crowd_sim.participants import check_participants
from crowd_sim.progress import Progress, quiet
from crowd_sim.store.lock import exclusive
from crowd_sim.sweeps.batch import TABLES, Workplace
from crowd_sim.sweeps.folder import SweepFolder, SweepProgress
from crowd_sim.sweeps.log import SweepRecord, lock_of, tidy_sweep
from crowd_sim.sweeps.partition import WHOLE, Shard, batches, in_order
from crowd_sim.sweeps.plan import Sweep
from crowd_sim.tasks.load import crowd_key, load_task
from crowd_sim.tasks.vector import VectorTask
from crowd_sim.trackers import Named, Watch


@dataclass(frozen=True)
class Swept:
    """What a sweep's folder holds after a command.

    Attributes:
        folder: the sweep's folder.
        points, done, failed: how many there are, have a result, were tried in vain.
        first_failure: the first row of failures.parquet; None while there is no such table.
    """

    folder: Path
    points: int
    done: int
    failed: int
    first_failure: dict[str, Any] | None

    @property
    def left(self) -> int:
        """Points that nobody has tried yet: other shards' points."""
        return self.points - self.done - self.failed


def sweep(
    plan: Sweep,
    out: Path | None,
    name: str,
    ray_address: str | None = IN_PROCESS,
    progress: Progress = quiet,
    say: Callable[[str], object] = lambda _: None,
    *,
    shard: Shard = WHOLE,
    retry_failed: bool = False,
    tables: Sequence[str] = (),
    trackers: Sequence[Named] = (),
) -> Swept:
    """Run what is left of a sweep, or of a shard of it; tables, figures and report are made once no point is left.

    Args:
        plan: the sweep.
        out: the sweep's folder; None: runs/<name>-<fingerprint>.
        name: of its file; names the folder where `out` does not.
        ray_address: see `crowd_sim.actors.cluster.connected`; ``none`` runs in process, batch by batch.
        progress: told how many points are done.
        say: told in a line what an earlier command has left to do.
        shard: the share of the points to run. Shards may write into one folder, or each into its own (see `merge`).
        retry_failed: whether points that failed are tried again.
        tables: those of `crowd_sim.sweeps.batch.TABLES` to make of all runs, too; asked for later, they cost the points again.
        trackers: told how many points are done, and of every metric's mean over the points.

    Raises:
        InputError: people, folder or shard that cannot be used.
        ClusterError: no cluster, or one that is too small.
        StorageError: results cannot be written.
    """
    for table in tables:
        if table not in TABLES:
            raise InputError("--tables", table, f"must be of {', '.join(TABLES)}")
    if shard.of > plan.n_points:
        raise InputError("--shard", f"{shard.number}/{shard.of}", f"the sweep has {plan.n_points:,} points only")
    progress("start", 0, 0, "the crowds")
    fingerprint = fingerprint_of_sweep(plan)
    folder = out or Path("runs") / f"{name}-{fingerprint[:8]}"
    files = SweepFolder(folder, plan, tables)
    with exclusive(lock_of(folder, shard), partial(open_folder, folder, fingerprint)):
        tidy_sweep(folder, shard)
        write_config(folder, {**plan.first.recorded(folder), "sweep": _nested(plan)}, fingerprint)
        made_before = files.made()
        with Watch(trackers) as watch:
            watch.start(folder, {**plan.first.recorded(folder), "sweep": _nested(plan)})
            _run_rest(plan, files, shard, retry_failed, ray_address, watch.over(progress), say)
            swept = _finish(files, made_before, progress)
            if trackers and swept.done and not swept.left:
                watch.finish(_means(folder), (folder / "points.parquet", folder / "report.html"))
    return swept


def _means(folder: Path) -> dict[str, float]:
    points = read_table(folder / "points.parquet")
    means = None if points is None else points.filter(regex="_mean$").mean()
    return {} if means is None else {str(name): float(mean) for name, mean in means.items()}


def _run_rest(
    plan: Sweep,
    files: SweepFolder,
    shard: Shard,
    retry_failed: bool,
    ray_address: str | None,
    progress: Progress,
    say: Callable[[str], object],
) -> None:
    """Run what is left of a shard."""
    with files.turn():
        standing = files.standing()
    mine = np.zeros(plan.n_points, dtype=bool)
    for numbers in in_order(plan, shard):
        mine[numbers] = True
    settled = standing.done if retry_failed else standing.done | (standing.attempts > 0)
    todo = int((mine & ~settled).sum())
    if todo:
        if todo < mine.sum():
            say(f"{int(mine.sum()) - todo:,} of {int(mine.sum()):,} points are there; {todo:,} to go")
        start = time.perf_counter()
        cut = batches(plan, plan.first.actors.sweep.max_runs, shard, settled.copy())
        share = int(mine.sum())
        progress("start", 0, 0, "the points" if ray_address == IN_PROCESS else "Ray")
        with SweepRecord(files.folder, shard, share, share - todo) as record:
            _run(plan, cut, files, standing, ray_address, progress, record)
        write_sealed(files.folder / "timing.json", {"seconds": time.perf_counter() - start, "points": todo})


def merge(out: Path, shards: Sequence[Path]) -> Swept:
    """Make one folder of those that shards of a sweep have left: the tables that a single command would have made.

    Raises:
        InputError: a folder that is not of a sweep, or of another one than the first.
        StorageError: results cannot be written.
    """
    configs = [read_config(folder) for folder in shards]
    for folder, config in zip(shards, configs, strict=True):
        if "sweep" not in config:
            raise InputError("shard", str(folder), "must be a sweep's folder")
        if config.get("fingerprint") != configs[0].get("fingerprint"):
            raise InputError("shard", str(folder), f"must be of the same sweep as {shards[0]}")
    plan = Sweep.load(shards[0] / "config.yaml")
    fingerprint = str(configs[0]["fingerprint"])
    open_folder(out, fingerprint)
    write_config(out, {**plan.first.recorded(out), "sweep": _nested(plan)}, fingerprint)
    both = [name for name in TABLES if all(SweepFolder.has(folder, name) for folder in shards)]
    files = SweepFolder(out, plan, both)
    made_before = files.made()
    for folder in shards:
        files.take_parts_of(folder)
    return _finish(files, made_before)


def _run(
    plan: Sweep,
    cut: Iterator[NDArray[np.int64]],
    files: SweepFolder,
    standing: SweepProgress,
    ray_address: str | None,
    progress: Progress,
    record: SweepRecord,
) -> None:
    """Run batches and write them."""
    place = Workplace(InProcess(), files.folder, standing.weights, files.tables)
    with batch_runner(plan.first, place, ray_address, with_workers=files.with_workers) as run:
        status = record.progress([], Counter())
        progress("points", status.points - status.left, status.points)
        for results, losses in run(plan, cut):
            files.write(results, standing)
            status = record.progress(results, losses)
            note = f"{status.failed:,} failed" if status.failed else ""
            progress("points", status.points - status.left, status.points, note)


def _finish(files: SweepFolder, made_before: str, progress: Progress = quiet) -> Swept:
    """Make the tables, figures and the report where no point is left; `made_before`: what `files.made` said at the start.

    Shards may end together: they look one after the other, so that the last one sees all points, and of several that do the
    first one makes the tables.
    """
    with files.turn():
        standing = files.standing()
        done, failed = int(standing.done.sum()), int(standing.failed.sum())
        first = None
        if done + failed == len(standing.done):
            if not files.tables_version(made_before):
                progress("report", 0, 2, "tables")
                files.compact(standing)
                if done:
                    progress("report", 1, 2, "figures and page")
                    from crowd_sim.report import write_report

                    write_report(files.folder)
                files.note_made()
                progress("report", 2, 2)
            first = files.first_failure() if failed else None
    return Swept(files.folder, len(standing.done), done, failed, first)


def fingerprint_of_sweep(plan: Sweep) -> str:
    """Of the sweep and of all people it meets, who are checked here, before anything starts."""
    people: dict[tuple[object, ...], str] = {}
    for config in plan.crowds():
        key = crowd_key(config)
        if key in people and config.task.kind != "vector":
            continue
        task = load_task(config)
        if isinstance(task, VectorTask):
            check_participants(config, task.population)
        if key not in people:
            people[key] = fingerprint_of({}, task.identity())
    return fingerprint_of({**plan.determinants(), "people": list(people.values())})


def _nested(plan: Sweep) -> dict[str, object]:
    """The swept fields, nested as in a sweep's file."""
    root: dict[str, object] = {}
    for field, values in plan.fields.items():
        *parents, leaf = field.split(".")
        node = root
        for parent in parents:
            node = node.setdefault(parent, {})  # type: ignore[assignment]
        node[leaf] = values
    return root
