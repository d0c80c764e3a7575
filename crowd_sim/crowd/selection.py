"""Who takes part in a run: n workers and one target, chosen from everyone."""

from __future__ import annotations

from typing import Literal

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.random import Purpose, uniforms

Selection = Literal["first", "random"]


def select_people(
    population_size: int,
    n_workers: int,
    selection: Selection,
    seeds: NDArray[np.uint64],
    runs: NDArray[np.uint64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the workers and of the target, for every run of a batch.

    The protocol of experiment V in "Crowd-SFT" (arXiv 2506.04063): of n + 1 people one, at random, is the target (the
    paper's expert), the others are the workers. The target is keyed by (seed, run, ``Purpose.TARGET``).

    Args:
        population_size: N, everyone there is.
        n_workers: n, workers per run.
        selection: ``first`` takes the rows 0..n in every run, as the paper does; ``random`` draws n + 1 of the N
            without replacement, keyed by (seed, run, ``Purpose.PEOPLE``).
        seeds: uint64[B].
        runs: uint64[B].

    Returns:
        ``workers`` int64[B, n], ascending in every run, and ``target`` int64[B].

    Raises:
        InputError: if n is less than 1 or n + 1 is more than N, or the selection is unknown.
    """
    if not 1 <= n_workers <= population_size - 1:
        allowed = (
            f"must be 1 to {population_size - 1}: there are {population_size} people and one of them is the target"
        )
        if population_size < 2:
            allowed = f"at least 2 people are needed, a worker and a target; there are {population_size}"
        raise InputError("crowd.n_workers", n_workers, allowed)
    n_people = n_workers + 1
    if selection == "first":
        people = np.broadcast_to(np.arange(n_people, dtype=np.int64), (len(seeds), n_people))
    elif selection == "random":
        people = _sample(population_size, uniforms(seeds, runs, 0, Purpose.PEOPLE, n_people))
        people.sort(axis=1)
    else:
        raise InputError("crowd.selection", selection, "first or random")
    # u ≤ 1 − 2⁻⁵³, so u · m rounds to less than m for every m below 2⁵³
    place = (uniforms(seeds, runs, 0, Purpose.TARGET, 1) * n_people).astype(np.int64)
    others = np.arange(n_workers) + (np.arange(n_workers) >= place)
    workers = np.take_along_axis(people, others, axis=1)
    return workers, np.take_along_axis(people, place, axis=1)[:, 0]


@numba.njit(cache=True)
def _sample(population_size: int, draws: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows drawn without replacement: the first steps of Fisher and Yates's shuffle, one draw a step."""
    n_runs, n_people = draws.shape
    sample = np.empty((n_runs, n_people), dtype=np.int64)
    rows = np.arange(population_size)
    swapped = np.empty(n_people, dtype=np.int64)
    for b in range(n_runs):
        for i in range(n_people):
            j = i + int(draws[b, i] * (population_size - i))
            rows[i], rows[j] = rows[j], rows[i]
            sample[b, i] = rows[i]
            swapped[i] = j
        # undone, not built anew: a run then costs n, not N
        for i in range(n_people - 1, -1, -1):
            j = swapped[i]
            rows[i], rows[j] = rows[j], rows[i]
    return sample
