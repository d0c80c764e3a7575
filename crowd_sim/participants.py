"""The population that a configuration names, and who of it takes part in its runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import LARGEST_COORDINATE, CrowdConfig, RunConfig
from crowd_sim.crowd.bad import Roles, roles_of
from crowd_sim.crowd.population import Population
from crowd_sim.crowd.selection import select_people
from crowd_sim.crowd.sources.by_name import FILE_SOURCES
from crowd_sim.crowd.sources.layout import Layout
from crowd_sim.crowd.sources.places import DATA_VARIABLE, MOVIELENS_FOLDER
from crowd_sim.errors import InputError
from crowd_sim.paths import is_file
from crowd_sim.registry import resolve

# a synthetic crowd is drawn from at least this many people, so that replicates with random selection differ
_SYNTHETIC_PEOPLE = 1000


def run_keys(configs: Sequence[RunConfig]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Seeds and run numbers of all runs, uint64[B] each; each configuration's runs are numbered from 0."""
    seeds = np.concatenate([np.full(config.runs, config.seed, dtype=np.uint64) for config in configs])
    return seeds, np.concatenate([np.arange(config.runs, dtype=np.uint64) for config in configs])


class Participants(NamedTuple):
    """Rows of those who take part in B runs.

    Attributes:
        workers: int64[B, n].
        targets: int64[B], −1 where the target is no worker of the crowd.
    """

    workers: NDArray[np.int64]
    targets: NDArray[np.int64]


def participants_of(configs: Sequence[RunConfig], population: Population) -> list[Participants]:
    """Who takes part in the runs of each of some configurations of the same crowd."""
    crowd = configs[0].crowd
    workers, targets = select_people(population.n_workers, crowd.n_workers, crowd.selection, *run_keys(configs))
    stops = np.cumsum([config.runs for config in configs]).tolist()
    parts = [slice(stop - config.runs, stop) for config, stop in zip(configs, stops, strict=True)]
    return [Participants(workers[part], targets[part]) for part in parts]


def roles(configs: Sequence[RunConfig]) -> Roles | None:
    """Who is bad in the runs of configurations of the same crowd; None where nobody is."""
    crowd = configs[0].crowd
    if not crowd.bad_groups:
        return None
    seeds, runs = run_keys(configs)
    # all runs of a text configuration meet the same crowd
    return roles_of(crowd.bad_groups, crowd.n_workers, seeds, runs if configs[0].task.kind == "vector" else runs * 0)


def check_participants(config: RunConfig, population: Population) -> None:
    """Refuse a population that is too small before anything starts.

    Raises:
        InputError: `crowd.n_workers` is not possible with these people.
    """
    nobody = np.empty(0, dtype=np.uint64)
    select_people(population.n_workers, config.crowd.n_workers, config.crowd.selection, nobody, nobody)


def load_population(crowd: CrowdConfig) -> Population:
    """The people that a configuration's workers and targets are chosen from.

    Raises:
        InputError: the source cannot be read.
        StrategyError: it is user-defined and raised.
    """
    return _load_population(*population_key(crowd), _state_of(crowd.path))


def population_key(crowd: CrowdConfig) -> tuple[str, str | None, int, int, Layout]:
    """Source, path, number of people, seed and layout: crowds with equal keys are chosen from the same people."""
    if crowd.source == "movielens" or crowd.source in FILE_SOURCES:  # a file has as many people as it has
        return crowd.source, crowd.path, 0, 0, crowd.layout
    return crowd.source, crowd.path, max(_SYNTHETIC_PEOPLE, crowd.n_workers + 1), crowd.seed, crowd.layout


_State = tuple[tuple[str, int, int], ...]


@lru_cache(maxsize=4)
def _load_population(
    source: str, path: str | None, n_people: int, seed: int, layout: Layout, _files: _State
) -> Population:
    if source in FILE_SOURCES:
        people = FILE_SOURCES[source](path, n_people - 1, seed, layout)
    else:
        people = resolve("source", source)(path, n_people - 1, seed)
    # the house's own generator draws stars, and to look at all of them here would be to draw them all
    if not people.is_drawn:
        check_coordinates(people, path or source)
    return people


def check_coordinates(people: Population, source: str) -> None:
    """Refuse vectors whose sums might not be finite.

    Raises:
        InputError: names the first coordinate beyond `LARGEST_COORDINATE`.
    """
    if max(people.vectors.max(), -people.vectors.min()) > LARGEST_COORDINATE:
        row, column = np.argwhere(np.abs(people.vectors) > LARGEST_COORDINATE)[0]
        where = f"worker {people.ids[row]!r}, {people.features[column]}"
        allowed = f"must be within ±{LARGEST_COORDINATE:g}"
        raise InputError(f"{source}: {where}", float(people.vectors[row, column]), allowed)


def _state_of(path: str | None) -> _State:
    """What tells a file that has changed since it was read: people are kept while a process lives, files may change."""
    given = path or os.environ.get(DATA_VARIABLE)
    if not given:
        return ()
    names = ("ratings.csv", "movies.csv", "ratings.dat", "movies.dat", "u.data", "u.item", "u.genre")
    root = Path(given)
    folders = (root, *(root / name for name in (MOVIELENS_FOLDER, "ml-1m", "ml-100k")))
    files = [root, *(folder / name for folder in folders for name in names)]
    stats = [(str(file), file.stat()) for file in files if is_file(file)]
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)
