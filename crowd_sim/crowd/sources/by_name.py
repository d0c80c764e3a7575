"""Where a crowd comes from, by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from crowd_sim.crowd.population import Population
from crowd_sim.crowd.sources.layout import ANY, Layout
from crowd_sim.crowd.sources.places import DATA_VARIABLE
from crowd_sim.crowd.sources.synthetic import draw_population
from crowd_sim.errors import InputError

Source = Callable[[str | None, int, int], Population]
"""(crowd.path, crowd.n_workers, seed) -> everyone whom workers and target may be chosen from."""


def _synthetic(_path: str | None, n_workers: int, seed: int) -> Population:
    if n_workers < 1:
        raise InputError("crowd.n_workers", n_workers, "must be at least 1")
    return draw_population(n_workers + 1, seed)  # one of them is the target


# The sources that read files import what reads them, pandas and Arrow, themselves: actors, whom it is passed to, need neither.


def _movielens(path: str | None, _n_workers: int, _seed: int) -> Population:
    from crowd_sim.crowd.sources.movielens import find_movielens, load_movielens

    if path:
        return load_movielens(Path(path))
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        wanted = f"a folder with ratings.csv and movies.csv, here or in the environment's {DATA_VARIABLE}"
        raise InputError("crowd.path", path, f"{wanted}; `crowd-sim data movielens` downloads them")
    return load_movielens(find_movielens(Path(folder), DATA_VARIABLE))


def _vectors(path: str | None, _n_workers: int, _seed: int, layout: Layout = ANY) -> Population:
    if not path:
        allowed = "a CSV or Parquet file (or .tsv, .npy, .json), one row per worker, is needed by crowd.source=vectors"
        raise InputError("crowd.path", path, allowed)
    from crowd_sim.crowd.sources.vectors import load_vectors

    return load_vectors(Path(path), layout)


def _ratings(path: str | None, _n_workers: int, _seed: int, layout: Layout = ANY) -> Population:
    if not path:
        allowed = "a CSV, TSV or Parquet file of worker, item and rating is needed by crowd.source=ratings"
        raise InputError("crowd.path", path, allowed)
    from crowd_sim.crowd.sources.ratings import load_ratings

    return load_ratings(Path(path), layout)


FILE_SOURCES = {"vectors": _vectors, "ratings": _ratings}
"""Those of a file that has a `Layout`, which they take besides."""

SOURCES: dict[str, Source] = {"synthetic": _synthetic, "movielens": _movielens, **FILE_SOURCES}


def read_source(source: str, path: str | None, n_workers: int, seed: int) -> Population:
    """Everyone whom workers and target may be chosen from.

    Args:
        source: a name in `SOURCES`.
        path: what to read, for the sources that read; ``movielens`` falls back on the environment's CROWD_SIM_DATA.
        n_workers: workers per run; ``synthetic`` draws one person more, the others read what there is.
        seed: keys the draws of ``synthetic``.

    Raises:
        InputError: an unknown source, no path where one is needed, or what the source itself refuses.
    """
    if source not in SOURCES:
        raise InputError("crowd.source", source, f"must be one of {', '.join(SOURCES)}")
    return SOURCES[source](path, n_workers, seed)
