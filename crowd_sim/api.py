"""The Python face of the simulator; its names are those of the package `crowd_sim`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from crowd_sim.config import RunConfig
from crowd_sim.errors import InputError
from crowd_sim.loading import load_config, load_people
from crowd_sim.people import check_people
from crowd_sim.results.run_folder import open_run, write_run
from crowd_sim.services import InProcess
from crowd_sim.simulation import Outcome, simulate

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
            "experiments.llm_running.run_llm"
        )
        raise InputError("llm", None, allowed)
    population = load_people(config.crowd)
    check_people(config, population)
    with open_run(Path(out), config, population) if out is not None else nullcontext() as print_of:
        (outcome,) = simulate([config], population, InProcess())
        if out is not None and print_of is not None:
            write_run(Path(out), outcome, population, print_of)
    return outcome
