"""Who takes part in the runs of a configuration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.crowd.population import Population
from crowd_sim.crowd.selection import select_people


def run_keys(configs: Sequence[RunConfig]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Seeds and run numbers of all runs, uint64[B] each; each configuration's runs are numbered from 0."""
    seeds = np.concatenate([np.full(config.runs, config.seed, dtype=np.uint64) for config in configs])
    return seeds, np.concatenate([np.arange(config.runs, dtype=np.uint64) for config in configs])


def people_of(configs: Sequence[RunConfig], population: Population) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the workers int64[B, n] and of the targets int64[B], for configurations of the same crowd."""
    crowd = configs[0].crowd
    return select_people(population.n_workers, crowd.n_workers, crowd.selection, *run_keys(configs))


def check_people(config: RunConfig, population: Population) -> None:
    """Refuse a population that is too small before anything starts.

    Raises:
        InputError: `crowd.n_workers` is not possible with these people.
    """
    nobody = np.empty(0, dtype=np.uint64)
    select_people(population.n_workers, config.crowd.n_workers, config.crowd.selection, nobody, nobody)
