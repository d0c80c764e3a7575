"""The Python face of the simulator; its names are those of the package `crowd_sim`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from crowd_sim.config import RunConfig
from crowd_sim.config.io import load_config
from crowd_sim.engine import simulate_opened
from crowd_sim.host import InProcess
from crowd_sim.outcome import Outcome
from crowd_sim.store.run_folder import open_run, write_run
from crowd_sim.tasks.load import load_task

__all__ = ["Outcome", "RunConfig", "load_config", "run"]


def run(config: RunConfig, out: str | Path | None = None) -> Outcome:
    """Simulate and value a configuration's runs in this process; where `out` is given, write its run folder there.

    Raises:
        InputError: a crowd that cannot be read or is too small, or a folder that cannot be written, holds something else, or
            in which another process is at work.
    """
    task, host = load_task(config), InProcess()
    with task.open([config], host) as opened:
        folder = None if out is None else open_run(Path(out), config, task, weights=opened.weights)
        with folder or nullcontext() as print_of:
            (outcome,) = simulate_opened([config], opened, task.ids, host)
            if out is not None and print_of is not None:
                write_run(Path(out), outcome, print_of)
    return outcome
