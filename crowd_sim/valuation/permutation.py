"""Shapley values by sampling permutations in antithetic pairs, the marginals of the empty coalition exact."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.random import Purpose
from crowd_sim.valuation.evaluation import Request, chunk_rows
from crowd_sim.valuation.exact import exact
from crowd_sim.valuation.result import ShapleyResult
from crowd_sim.valuation.sampling import shuffle


def permutation(request: Request) -> list[ShapleyResult]:
    """Values from pairs of a random permutation and its reverse (Castro et al. 2009; Mitchell et al. 2022).

    v(∅), all v({i}) and v(N) are evaluated once, n + 2 evaluations; a permutation then costs n − 2. A player's first
    place in the order counts as the exact (v({i}) − v(∅)) / n, whatever the draws say; what a pair's values then lack
    to the sum v(N) − v(∅) is shared equally, which keeps them unbiased and never moves them away from the truth.
    Pair j is drawn from the stream (seed, run, PERMUTATION, j): a larger budget goes on where a smaller one ended.

    The standard errors come from the spread between pairs. Up to two players, where nothing is left to draw, the
    values are exact.

    Raises:
        InputError: a budget that does not cover two pairs.
    """
    n, n_games = request.n_players, len(request.games)
    if n <= 2:
        return exact(request)
    smallest = n + 2 + 4 * (n - 2)
    if request.budget < smallest:
        raise InputError("budget", request.budget, f"must be at least {smallest} for permutation with {n} players")
    per_pair = 2 * (n - 2)
    n_pairs = (request.budget - (n + 2)) // per_pair
    chunks = itertools.chain(_ends(n), _prefixes(n, n_pairs, request.seed, request.run))
    stream = (utilities for _, utilities in request.utilities(chunks))
    head = next(stream)
    while head.shape[1] < n + 2:
        head = np.concatenate([head, next(stream)], axis=1)
    mean, squares = np.zeros((n_games, n)), np.zeros((n_games, n))
    waiting = np.empty((n_games, 0))
    done = 0
    key = np.uint64(request.seed), np.uint64(request.run), np.uint64(Purpose.PERMUTATION)
    for utilities in stream:
        waiting = np.concatenate([waiting, utilities], axis=1)
        complete = waiting.shape[1] // per_pair
        _fold(*key, done, complete, head, waiting, mean, squares)
        waiting = waiting[:, complete * per_pair :]
        done += complete
    stderr = np.sqrt(squares / (n_pairs * (n_pairs - 1)))
    cost = n + 2 + n_pairs * per_pair
    return [ShapleyResult(mean[g], stderr[g], cost, "permutation") for g in range(n_games)]


def _ends(n: int) -> Iterator[NDArray[np.bool_]]:
    """The empty coalition, the n single players and the grand coalition, in chunks."""
    step = chunk_rows(n)
    for start in range(0, n + 2, step):
        rows = np.arange(start, min(start + step, n + 2))[:, None]
        yield (rows - 1 == np.arange(n)) | (rows == n + 1)


def _prefixes(n: int, n_pairs: int, seed: int, run: int) -> Iterator[NDArray[np.bool_]]:
    """For each pair the first 2, 3, … n − 1 players of the permutation, then of its reverse; in fixed chunks."""
    step, n_rows = chunk_rows(n), n_pairs * 2 * (n - 2)
    for start in range(0, n_rows, step):
        chunk = np.zeros((min(step, n_rows - start), n), dtype=np.bool_)
        _fill(np.uint64(seed), np.uint64(run), np.uint64(Purpose.PERMUTATION), start, chunk)
        yield chunk


@numba.njit(cache=True)
def _fill(seed: np.uint64, run: np.uint64, purpose: np.uint64, first_row: int, out: NDArray[np.bool_]) -> None:
    m, n = out.shape
    order = np.empty(n, dtype=np.int64)
    previous = -1
    for row in range(m):
        half, step = divmod(first_row + row, n - 2)
        pair, backwards = divmod(half, 2)
        if pair != previous:
            shuffle(seed, run, purpose, np.uint64(pair), n, order)
            previous = pair
        if row > 0 and step > 0:
            out[row] = out[row - 1]
            first = step + 1
        else:
            first = 0
        for k in range(first, step + 2):
            out[row, order[n - 1 - k] if backwards else order[k]] = True


@numba.njit(cache=True)
def _fold(
    seed: np.uint64,
    run: np.uint64,
    purpose: np.uint64,
    done: int,
    complete: int,
    head: NDArray[np.float64],
    utilities: NDArray[np.float64],
    mean: NDArray[np.float64],
    squares: NDArray[np.float64],
) -> None:
    """Take ``complete`` pairs after the first ``done`` into running means and sums of squared deviations (Welford)."""
    n_games, n = mean.shape
    order = np.empty(n, dtype=np.int64)
    estimate = np.empty(n)
    for pair in range(complete):
        shuffle(seed, run, purpose, np.uint64(done + pair), n, order)
        for g in range(n_games):
            empty, grand = head[g, 0], head[g, n + 1]
            for i in range(n):
                estimate[i] = (head[g, 1 + i] - empty) / n
            for backwards in range(2):
                start = (2 * pair + backwards) * (n - 2)
                before = head[g, 1 + (order[n - 1] if backwards else order[0])]
                for k in range(1, n):
                    after = grand if k == n - 1 else utilities[g, start + k - 1]
                    estimate[order[n - 1 - k] if backwards else order[k]] += 0.5 * (after - before)
                    before = after
            lacking = (grand - empty - estimate.sum()) / n
            for i in range(n):
                value = estimate[i] + lacking
                change = value - mean[g, i]
                mean[g, i] += change / (done + pair + 1)
                squares[g, i] += change * (value - mean[g, i])
