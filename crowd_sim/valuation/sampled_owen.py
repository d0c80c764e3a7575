"""Owen values of games whose coalitions are drawn, or enumerated where few respect the groups."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from crowd_sim.random import Purpose
from crowd_sim.valuation.agreement import Seen, unsure
from crowd_sim.valuation.complements import with_complements
from crowd_sim.valuation.estimators.exact import all_coalitions
from crowd_sim.valuation.estimators.permutation.sums import pooled, told_by_a_draw
from crowd_sim.valuation.games import Game, players_of
from crowd_sim.valuation.once import once
from crowd_sim.valuation.request import Evaluate, Request, chunk_rows, chunked
from crowd_sim.valuation.result import ShapleyResult
from crowd_sim.valuation.shuffle import shuffle
from crowd_sim.valuation.validation import checked_budget, integer, room
from crowd_sim.valuation.values import AllUtilities, check_not_noisy, checked_groups, semivalue

_LARGEST_KEY = 2**64 - 1
_STREAMS = np.uint64(2**62)  # apart from those of permutations and their cycles
_MOST_ENUMERATED = 2**20  # coalitions
_FEWEST_PAIRS = 2


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

    What a player adds in first or last place depends on nobody else: it is evaluated once, and counts as often as the player
    has one of these places, 2 in (groups × members of its own). The standard errors are of the other places: from each player's
    spread between pairs and that of all players, widened from Student's t, as permutation sampling's are. They are NaN where
    the budget does not cover the single players and two pairs, 6n − 10, and for who is at no other place in any pair. They
    cover in the mean over the players, and fewer of those for whom their group's place matters much more than for others.

    Args:
        game: with ``n_players`` and ``__call__(coalitions: bool[m, n]) -> float[m]``.
        groups: [n], equal for players of the same group.
        budget: number of utility evaluations: 2 (n − 3) for each pair of orders besides the two ends and 2n of single
            players and their complements; below 6n − 10, 2 (n − 1) for each besides the two ends.
        seed: in [0, 2^64); with ``run`` the key of every draw.
        run: in [0, 2^64).
        evaluate: what evaluates the coalitions, as in `shapley`.

    Raises:
        InputError: a game with noise, not a group for every player, a budget of less than two pairs, and than what is
            enumerated, or of more than memory holds, and as `shapley`.
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
        budget=allowed if enumerated else checked_budget(budget, min(2 + 4 * (n - 1), compatible)),
        seed=integer("seed", seed, 0, _LARGEST_KEY),
        run=integer("run", run, 0, _LARGEST_KEY),
        seen=[Seen()],
    )
    if enumerated:
        values = _enumerated_owen(request, number)
        return ShapleyResult(values, np.zeros(n), compatible, "exact", kind="Owen")
    surveyed = request.budget >= _smallest_surveyed(n)
    a_pair, n_head = (2 * (n - 3), 2 + 2 * n) if surveyed else (2 * (n - 1), 2)
    n_pairs = (request.budget - n_head) // a_pair
    utilities = room((n_head + 2 * (n - 1) * n_pairs,), np.float64, request.budget)
    orders = room((n_pairs, n), np.int64, request.budget)
    _together(np.uint64(request.seed), np.uint64(request.run), np.uint64(Purpose.PERMUTATION), number, orders)
    request, different = once(request)
    done = 0
    for _, answers in request.utilities(itertools.chain(_head(n, surveyed), _prefixes(orders, n))):
        utilities[done : done + answers.shape[1]] = answers[0]
        done += answers.shape[1]
    halves = 0.5 * utilities[::2] - 0.5 * utilities[1::2]
    side = np.full((n_pairs, 1), halves[0])
    inner = halves[n_head // 2 :].reshape(n_pairs, n - 1)
    added = np.diff(np.concatenate([side, inner, -side], axis=1), axis=1)
    if surveyed:
        at_an_end = 2.0 / ((number.max() + 1) * np.bincount(number)[number])
        values, stderr = _apart_from_the_ends(halves[1 : n + 1] - halves[0], at_an_end, added, orders, -2.0 * halves[0])
    else:
        by_player = np.empty_like(added)
        np.put_along_axis(by_player, orders, added, axis=1)
        values, stderr = by_player.mean(axis=0), np.full(n, np.nan)
    rounding = 8.0 * np.finfo(np.float64).eps * float(np.abs(halves).max())
    cost = different(len(utilities))
    error = unsure(np.sqrt(stderr**2 + rounding**2), request.seen[0], cost)
    return ShapleyResult(values, error, cost, "owen", kind="Owen")


def _smallest_surveyed(n: int) -> int:
    """The budget of the ends, every single player with its complement, and two pairs of orders."""
    return 2 + 2 * n + _FEWEST_PAIRS * 2 * (n - 3)


def _apart_from_the_ends(
    outer: NDArray[np.float64],
    at_an_end: NDArray[np.float64],
    added: NDArray[np.float64],
    orders: NDArray[np.int64],
    total: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values and standard errors float64[n] where it is known what players add in first or last place.

    Args:
        outer: float64[n], what they add there.
        at_an_end: float64[n], in which share of the pairs a player has one of these places.
        added: float64[pairs, n], what is added at each place.
        orders: int64[pairs, n], by whom.
        total: v(N) − v(∅); what the values lack to it is shared by their variances.
    """
    n = len(outer)
    drawn, draws = orders[:, 1:-1], added[:, 1:-1]
    count = np.bincount(drawn.ravel(), minlength=n)
    mean = np.bincount(drawn.ravel(), draws.ravel(), n) / np.maximum(count, 1)
    apart = draws - mean[drawn]
    square = (apart * apart).ravel()
    squares, fourths = np.zeros((2, n))
    np.add.at(squares, drawn.ravel(), square)
    np.add.at(fourths, drawn.ravel(), square * square)
    never = (count == 0) & (at_an_end < 1.0)
    mean = np.where(count > 0, mean, outer + (mean - outer)[count > 0].mean())  # of who was never drawn
    values = at_an_end * outer + (1.0 - at_an_end) * mean
    own = np.maximum(count - 1.0, 0.0)
    if not own.any():
        return values + (total - values.sum()) / n, np.full(n, np.nan)
    spread, widened = pooled(squares, own, own * told_by_a_draw(squares, fourths, count))
    variance = (1.0 - at_an_end) ** 2 * spread / np.maximum(count, 1)
    values = values + (total - values.sum()) * (variance / variance.sum() if variance.any() else 1.0 / n)
    return values, np.where(never, np.nan, widened * np.sqrt(variance))


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


def _head(n: int, surveyed: bool) -> Iterator[NDArray[np.bool_]]:
    """The empty coalition and, where they are known, those of single players, each followed by its complement."""
    rows = np.concatenate([np.zeros((1, n), dtype=np.bool_), np.eye(n, dtype=np.bool_)[: n if surveyed else 0]])
    yield from chunked(with_complements(rows))


def _prefixes(orders: NDArray[np.int64], n: int) -> Iterator[NDArray[np.bool_]]:
    """The orders' prefixes, each followed by its complement."""
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
