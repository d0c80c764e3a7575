"""Owen values of games whose coalitions are drawn, or enumerated where few respect the groups."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from crowd_sim.random import Purpose
from crowd_sim.valuation.agreement import Seen, unsure, unsure_alone
from crowd_sim.valuation.complements import with_complements
from crowd_sim.valuation.estimators.exact import all_coalitions
from crowd_sim.valuation.games import Game, players_of
from crowd_sim.valuation.once import once
from crowd_sim.valuation.request import Evaluate, Request, chunk_rows
from crowd_sim.valuation.result import ShapleyResult, widening
from crowd_sim.valuation.shuffle import shuffle
from crowd_sim.valuation.validation import checked_budget, integer, room
from crowd_sim.valuation.values import AllUtilities, check_not_noisy, checked_groups, semivalue

_LARGEST_KEY = 2**64 - 1
_STREAMS = np.uint64(2**62)  # apart from those of permutations and their cycles
_MOST_ENUMERATED = 2**20  # coalitions


def sampled_owen(
    game: Game,
    groups: ArrayLike,
    budget: int = 10_000,
    seed: int = 0,
    run: int = 0,
    evaluate: Evaluate | None = None,
) -> ShapleyResult:
    """Owen values from random orders in which groups stay together, each with its reverse; see `crowd_sim.valuation.owen`.

    Where the budget covers all coalitions that such orders meet (any of the other groups in full, with any members of one), and
    these are at most 2^20, they are enumerated, and the values are exact.

    Args:
        game: with ``n_players`` and ``__call__(coalitions: bool[m, n]) -> float[m]``.
        groups: [n], equal for players of the same group.
        budget: number of utility evaluations, 2 (n − 1) for each pair of orders besides the two ends.
        seed: in [0, 2^64); with ``run`` the key of every draw.
        run: in [0, 2^64).
        evaluate: what evaluates the coalitions, as in `shapley`.

    Raises:
        InputError: a game with noise, not a group for every player, a budget of less than two pairs or of more than memory
            holds, and as `shapley`.
    """
    n = players_of(game)
    check_not_noisy(game)
    number = checked_groups(groups, n)
    allowed = checked_budget(budget)
    compatible = _n_compatible(number)
    enumerated = compatible <= min(allowed, _MOST_ENUMERATED)
    request = Request(
        games=[game],
        n_players=n,
        evaluate=evaluate,
        budget=allowed if enumerated else checked_budget(budget, 2 + 4 * (n - 1)),
        seed=integer("seed", seed, 0, _LARGEST_KEY),
        run=integer("run", run, 0, _LARGEST_KEY),
        seen=[Seen()],
    )
    if enumerated:
        values = _enumerated_owen(request, number)
        return ShapleyResult(values, np.zeros(n), compatible, "exact", kind="Owen")
    n_pairs = (request.budget - 2) // (2 * (n - 1)) if n > 1 else 0
    utilities = room((2 + 2 * (n - 1) * n_pairs,), np.float64, request.budget)
    orders = room((n_pairs, n), np.int64, request.budget)
    _together(np.uint64(request.seed), np.uint64(request.run), np.uint64(Purpose.PERMUTATION), number, orders)
    request, different = once(request)
    done = 0
    for _, answers in request.utilities(_prefixes(orders, n)):
        utilities[done : done + answers.shape[1]] = answers[0]
        done += answers.shape[1]
    halves = 0.5 * utilities[::2] - 0.5 * utilities[1::2]
    if n == 1:
        return ShapleyResult(-2.0 * halves, np.zeros(1), 2, "owen", kind="Owen")
    side = np.full((n_pairs, 1), halves[0])
    added = np.diff(np.concatenate([side, halves[1:].reshape(n_pairs, n - 1), -side], axis=1), axis=1)
    by_player = np.empty_like(added)
    np.put_along_axis(by_player, orders, added, axis=1)
    stderr = unsure_alone(widening(n_pairs - 1) * by_player.std(axis=0, ddof=1) / np.sqrt(n_pairs), by_player)
    rounding = 8.0 * np.finfo(np.float64).eps * float(np.abs(halves).max())
    cost = different(len(utilities))
    error = unsure(np.sqrt(stderr**2 + rounding**2), request.seen[0], cost)
    return ShapleyResult(by_player.mean(axis=0), error, cost, "owen", kind="Owen")


def _n_compatible(number: NDArray[np.int64]) -> int:
    """How many coalitions hold every group in full or not at all, but for one at most."""
    sizes = np.bincount(number).tolist()
    return int(2 ** len(sizes) + 2 ** (len(sizes) - 1) * sum(2**size - 2 for size in sizes))


def _enumerated_owen(request: Request, number: NDArray[np.int64]) -> NDArray[np.float64]:
    """Exact Owen values float64[n]: in a group Shapley's, of the game that is the mean over the orders of the other groups."""
    request, _ = once(request)
    sizes, values = np.bincount(number), np.empty(len(number))
    m = len(sizes)
    others = np.concatenate(list(all_coalitions(m - 1))) if m > 1 else np.zeros((1, 0), dtype=np.bool_)
    weights = np.array([1.0 / (m * math.comb(m - 1, int(k))) for k in others.sum(axis=1)])
    for group, size in enumerate(sizes):
        beside = np.insert(others, group, values=False, axis=1)[:, number]  # the players of the other groups
        within = np.zeros((2**size, len(number)), dtype=np.bool_)
        within[:, number == group] = np.concatenate(list(all_coalitions(int(size))))
        mean = np.zeros(2**size)
        answers = request.utilities(_unions(beside, within))
        utilities = np.concatenate([u[0] for _, u in answers]).reshape(len(beside), len(within))
        for weight, row in zip(weights, utilities, strict=True):
            mean += weight * row
        values[number == group] = semivalue(AllUtilities(int(size), mean), np.full(size, 1.0 / size))
    return values


def _unions(beside: NDArray[np.bool_], within: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
    """Each row of one with each of the other, in fixed chunks."""
    step = chunk_rows(beside.shape[1])
    for start in range(0, len(beside) * len(within), step):
        rows = np.arange(start, min(start + step, len(beside) * len(within)))
        yield beside[rows // len(within)] | within[rows % len(within)]


def _prefixes(orders: NDArray[np.int64], n: int) -> Iterator[NDArray[np.bool_]]:
    """The empty and the grand coalition, then the orders' prefixes, each followed by its complement."""
    yield np.array([[False] * n, [True] * n])
    step = max(1, chunk_rows(n) // (2 * n))
    for start in range(0, len(orders), step):
        part = orders[start : start + step]
        places = np.empty_like(part)
        np.put_along_axis(places, part, np.arange(n)[None], axis=1)
        masks = (places[:, None, :] < np.arange(1, n)[:, None]).reshape(-1, n)
        yield with_complements(masks)


@numba.njit(cache=True)
def _together(
    seed: np.uint64, run: np.uint64, purpose: np.uint64, groups: NDArray[np.int64], out: NDArray[np.int64]
) -> None:
    """Orders of the groups, and within each of its members."""
    n_groups = groups.max() + 1
    turn, inside = np.empty(n_groups, dtype=np.int64), np.empty(len(groups), dtype=np.int64)
    sizes, place = np.bincount(groups), np.empty(n_groups, dtype=np.int64)
    for pair in range(len(out)):
        shuffle(seed, run, purpose, _STREAMS + np.uint64(2 * pair), n_groups, turn)
        shuffle(seed, run, purpose, _STREAMS + np.uint64(2 * pair + 1), len(groups), inside)
        begin = 0
        for group in turn:
            place[group] = begin
            begin += sizes[group]
        for player in inside:
            out[pair, place[groups[player]]] = player
            place[groups[player]] += 1
