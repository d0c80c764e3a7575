"""Permutation sampling of noisy games: every pair is evaluated in full, so that pairs are independent, noise and all."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.random import Purpose
from crowd_sim.valuation.complements import with_complements
from crowd_sim.valuation.estimators.permutation.draws import draw
from crowd_sim.valuation.noise import with_draws
from crowd_sim.valuation.once import once
from crowd_sim.valuation.request import Request, chunk_rows
from crowd_sim.valuation.result import ShapleyResult, widening

_LEAST, _MOST = 2.0, 50.0  # degrees of freedom that the variance of all players adds to each player's own
_ROUNDING = 8.0 * np.finfo(np.float64).eps
_PAIRS = 1 << 32  # where the numbers of the pairs' draws begin, behind those of the ends


def noisy_permutation(request: Request) -> list[ShapleyResult]:
    """Values from antithetic pairs of permutations, and both ends repeated √(2/n) times as often, at least twice.

    An end counts in every pair, but by 1 / n of every value only. A pair of which a utility is missing (NaN) is left out.
    First and last places are balanced between the players in cycles of ⌈n / 2⌉ pairs; by how much they differ from others in
    the mean over all players is taken out before the spread between pairs is measured.

    Raises:
        InputError: a budget below one pair and both ends, with noise twice, 2n or 2n + 2, or no pair without a missing utility.
    """
    n, n_games = request.n_players, len(request.games)
    least_ends = 2 if request.noisy else 1
    smallest = 2 * least_ends + 2 * (n - 1)
    if request.budget < smallest:
        raise InputError("budget", request.budget, f"must be at least {smallest} for permutation with {n} players")
    if n == 1:
        n_pairs, n_ends = 0, request.budget // 2
    else:
        a_pair = 2 * (n - 1) + 2.0 * math.sqrt(2.0 / n)
        n_pairs = max(min(int((request.budget - 2 * least_ends) // (2 * (n - 1))), int(request.budget / a_pair)), 1)
        n_ends = max(2, min(math.ceil(n_pairs * math.sqrt(2.0 / n)), (request.budget - 2 * n_pairs * (n - 1)) // 2))
    if not request.noisy:
        n_ends = 1
    budget = request.budget
    request, different = once(request)
    chunks = request.admitted(lambda: _chunks(n, n_ends, n_pairs, request))
    answers = np.concatenate([utilities for _, utilities in request.utilities(chunks)], axis=1)
    halves = 0.5 * answers[:, ::2] - 0.5 * answers[:, 1::2]
    cost = different(2 * n_ends + 2 * n_pairs * max(n - 1, 0))
    orders = np.empty((n_pairs, n), dtype=np.int64)
    _orders(*_key(request), orders)
    # two pairs that missing utilities have spared share coalitions: that they agree tells little
    fewest = 3 if request.skips else 2
    return [
        ShapleyResult(
            *_values(halves[g, :n_ends], halves[g, n_ends:].reshape(n_pairs, n - 1), orders, budget, fewest),
            cost,
            "permutation",
        )
        for g in range(n_games)
    ]


def _key(request: Request) -> tuple[np.uint64, np.uint64, np.uint64]:
    return np.uint64(request.seed), np.uint64(request.run), np.uint64(Purpose.PERMUTATION)


def _chunks(n: int, n_ends: int, n_pairs: int, request: Request) -> Iterator[NDArray[np.bool_]]:
    """N and ∅ in turn; then of each pair the prefixes of its permutation, each followed by its complement."""
    ends = np.ones((n_ends, n), dtype=np.bool_), np.arange(n_ends)
    step = max(1, chunk_rows(n) // (2 * n))
    for first, draws in itertools.chain([ends], _prefixes(n, n_pairs, step, request)):
        rows = with_complements(first)
        yield with_draws(rows, np.repeat(draws, 2)) if request.noisy else rows


def _prefixes(
    n: int, n_pairs: int, step: int, request: Request
) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.int64]]]:
    if n == 1:
        return
    orders = np.empty((n_pairs, n), dtype=np.int64)
    _orders(*_key(request), orders)
    for start in range(0, n_pairs, step):
        part = orders[start : start + step]
        places = np.empty_like(part)
        np.put_along_axis(places, part, np.arange(n)[None], axis=1)
        masks = places[:, None, :] < np.arange(1, n)[:, None]
        yield masks.reshape(-1, n), np.repeat(_PAIRS + start + np.arange(len(part)), n - 1)


@numba.njit(cache=True)
def _orders(seed: np.uint64, run: np.uint64, purpose: np.uint64, out: NDArray[np.int64]) -> None:
    cycle = np.empty(out.shape[1], dtype=np.int64)
    for pair in range(len(out)):
        draw(seed, run, purpose, pair, pair == 0, cycle, out[pair])


def _values(
    ends: NDArray[np.float64], odd: NDArray[np.float64], orders: NDArray[np.int64], budget: int, fewest: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values and standard errors of d(N) float64[copies] and, of each pair, d of its prefixes float64[pairs, n − 1].

    Below the ``fewest`` pairs without a missing utility there are no standard errors: NaN.
    """
    n = orders.shape[1]
    known = ends[~np.isnan(ends)]
    if not len(known):
        raise InputError("game", math.nan, "utilities of the empty and the grand coalition must not be missing")
    grand = float(known.mean())
    of_total = 4.0 * float(known.var(ddof=1)) / len(known) if len(known) > 1 else 0.0
    if n == 1:
        return np.array([2.0 * grand]), np.array([widening(max(len(known) - 1, 1)) * math.sqrt(of_total)])
    complete = np.asarray(~np.isnan(odd).any(axis=1))
    odd, orders = odd[complete], orders[complete]
    m = len(odd)
    if not m:
        allowed = f"leaves no pair of permutations without a missing utility, of {len(complete)}"
        raise InputError("budget", budget, allowed)
    side = np.full((m, 1), grand)
    added = np.diff(np.concatenate([-side, odd, side], axis=1), axis=1)
    apart = _apart(added, orders)
    added[:, [0, n - 1]] -= apart
    by_player = np.empty_like(added)
    np.put_along_axis(by_player, orders, added, axis=1)
    values = by_player.mean(axis=0) + 2.0 / n * apart
    # what uneven turns at the ends leave of the difference evens out over the players
    values += (2.0 * grand - values.sum()) / n
    if m < fewest:
        return values, np.full(n, np.nan)
    squares = ((by_player - by_player.mean(axis=0)) ** 2).sum(axis=0)
    own = m - 1.0
    prior = _prior(squares / own, own)
    spread = (prior * squares.mean() / own + squares) / (prior + own)
    of_pairs, of_ends = spread / m, of_total / n**2
    variance = of_pairs + of_ends
    apart = of_pairs**2 / (prior + own) + of_ends**2 / max(len(known) - 1, 1)
    # Satterthwaite's degrees of freedom: the ends may be few, and noisier than all else
    degrees = np.where(variance > 0.0, variance**2 / np.maximum(apart, 1e-300), prior + own)
    largest = max(float(np.abs(odd).max()), abs(grand))
    return values, np.sqrt(widening(degrees) ** 2 * variance + (_ROUNDING * largest) ** 2)


def _apart(added: NDArray[np.float64], orders: NDArray[np.int64]) -> float:
    """By how much more players add at the ends than elsewhere, from those who were at both: exact if the same for all."""
    n = added.shape[1]
    ends = np.zeros(n, dtype=np.bool_)
    ends[[0, n - 1]] = True
    sums, counts = np.zeros((2, n)), np.zeros((2, n))
    for row, (what, who) in enumerate(((added[:, ends], orders[:, ends]), (added[:, ~ends], orders[:, ~ends]))):
        np.add.at(sums[row], who.ravel(), what.ravel())
        np.add.at(counts[row], who.ravel(), 1.0)
    both = (counts > 0).all(axis=0)
    if not both.any():
        return 0.0
    weights = 1.0 / (1.0 / counts[:, both]).sum(axis=0)
    means = sums[:, both] / counts[:, both]
    return float((weights * (means[0] - means[1])).sum() / weights.sum())


def _prior(spreads: NDArray[np.float64], own: float) -> float:
    """How alike the players' variances are, as degrees of freedom: from how much more they differ than estimates of one do.

    At most a third of the draws that the mean of all has, who add up to one number in each pair: of independent noise these are
    two thirds, as neighbours in an order share a coalition, and players' variances differ by more than two pairs can tell.
    """
    mean, most = float(spreads.mean()), min(_MOST, (len(spreads) - 1) * own / 3.0)
    if mean**2 == 0.0:  # of what is rounding the square may be, too
        return most
    chance = 2.0 / own
    apart = (float(spreads.var()) / mean**2 - chance) / (1.0 + chance)
    return min(_LEAST + 2.0 / apart, most) if apart > 0.0 else most
