"""`crowd_sim.search`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
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
)
from crowd_sim.api.shown import html_of
from crowd_sim.commands import IN_PROCESS
from crowd_sim.config import RunConfig
from crowd_sim.errors import InputError
from crowd_sim.progress import Progress

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class SearchResult:
    """A search that is over; printed, it is the best setting and what it is worth.

    Attributes:
        trials: a row per trial: number, the fields of the space, state, runs, the metric's mean, every metric.
        best: the configuration with the best setting, as `run` takes it.
        values: of the best setting, by field.
        importance: share of the metric's variance by field, the most important first.
        held_out: what `summary.json` says of the best and the own setting on held-out seeds; None where nothing is to be said.
        metric, direction: what was looked for.
        out: the folder; None where none was given.
    """

    trials: pd.DataFrame
    best: RunConfig
    values: dict[str, Any]
    importance: dict[str, float]
    held_out: dict[str, Any] | None
    metric: str
    direction: str
    out: Path | None

    def to_frame(self) -> pd.DataFrame:
        """`trials`."""
        return self.trials

    def plot(self) -> Figure:
        """The metric by trial, and the best so far; a notebook shows the figure."""
        from crowd_sim.report.search_figures import search_history

        return search_history(self.trials, self.metric, self.direction, None)

    def _repr_html_(self) -> str:
        first, *others = str(self).splitlines()
        return f"<p><b>{escape(first)}</b></p><p>{escape(' '.join(others))}</p>{html_of(self.trials)}"

    def __str__(self) -> str:
        """The best setting, and its gain on held-out seeds."""
        setting = ", ".join(f"{field} = {value}" for field, value in self.values.items())
        lines = [f"{self.direction} {self.metric}, {len(self.trials):,} trials", f"best: {setting}"]
        if self.held_out is not None:
            told = {name: self.held_out[name] for name in ("gain", "low", "high")}
            gain, low, high = ("unknown" if number is None else f"{number:.4g}" for number in told.values())
            lines.append(f"better than the own setting on held-out seeds by {gain} (95 %: {low} to {high})")
        return "\n".join(lines)


@as_arguments
def search(
    config: RunConfig | str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    space: Mapping[str, Any] | None = None,
    *,
    metric: str | None = None,
    direction: str | None = None,
    trials: int | None = None,
    at_once: int | None = None,
    prune: bool | None = None,
    held_out: int | None = None,
    ray_address: str | None = IN_PROCESS,
    progress: Progress | bool | None = None,
    trackers: Sequence[Any] = (),
    trust: bool = False,
    **fields: Any,
) -> SearchResult:
    """Look for the fields of a configuration that make a metric best, by Optuna (the extra ``search``).

    Args:
        config: a search's file, name or nested dictionaries, with metric and space under ``search``, or, with `space` and
            `metric`, a run's.
        out: the folder to leave tables, figures, report and best.yaml in, as `crowd-sim search --out` does; given again, the
            search goes on where it stopped, also with more trials. None: none.
        space: by field, dotted or with two underscores, a list of choices, or a range: ``{"low": 0.1, "high": 1}`` with
            ``"log": True`` or ``"step"``.
        metric: one of points.parquet's, whose mean over the runs is wanted.
        direction: minimize or maximize; that of distances, rounds and correlations is known.
        trials: settings that are tried; 30 where the file says nothing.
        at_once: trials that are chosen without knowing of each other's outcome, and run side by side on Ray.
        prune: whether trials end early which a quarter of the runs, 5 at least, shows to be worse than the best.
        held_out: other seeds on which the best setting and the own are compared.
        ray_address: as for `run`; Ray Client's ``ray://`` cannot be used.
        progress: called with ("trials", done, total, note); True: a bar on a terminal, lines elsewhere.
        trackers: as for `run`.
        trust: as for `run`.
        fields: as for `run`, of all trials.

    Raises:
        InputError: Optuna is not installed; what is wrong of the search; and as `run`.
        ClusterError, StorageError: as `run`.
    """
    from crowd_sim.commands.search import search as run_search
    from crowd_sim.searches.plan import Search
    from crowd_sim.searches.trials import trials_table

    check_address(ray_address)
    wanted, watchers = folder_of(out), trackers_of(trackers)
    if space is not None and not isinstance(space, Mapping):
        raise InputError(
            "space", space, 'must be ranges or lists by field, for example {"tournament.n_groups": [2, 4]}'
        )
    options = {"metric": metric, "direction": direction, "trials": trials, "at_once": at_once, "prune": prune}
    options["held_out"] = held_out
    told = {name: value for name, value in options.items() if value is not None}
    told |= {str(field).replace("__", "."): value for field, value in (space or {}).items()}
    changes = changes_of(search, fields) | {f"search.{field}": value for field, value in told.items()}
    if isinstance(config, str | os.PathLike):
        content_of(config, changes, trust)  # the code that it names may be loaded
        plan = Search.load(Path(config), overrides_of(changes))
    else:
        plan = Search.parse(content_of(config, changes, trust))
    with reporting(progress) as report, tempfile.TemporaryDirectory() as temporary:
        found = run_search(plan, wanted or Path(temporary) / "search", "", ray_address, report, trackers=watchers)
    assert found.best is not None  # noqa: S101 - else it is refused
    return SearchResult(
        trials_table(plan, found.trials),
        found.best_config,
        dict(found.best.values),
        found.importance,
        None if found.held_out is None else found.held_out.summary(),
        plan.options.metric,
        plan.options.direction or "",
        wanted,
    )
