"""Shapley values by sampling permutations in antithetic pairs, the marginals of small coalitions exact."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.random import Purpose
from crowd_sim.valuation.estimators.exact import exact
from crowd_sim.valuation.request import Request, chunk_rows
from crowd_sim.valuation.result import ShapleyResult
from crowd_sim.valuation.shuffle import shuffle


def permutation(request: Request) -> list[ShapleyResult]:
    """Values from pairs of a random permutation and its reverse (Castro et al. 2009; Mitchell et al. 2022).

    v(∅), all v({i}) and v(N) are evaluated once, n + 2 evaluations; so are all v({i, j}) where they take no more than half of
    what is left of the budget. A player's first place in the order counts as the exact (v({i}) − v(∅)) / n, whatever the
    draws say, and with the pairs of players its second place as the exact mean of v({i, j}) − v({j}) over j, divided by
    n; a permutation costs one evaluation for each further place but the last. What its values then lack to the sum
    v(N) − v(∅) is shared equally, which keeps them unbiased and never moves them away from the truth. Pair j of
    permutations is drawn from the stream (seed, run, PERMUTATION, j): a larger budget goes on where a smaller one ended.

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
    n_exact = exact_sizes(n, request.budget)
    fixed = n + 2 + (n * (n - 1) // 2 if n_exact == 2 else 0)
    per_pair = 2 * (n - 1 - n_exact)
    n_pairs = (request.budget - fixed) // per_pair
    chunks = request.admitted(
        lambda: itertools.chain(
            _ends(n),
            _couples(n) if n_exact == 2 else (),
            _prefixes(n, n_exact, n_pairs, request.seed, request.run),
        )
    )
    stream = (utilities for _, utilities in request.utilities(chunks))
    head = next(stream)
    while head.shape[1] < fixed:
        head = np.concatenate([head, next(stream)], axis=1)
    couples = _couple_utilities(head[:, n + 2 :], n)
    start = _exact_part(head, couples, n_exact)
    mean, squares = np.zeros((n_games, n)), np.zeros((n_games, n))
    waiting = np.empty((n_games, 0))
    done = 0
    key = np.uint64(request.seed), np.uint64(request.run), np.uint64(Purpose.PERMUTATION)
    for utilities in stream:
        waiting = np.concatenate([waiting, utilities], axis=1)
        complete = waiting.shape[1] // per_pair
        _fold(*key, done, complete, n_exact, head, couples, start, waiting, mean, squares)
        waiting = waiting[:, complete * per_pair :]
        done += complete
    stderr = np.sqrt(squares / (n_pairs * (n_pairs - 1)))
    cost = fixed + n_pairs * per_pair
    return [ShapleyResult(mean[g], stderr[g], cost, "permutation") for g in range(n_games)]


def exact_sizes(n: int, budget: int) -> int:
    """How many sizes, from the empty coalition on, have all their marginals evaluated: 1 or 2."""
    left = budget - (n + 2)
    couples = n * (n - 1) // 2
    return 2 if n > 3 and 2 * couples <= left and left - couples >= 4 * (n - 3) else 1


def _couples(n: int) -> Iterator[NDArray[np.bool_]]:
    """All coalitions of two players, in chunks."""
    first, second = np.triu_indices(n, 1)
    step = chunk_rows(n)
    for start in range(0, len(first), step):
        part = slice(start, start + step)
        chunk = np.zeros((len(first[part]), n), dtype=np.bool_)
        rows = np.arange(len(chunk))
        chunk[rows, first[part]] = chunk[rows, second[part]] = True
        yield chunk


def _couple_utilities(utilities: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """The utilities of two players as symmetric matrices float64[G, n, n]; float64[G, 0, 0] where there are none."""
    if not utilities.shape[1]:
        return np.zeros((len(utilities), 0, 0))
    matrix = np.zeros((len(utilities), n, n))
    first, second = np.triu_indices(n, 1)
    matrix[:, first, second] = matrix[:, second, first] = utilities
    return matrix


def _exact_part(head: NDArray[np.float64], couples: NDArray[np.float64], n_exact: int) -> NDArray[np.float64]:
    """What the first places contribute, float64[G, n]: mean marginals of the sizes that are evaluated in full, over n."""
    n = couples.shape[1] or head.shape[1] - 2
    single = head[:, 1 : n + 1]
    part = (single - head[:, :1]) / n
    if n_exact == 2:
        others = single.sum(axis=1, keepdims=True) - single
        part = part + (couples.sum(axis=2) - others) / (n * (n - 1))
    return part


def _ends(n: int) -> Iterator[NDArray[np.bool_]]:
    """The empty coalition, the n single players and the grand coalition, in chunks."""
    step = chunk_rows(n)
    for start in range(0, n + 2, step):
        rows = np.arange(start, min(start + step, n + 2))[:, None]
        yield (rows - 1 == np.arange(n)) | (rows == n + 1)


def _prefixes(n: int, n_exact: int, n_pairs: int, seed: int, run: int) -> Iterator[NDArray[np.bool_]]:
    """For each pair the first n_exact + 1, … n − 1 players of the permutation, then of its reverse; in fixed chunks."""
    step, n_rows = chunk_rows(n), n_pairs * 2 * (n - 1 - n_exact)
    for start in range(0, n_rows, step):
        chunk = np.zeros((min(step, n_rows - start), n), dtype=np.bool_)
        _fill(np.uint64(seed), np.uint64(run), np.uint64(Purpose.PERMUTATION), n_exact, start, chunk)
        yield chunk


@numba.njit(cache=True)
def _fill(
    seed: np.uint64, run: np.uint64, purpose: np.uint64, n_exact: int, first_row: int, out: NDArray[np.bool_]
) -> None:
    m, n = out.shape
    order = np.empty(n, dtype=np.int64)
    previous = -1
    for row in range(m):
        half, step = divmod(first_row + row, n - 1 - n_exact)
        pair, backwards = divmod(half, 2)
        if pair != previous:
            shuffle(seed, run, purpose, np.uint64(pair), n, order)
            previous = pair
        if row > 0 and step > 0:
            out[row] = out[row - 1]
            first = step + n_exact
        else:
            first = 0
        for k in range(first, step + n_exact + 1):
            out[row, order[n - 1 - k] if backwards else order[k]] = True


@numba.njit(cache=True)
def _fold(
    seed: np.uint64,
    run: np.uint64,
    purpose: np.uint64,
    done: int,
    complete: int,
    n_exact: int,
    head: NDArray[np.float64],
    couples: NDArray[np.float64],
    exact_part: NDArray[np.float64],
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
                estimate[i] = exact_part[g, i]
            for backwards in range(2):
                start = (2 * pair + backwards) * (n - 1 - n_exact)
                one = order[n - 1] if backwards else order[0]
                other = order[n - 2] if backwards else order[1]
                before = couples[g, one, other] if n_exact == 2 else head[g, 1 + one]
                for k in range(n_exact, n):
                    after = grand if k == n - 1 else utilities[g, start + k - n_exact]
                    estimate[order[n - 1 - k] if backwards else order[k]] += 0.5 * (after - before)
                    before = after
            lacking = (grand - empty - estimate.sum()) / n
            for i in range(n):
                value = estimate[i] + lacking
                change = value - mean[g, i]
                mean[g, i] += change / (done + pair + 1)
                squares[g, i] += change * (value - mean[g, i])
