"""`crowd-sim list`: the runs, sweeps and values below a folder, the latest first."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from crowd_sim.characters import visible
from crowd_sim.cli.status import how_far
from crowd_sim.errors import InputError
from crowd_sim.files import read_config
from crowd_sim.paths import is_folder
from crowd_sim.store.run_log import STATUS, UNFINISHED, Status, read_status, read_values_status
from crowd_sim.sweeps.lists import size_of
from crowd_sim.sweeps.log import read_sweep_statuses
from crowd_sim.sweeps.parts import count_points


def folders_table(root: Path) -> Table:
    """A row for each folder of a run, a sweep or values: name, kind, state, how far it is, when it was last written.

    Raises:
        InputError: no such folder.
    """
    if not is_folder(root):
        raise InputError("folder", str(root), "must be a folder that holds the folders of runs and sweeps")
    table = Table(box=box.SIMPLE, pad_edge=False)
    for name in ("folder", "kind", "state", "how far", "last written"):
        table.add_column(name, no_wrap=name != "how far")
    marks = ("config.yaml", "values.json", f"{UNFINISHED}/{STATUS}")
    found = {root / path.relative_to(root).parts[0] for mark in marks for path in root.glob(f"*/{mark}")}
    for folder in sorted(found, key=lambda folder: -folder.stat().st_mtime):
        with suppress(InputError):  # a folder of something else
            written = time.strftime("%Y-%m-%d %H:%M", time.localtime(folder.stat().st_mtime))
            table.add_row(Text(visible(str(folder))), *_told(folder), written)
    return table


def _told(folder: Path) -> tuple[str, str, str]:
    values = read_values_status(folder)
    if isinstance(values, Status):
        return "values", values.state, how_far(values)
    if values is not None:
        return "values", "finished", f"{values['workers']:,} workers, {values['evaluations']:,} evaluations"
    config = read_config(folder)
    if "sweep" in config:
        done, failed = count_points(folder)
        points = size_of(config["sweep"])
        commands = read_sweep_statuses(folder)
        running = any(command.state == "running" for command in commands)
        state = "running" if running else "finished" if done + failed == points else "incomplete"
        return "sweep", state, f"{done:,} of {points:,} points" + (f", {failed:,} failed" if failed else "")
    status = read_status(folder)
    return "search" if "search" in config else "run", status.state, how_far(status)
