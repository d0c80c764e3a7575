"""A sweep's folder: batches run, parts written as they finish, what is finished never computed again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console

from actors.cluster import connected
from actors.resources import need_of_sweep
from actors.sweep import run_batches_on_ray
from crowd_sim.config import RunConfig
from crowd_sim.loading import load_people, people_key
from crowd_sim.people import check_people
from crowd_sim.results.folder import fingerprint, open_folder, read_table, write_config, write_json, write_table
from crowd_sim.sweep import BatchResult, Point, Sweep, batches, run_batch
from experiments.progress import shown
from experiments.report import write_report
from experiments.running import IN_PROCESS

_MOST_POINTS_WITH_WORKERS = 2_000
"""Larger sweeps keep no workers: their table would outgrow the points'."""


def sweep(plan: Sweep, name: str, out: Path | None, ray_address: str | None, console: Console) -> Path:
    """Run what is left of a sweep and write points.parquet, figures and report; the folder.

    Args:
        plan: the sweep.
        name: of its file; names the folder where `out` does not.
        out: the sweep's folder; absent: runs/<name>-<fingerprint>.
        ray_address: see `actors.cluster.connected`; ``none`` runs in process, batch by batch.
        console: where progress is shown.

    Raises:
        InputError: people or folder that cannot be used.
        ClusterError: no cluster, or one that is too small.
    """
    print_of = _fingerprint(plan)
    folder = out or Path("runs") / f"{name}-{print_of[:8]}"
    open_folder(folder, print_of)
    write_config(folder, {**plan.points[0].config.model_dump(mode="json"), "sweep": _nested(plan)}, print_of)
    done = finished_points(folder)
    todo = [point for point in plan.points if point.index not in done]
    if done and todo:
        console.print(f"{len(done):,} of {len(plan.points):,} points are there; {len(todo):,} to go", highlight=False)
    start = time.perf_counter()
    if todo:
        with shown(console) as progress:
            finished = len(done)
            for result in _results(todo, plan, ray_address):
                _write_part(folder, result)
                finished += len(result.rows)
                progress("points", finished, len(plan.points))
        write_json(folder / "timing.json", {"seconds": time.perf_counter() - start, "points": len(todo)})
    compact(folder, len(plan.points))
    write_report(folder)
    return folder


def finished_points(folder: Path) -> set[int]:
    """Numbers of the points whose rows are on disk; a damaged part is set aside and its points count as not done."""
    done: set[int] = set()
    for path in sorted((folder / "parts").glob("points-*.parquet")):
        sample = path.with_name(path.name.replace("points", "workers", 1))
        tables = {part: read_table(part) for part in (path, sample) if part.exists()}
        points = tables[path]
        if points is None or any(table is None for table in tables.values()):
            for part in tables:  # the points first: without them the others do not count
                part.rename(part.with_suffix(".damaged"))
        else:
            done |= set(points["point"])
    return done


def compact(folder: Path, n_points: int) -> None:
    """Make points.parquet (a row a point, in the points' order) and the workers' sample of the parts."""
    for kind, target in (("points", "points.parquet"), ("workers", "workers_sample.parquet")):
        parts = [read_table(path) for path in sorted((folder / "parts").glob(f"{kind}-*.parquet"))]
        tables = [part for part in parts if part is not None]
        if tables:
            # a point has equal rows in two parts where an interrupted sweep went on in other batches
            key = [name for name in ("point", "run", "row") if name in tables[0]]
            table = pd.concat(tables, ignore_index=True).drop_duplicates(key)
            table = table.sort_values("point", kind="stable", ignore_index=True)
            if kind == "points" and len(table) != n_points:
                raise RuntimeError(f"{folder} has rows for {len(table)} of {n_points} points")
            write_table(folder / target, table.drop(columns="point"))


def _results(todo: Sequence[Point], plan: Sweep, ray_address: str | None) -> Iterator[BatchResult]:
    workers = plan.points[0].config.actors.sweep
    with_workers = len(plan.points) <= _MOST_POINTS_WITH_WORKERS
    cut = batches(todo, workers.max_runs)
    if ray_address == IN_PROCESS:
        for batch in cut:
            yield run_batch(batch, load_people(batch[0].config.crowd), with_workers)
    else:
        with connected(ray_address, need_of_sweep(plan.points[0].config.actors)):
            yield from run_batches_on_ray(cut, load_people, workers, with_workers)


def _write_part(folder: Path, result: BatchResult) -> None:
    name = f"{result.rows[0]['point']:08d}.parquet"
    # the points' part comes last: it is what says that the batch is done
    if result.workers:
        write_table(folder / "parts" / f"workers-{name}", pd.concat(result.workers, ignore_index=True))
    write_table(folder / "parts" / f"points-{name}", pd.DataFrame(result.rows))


def _fingerprint(plan: Sweep) -> str:
    """Of the sweep and of all people it meets, who are checked here, before anything starts."""
    crowds: dict[tuple[object, ...], RunConfig] = {}
    for point in plan.points:
        crowds.setdefault((*people_key(point.config.crowd), point.config.crowd.n_workers), point.config)
    people: dict[tuple[object, ...], str] = {}
    for config in crowds.values():
        population = load_people(config.crowd)
        check_people(config, population)
        people[people_key(config.crowd)] = fingerprint({}, population)
    return fingerprint({**plan.determinants(), "people": list(people.values())})


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
