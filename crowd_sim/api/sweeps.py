"""`crowd_sim.sweep`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crowd_sim.api.arguments import (
    as_arguments,
    changes_of,
    check_address,
    content_of,
    folder_of,
    overrides_of,
    reporting,
    trackers_of,
    with_crowd,
)
from crowd_sim.api.shown import frame_of, html_of, text_of
from crowd_sim.commands import IN_PROCESS
from crowd_sim.config import RunConfig
from crowd_sim.errors import InputError
from crowd_sim.paths import exists, is_folder
from crowd_sim.progress import Progress

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike


@dataclass(frozen=True, eq=False)
class SweepResult:
    """A sweep that is over; printed, it is the table of its points.

    Attributes:
        points: a row per point that has a result: the swept fields by dotted name, then ``<metric>_mean`` and ``<metric>_se``.
        runs: a row per run of these: the swept fields, ``run``, ``seed``, and every metric.
        failures: a row per point that raised, with ``error``, ``traceback`` and ``attempts``; empty where none did.
        out: the folder; None where none was given.
    """

    points: pd.DataFrame
    runs: pd.DataFrame
    failures: pd.DataFrame
    out: Path | None

    def to_frame(self) -> pd.DataFrame:
        """`points`."""
        return self.points

    def plot(self) -> Figure:
        """Correlation of points with values by the swept fields, or how good the models are in the end, where nobody was
        valued; a notebook shows the figure.
        """
        from crowd_sim.report.figures import correlation_by_n
        from crowd_sim.report.measure_figure import has_correlations, measure_by_field, measure_in

        if has_correlations(self.points):
            return correlation_by_n(self.points)
        return measure_by_field(self.points, measure_in(self.points))

    def _repr_html_(self) -> str:
        failed = f", {len(self.failures):,} failed" if len(self.failures) else ""
        return f"<p><b>{len(self.points):,} points{failed}</b></p>{html_of(self.points)}"

    def __str__(self) -> str:
        """The swept fields and the means of the points' metrics that are known."""
        means = self.points[[name for name in self.points.columns if not name.endswith("_se")]].dropna(
            axis=1, how="all"
        )
        lines = [f"{len(self.points):,} points, {len(self.runs):,} runs", text_of(means)]
        if len(self.failures):
            lines.append(f"{len(self.failures):,} points failed; the first: {self.failures['error'].iloc[0]}")
        return "\n".join(lines)


@as_arguments
def sweep(
    config: RunConfig | str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    grid: Mapping[str, Any] | None = None,
    *,
    crowd: ArrayLike | pd.DataFrame | None = None,
    ray_address: str | None = IN_PROCESS,
    progress: Progress | bool | None = None,
    retry_failed: bool = False,
    trackers: Sequence[Any] = (),
    trust: bool = False,
    **fields: Any,
) -> SweepResult:
    """Run every combination of listed values of a configuration's fields.

    Args:
        config: a sweep's file, name or nested dictionaries, with the lists under ``sweep``, or, with `grid`, a run's.
        out: the folder to leave tables, figures and report in, as `crowd-sim sweep --out` does; given again, the sweep goes on
            where it stopped, and no point is computed twice. None: none, and what an interrupted sweep has computed is lost.
        grid: lists of values by field, dotted or with two underscores: ``{"crowd.n_workers": [25, 75]}``; of a field that the
            sweep's own lists have, too, in their place.
        crowd: as for `run`, of all points; also kept in the folder.
        ray_address: as for `run`; Ray Client's ``ray://`` cannot be used.
        progress: called with ("points", done, total, note); True: a bar on a terminal, lines elsewhere.
        retry_failed: try points again that have failed before.
        trackers: as for `run`.
        trust: as for `run`.
        fields: as for `run`, of all points.

    Returns:
        the tables. Points that raised are in `failures`, and take no others with them.

    Raises:
        InputError, ClusterError, StorageError: as `run`.
    """
    import pandas as pd

    from crowd_sim.commands.sweep import sweep as run_sweep
    from crowd_sim.crowd.sources.given import FILE, population_of
    from crowd_sim.store.given_crowd import check_kept, keep
    from crowd_sim.sweeps.plan import Sweep

    check_address(ray_address)
    wanted, watchers = folder_of(out), trackers_of(trackers)
    changes = changes_of(sweep, fields)
    if grid is not None and not isinstance(grid, Mapping):
        raise InputError("grid", grid, 'must be lists of values by field, for example {"crowd.n_workers": [25, 75]}')
    lists = {f"sweep.{str(field).replace('__', '.')}": values for field, values in (grid or {}).items()}
    people = None if crowd is None else population_of(crowd)
    content = content_of(config, changes | lists, trust)
    with reporting(progress) as report, tempfile.TemporaryDirectory() as temporary:
        folder = wanted or Path(temporary) / "sweep"
        if people is None and isinstance(config, str | os.PathLike):
            plan = Sweep.load(Path(config), overrides_of(changes | lists))
        else:
            plan = Sweep.parse(content if people is None else with_crowd(content, people, folder))
        if people is not None:
            check_kept(people, folder)
            there = {path.name for path in folder.iterdir()} if is_folder(folder) else set[str]()
            if there - {FILE} and "config.yaml" not in there:
                raise InputError("out", str(folder), "must be a new or empty folder, or one this sweep has made")
            folder.mkdir(parents=True, exist_ok=True)
            keep(people, folder)
        run_sweep(plan, folder, "", ray_address, report, retry_failed=retry_failed, trackers=watchers)
        paths = [folder / f"{name}.parquet" for name in ("points", "runs", "failures")]
        points, runs, failures = (frame_of(path) if exists(path) else pd.DataFrame() for path in paths)
    return SweepResult(points, runs, failures, wanted)
