"""The page of a folder in which a command is at work: what there is so far, from what it has written."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crowd_sim.arrays import unpack
from crowd_sim.errors import InputError
from crowd_sim.report.html import frame, rendered, sweep_page
from crowd_sim.report.labels import METRIC_HEADS
from crowd_sim.report.measures import measure_of, task_of
from crowd_sim.report.page import settings, versions
from crowd_sim.report.payload import payload_of_distances
from crowd_sim.report.tables import convergence_distance, read_config
from crowd_sim.store.checkpoint import Checkpoints
from crowd_sim.sweeps.parts import points_so_far


def version_of(folder: Path) -> str:
    """A word that is another one when there is more to show."""
    names = sorted(path.name for pattern in _SHOWN for path in folder.glob(pattern))
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


_SHOWN = ("parts/points/*.parquet", "parts/failures/*.parquet", "checkpoints/round-*.checkpoint")


def live_page(folder: Path, said: Sequence[str], version: str, every: float) -> str:
    """The report so far: of a sweep its finished points, of a run its distances up to the last checkpoint.

    Args:
        folder: of the run or the sweep.
        said: how far it is, in lines.
        version: a word that will be another one when there is more to show, see `version_of`.
        every: seconds after which the page asks whether there is more.

    Raises:
        InputError: a folder that cannot be read.
    """
    _, config = read_config(folder)
    page, scripts = _of_sweep(folder) if "sweep" in config else _of_run(folder, config)
    live = {"said": said, "version": version, "every": every, "charts": bool(scripts)}
    return rendered(
        "report.html", page | frame(folder) | {"live": live, "search": False}, [*scripts, "watch"], connect=True
    )


def _of_sweep(folder: Path) -> tuple[dict[str, Any], list[str]]:
    points = points_so_far(folder)
    if points.empty or not any(f"{metric}_mean" in points.columns for metric in METRIC_HEADS):
        _, config = read_config(folder)
        return _nothing_yet(folder, config, "A sweep whose first points are on their way"), []
    return sweep_page(folder, points) | {"title": f"A sweep, {len(points):,} points so far"}, ["sweep"]


def _of_run(folder: Path, config: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    last = Checkpoints(folder, str(config.get("fingerprint"))).last()
    page = _nothing_yet(folder, config, f"A {'search' if 'search' in config else 'run'} on its way")
    if last is None:
        return page, []
    try:
        arrays, _ = unpack(last.content)
        distances = np.asarray(arrays["rows"]["distances"], dtype=float)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError("folder", str(folder), f"has a checkpoint that cannot be read ({error})") from None
    within = convergence_distance(config) if task_of(config) == "vector" else None
    data = payload_of_distances(distances, within, measure_of(config))
    return page | {"title": f"A run after round {last.round:,}", "data": data}, ["run"]


def _nothing_yet(folder: Path, config: dict[str, Any], title: str) -> dict[str, Any]:
    return {
        "title": title,
        "summary": ["Tables and figures come when it is over."],
        "worth": None,
        "data": {"kind": "none"},
        "settings": settings(config, ("crowd.n_workers", "tournament.n_groups", "tournament.rounds", "runs", "seed")),
        "n_runs": None,
        "outcome": [],
        "sweep": None,
        "llm": None,
        "figures": [],
        "record": [],
        "versions": versions({}, config),
        "config": (folder / "config.yaml").read_text(encoding="utf-8"),
    }
