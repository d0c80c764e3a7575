"""The Python face of the simulator; its names are those of the package `crowd_sim`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from crowd_sim.config import RunConfig
from crowd_sim.config.io import load_config
from crowd_sim.engine import Outcome, simulate
from crowd_sim.errors import InputError
from crowd_sim.host import InProcess
from crowd_sim.participants import check_participants, load_population
from crowd_sim.store.run_folder import open_run, write_run

__all__ = ["Outcome", "RunConfig", "load_config", "run"]


def run(config: RunConfig, out: str | Path | None = None) -> Outcome:
    """Simulate and value a configuration's runs in this process; where `out` is given, write its run folder there.

    Raises:
        InputError: a configuration with a section `llm`, people that cannot be read or are too few, or a folder that cannot
            be written, holds something else, or in which another process is at work.
    """
    if config.llm is not None:
        allowed = (
            "must be left out of what crowd_sim.run simulates; for language models there is `crowd-sim run`, in Python "
            "crowd_sim.cli.llm_run.run_llm"
        )
        raise InputError("llm", None, allowed)
    population = load_population(config.crowd)
    check_participants(config, population)
    with open_run(Path(out), config, population) if out is not None else nullcontext() as print_of:
        (outcome,) = simulate([config], population, InProcess())
        if out is not None and print_of is not None:
            write_run(Path(out), outcome, population, print_of)
    return outcome
