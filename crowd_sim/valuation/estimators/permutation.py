"""Shapley values by sampling permutations in antithetic pairs whose first and last players are balanced."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.random import Purpose
from crowd_sim.valuation.complements import with_complements
from crowd_sim.valuation.estimators.exact import MAX_PLAYERS, exact
from crowd_sim.valuation.estimators.noisy_permutation import noisy_permutation
from crowd_sim.valuation.estimators.permutation_draws import draw
from crowd_sim.valuation.once import once
from crowd_sim.valuation.request import Request, chunk_rows
from crowd_sim.valuation.result import ShapleyResult, widening

_PRIOR_DRAWS = 2.0
"""How many degrees of freedom the variance of all players adds to each player's own: intervals of real games cover from
two pairs on (`tests/valuation/test_permutation_coverage.py`)."""
_MOST_ALIKE = 10.0
"""How many times a player's own draws those degrees of freedom may be, where all players' variances are alike."""
_ROUNDING = 8.0 * np.finfo(np.float64).eps


def permutation(request: Request) -> list[ShapleyResult]:
    """Values from pairs of a random permutation and its reverse (Castro et al. 2009; Mitchell et al. 2022).

    A pair knows of v only its odd part d(S) = (v(S) − v(N∖S)) / 2, at the prefixes of the permutation; what a player adds to
    d at its place is the pair's word on its value. So games whose odd part is additive have their exact values: additive
    ones, quadratic ones, and gloves of as many left as right hands.

    First and last place are apart: there v(∅) and v(N) take part, often far from all else. In ⌈n / 2⌉ consecutive pairs, a
    cycle, every player takes one of these places once, in random order. What it adds there does not depend on the other
    players, so it is evaluated in the first cycle only, counts as often as these two places come up, 2 in n, and where it
    is not known yet, it is predicted from the player's other places and the mean difference. Where it takes no more than
    half of the budget, so is the mean over the places next to them, from all pairs of players and their complements.
    What the values then lack to the sum v(N) − v(∅) is shared by their variances. Permutation j is drawn from the stream
    (seed, run, PERMUTATION, j): a larger budget goes on where a smaller one ended.

    The standard errors come from each player's spread between pairs and, where there are few, that of all players; they are
    widened from Student's t, so that ± 1.96 of them cover. Of a single pair there are none: NaN. Where the budget covers all
    coalitions of up to 20 players, and up to two players, the values are exact. Noisy games, and games with missing
    utilities, have pairs of their own (`noisy_permutation`).

    Raises:
        InputError: a budget that does not cover one pair, 2n.
    """
    if request.noisy or request.skips:
        return noisy_permutation(request)
    n, n_games = request.n_players, len(request.games)
    smallest = minimum_budget(n)
    if request.budget < smallest:
        raise InputError("budget", request.budget, f"must be at least {smallest} for permutation with {n} players")
    if n <= MAX_PLAYERS and 2**n <= request.budget:
        return exact(request)
    plan = plan_of(n, request.budget)
    request, different = once(request)
    chunks = request.admitted(lambda: itertools.chain(_head(plan), _prefixes(plan, request.seed, request.run)))
    stream = (utilities for _, utilities in request.utilities(chunks))
    head = next(stream)
    while head.shape[1] < plan.n_head:
        head = np.concatenate([head, next(stream)], axis=1)
    sums = _Sums.of(plan, head)
    waiting = np.empty((n_games, 0))
    key = np.uint64(request.seed), np.uint64(request.run), np.uint64(Purpose.PERMUTATION)
    done = 0
    for utilities in stream:
        waiting = np.concatenate([waiting, utilities], axis=1)
        done, used = _fold(
            *key,
            done,
            plan.n_exact,
            waiting,
            sums.single,
            sums.couple,
            sums.count,
            sums.mean,
            sums.squares,
            sums.cubes,
            sums.fourths,
            sums.largest,
        )
        waiting = waiting[:, used:]
    return [ShapleyResult(*sums.values(g, plan), different(plan.cost), "permutation") for g in range(n_games)]


def minimum_budget(n: int) -> int:
    """The smallest budget for n players: both ends and one pair."""
    return 2 * n


@dataclass(frozen=True)
class Plan:
    """What a budget pays for.

    Attributes:
        n: players.
        n_exact: how many places from either end have their means evaluated: 2, or 1, in the pairs of the first cycle.
        n_pairs: of permutations.
    """

    n: int
    n_exact: int
    n_pairs: int

    @property
    def n_head(self) -> int:
        """Evaluations besides those of the pairs."""
        return 2 + (2 * self.n + self.n * (self.n - 1) if self.n_exact == 2 else 0)

    @property
    def cost(self) -> int:
        """All evaluations."""
        return self.n_head + 2 * _sizes_before(self.n, self.n_exact, self.n_pairs)


def plan_of(n: int, budget: int) -> Plan:
    """As many pairs as fit, the places next to the ends in full where they take no more than half of what is left."""
    left = budget - 2 - 2 * n - n * (n - 1)
    if n > 5 and left >= n * (n - 1):
        return Plan(n, 2, left // (2 * (n - 5)))
    wanted = (budget - 2) // 2
    in_first, full = (n + 1) // 2, n // 2
    pairs = min(wanted // (n - 1), full)
    if pairs == full:
        rest = wanted - _sizes_before(n, 1, in_first)
        if rest >= 0:
            pairs = in_first + (rest // (n - 3) if n > 3 else 0)
    return Plan(n, 1, pairs)


@numba.njit(cache=True)
def _bounds(n: int, n_exact: int, pair: int) -> tuple[int, int]:
    """The first and last size of the prefixes that a pair evaluates, each with its complement."""
    if n_exact == 2:
        return 3, n - 3
    if pair < n // 2:
        return 1, n - 1
    if pair < (n + 1) // 2:  # of an odd number of players one is left for the first place, and none for the last
        return 1, n - 2
    return 2, n - 2


@numba.njit(cache=True)
def _sizes_before(n: int, n_exact: int, pair: int) -> int:
    """How many prefixes the pairs before this one evaluate."""
    if n_exact == 2:
        return pair * (n - 5)
    full, in_first = n // 2, (n + 1) // 2
    before = min(pair, full) * (n - 1) + max(pair - in_first, 0) * (n - 3)
    return before + (n - 2 if n % 2 == 1 and pair > full else 0)


def _head(plan: Plan) -> Iterator[NDArray[np.bool_]]:
    """The empty and the grand coalition; with two exact places all single players and pairs too, each with its complement."""
    ends = np.zeros((2, plan.n), dtype=np.bool_)
    ends[1] = True
    yield ends
    if plan.n_exact == 1:
        return
    n, step = plan.n, chunk_rows(plan.n) // 2
    first, second = np.triu_indices(n, 1)
    first, second = np.append(np.arange(n), first), np.append(np.arange(n), second)
    for start in range(0, len(first), step):
        part = slice(start, start + step)
        some = np.zeros((len(first[part]), n), dtype=np.bool_)
        rows = np.arange(len(some))
        some[rows, first[part]] = some[rows, second[part]] = True
        yield with_complements(some)


def _prefixes(plan: Plan, seed: int, run: int) -> Iterator[NDArray[np.bool_]]:
    """Of each pair the prefixes of its permutation, each followed by its complement, a prefix of the reverse; in chunks."""
    step = chunk_rows(plan.n)
    n_rows = 2 * _sizes_before(plan.n, plan.n_exact, plan.n_pairs)
    pair, size = 0, 0
    for start in range(0, n_rows, 2 * (max(step // 2, 1))):
        chunk = np.zeros((min(2 * max(step // 2, 1), n_rows - start), plan.n), dtype=np.bool_)
        pair, size = _fill(
            np.uint64(seed), np.uint64(run), np.uint64(Purpose.PERMUTATION), plan.n_exact, pair, size, chunk
        )
        yield chunk


@numba.njit(cache=True)
def _fill(
    seed: np.uint64,
    run: np.uint64,
    purpose: np.uint64,
    n_exact: int,
    pair: int,
    size: int,
    out: NDArray[np.bool_],
) -> tuple[int, int]:
    """Rows from the prefix of this pair behind the one of ``size`` players (0: from the first) on; where they end."""
    m, n = out.shape
    order, cycle = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    first, last = _bounds(n, n_exact, pair)
    draw(seed, run, purpose, pair, True, cycle, order)
    for row in range(0, m, 2):
        if size >= last:
            pair, size = pair + 1, 0
            first, last = _bounds(n, n_exact, pair)
            draw(seed, run, purpose, pair, False, cycle, order)
        begin = 0
        if size > 0 and row > 0:
            out[row] = out[row - 2]
            begin = size
        size = max(size + 1, first)
        for k in range(begin, size):
            out[row, order[k]] = True
        out[row + 1] = ~out[row]
    return pair, size


@dataclass(eq=False)
class _Sums:
    """What the pairs said so far, of all games.

    Attributes:
        empty: float64[G], d(∅) = −d(N).
        single: float64[G, n], d of single players; NaN where it is not known.
        couple: float64[G, n, n], d of two players; float64[G, 0, 0] where they are not evaluated.
        count: int64[n], in how many pairs a player was at none of the exact places.
        mean, squares: float64[G, n], the mean over these pairs of what it added, and the sum of squared deviations.
        cubes, fourths: float64[G, n], the sums of their third and fourth powers.
        largest: float64[G], the largest |d|.
    """

    empty: NDArray[np.float64]
    single: NDArray[np.float64]
    couple: NDArray[np.float64]
    count: NDArray[np.int64]
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]
    cubes: NDArray[np.float64]
    fourths: NDArray[np.float64]
    largest: NDArray[np.float64]

    @classmethod
    def of(cls, plan: Plan, head: NDArray[np.float64]) -> _Sums:
        n, n_games = plan.n, len(head)
        odd = 0.5 * head[:, ::2] - 0.5 * head[:, 1::2]
        single, couple = np.full((n_games, n), np.nan), np.zeros((n_games, 0, 0))
        if plan.n_exact == 2:
            single, couple = odd[:, 1 : n + 1].copy(), np.zeros((n_games, n, n))
            first, second = np.triu_indices(n, 1)
            couple[:, first, second] = couple[:, second, first] = odd[:, n + 1 :]
        mean, squares, cubes, fourths = np.zeros((4, n_games, n))
        largest = np.abs(odd).max(axis=1)
        return cls(
            odd[:, 0].copy(), single, couple, np.zeros(n, dtype=np.int64), mean, squares, cubes, fourths, largest
        )

    def values(self, g: int, plan: Plan) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Values and standard errors of a game, float64[n] each."""
        n = plan.n
        outer = self.single[g] - self.empty[g]
        variance = np.zeros(n)
        drawn, mean, squares = self.count.astype(np.float64), self.mean[g], self.squares[g]
        own = np.maximum(drawn - 1.0, 0.0)
        if plan.n_exact == 2:
            others = self.single[g].sum() - self.single[g]
            second = (self.couple[g].sum(axis=1) - others) / (n - 1)
            mean = np.where(drawn > 0, mean, second)
            exact_part = (outer + second) / n * 2.0
        else:
            known = ~np.isnan(outer)
            if known.all() and (drawn > 1.0).all():
                mean, drawn = _drawn_to_the_ends(outer, drawn, mean, squares)
            else:
                outer, mean, squares, variance, drawn = _joined(outer, known, drawn, mean, squares)
                own = np.maximum(drawn - 1.0, 0.0)
            exact_part = outer * 2.0 / n
        share = (n - 2.0 * plan.n_exact) / n
        values = exact_part + share * mean
        lacking = -2.0 * self.empty[g] - values.sum()
        if plan.n_pairs == 1:
            return values + lacking / n, np.full(n, np.nan)
        of_all = squares.sum() / own.sum()
        spread = _moderated(squares, own)
        shares = variance + share**2 * spread / np.maximum(drawn, 1.0)
        values = values + lacking * (shares / shares.sum() if shares.any() else 1.0 / n)
        told = own * self._told(g)
        prior = _prior(squares, own, told)
        spread = (prior * of_all + told * squares / np.maximum(own, 1.0)) / (prior + told)
        variance = variance + share**2 * spread / np.maximum(drawn, 1.0)
        widened = widening(prior + told)
        # what is left of a game that is explained to the last digit is rounding
        return values, np.sqrt(widened**2 * variance + (_ROUNDING * self.largest[g]) ** 2)

    def _told(self, g: int) -> float:
        """How much a draw tells of a player's variance, of what one of a normal distribution does (Cochran 1977, 2.15).

        Where few draws make all of the variance, as of a vote that is seldom decisive, a player's own says little.
        """
        many = self.count > 1
        alike = float((self.squares[g, many] ** 2 / self.count[many]).sum())
        if alike == 0.0:
            return 1.0
        drawn = float(self.count[many].mean())
        kurtosis = float(self.fourths[g, many].sum()) / alike * (drawn + 1.0) / (drawn - 1.0)
        return 2.0 / (kurtosis - 1.0) if kurtosis > 3.0 else 1.0


def _moderated(squares: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each player's variance, with that of all players as `_PRIOR_DRAWS` more draws."""
    return (_PRIOR_DRAWS * squares.sum() / own.sum() + squares) / (_PRIOR_DRAWS + own)


def _prior(squares: NDArray[np.float64], own: NDArray[np.float64], told: NDArray[np.float64]) -> float:
    """How many degrees of freedom the variance of all players is worth: more where the players' own differ by chance alone.

    At most ten times as many as a player has draws, and two draws say nothing of how the variances differ.
    """
    some = own > 0.0
    spreads, draws = squares[some] / own[some], float(own.mean())
    mean, most = float(spreads.mean()), _PRIOR_DRAWS + _MOST_ALIKE * draws * min(max(0.5 * draws - 1.0, 0.0), 1.0) ** 2
    if mean == 0.0:
        return most
    chance = float((2.0 / told[some]).mean())
    apart = (float(spreads.var()) / mean**2 - chance) / (1.0 + chance)
    return min(_PRIOR_DRAWS + 2.0 / apart, most) if apart > 0.0 else most


def _drawn_to_the_ends(
    outer: NDArray[np.float64], drawn: NDArray[np.float64], mean: NDArray[np.float64], squares: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What each player adds between the ends, with what it adds at the ends, less the mean difference, as a word on it.

    That word is worth as many draws as the variance of a draw is times the squared miss of such words (an empirical Bayes mean:
    Morris, "Parametric empirical Bayes inference", Journal of the American Statistical Association 78, 1983), one at most:
    of a cheap airport, which adds nothing but to nobody, it tells nothing. A common miss is no error of the values, which have
    their sum.

    Returns:
        The means, and how many draws they are worth: where a word is worth more than the one that it counts as, more.
    """
    n = len(outer)
    apart = outer - mean
    difference = float(apart.mean())
    spread = float(((apart - difference) ** 2).sum()) / (n - 1)
    difference *= max(1.0 - spread / n / difference**2, 0.0) if difference else 0.0
    variance = _moderated(squares, drawn - 1.0)
    chance = float((variance / drawn).mean())
    # what is not known of the misses counts as missed
    missed = max(spread - chance, 0.0) + math.sqrt(2.0 / (n - 1)) * min(spread, chance)
    found = np.divide(variance, missed, out=np.ones(n), where=missed > 0.0)
    worth = np.minimum(found, 1.0)
    # its miss counts with the square of its weight
    surer = (drawn + worth) ** 2 / (drawn + worth * worth / np.maximum(found, 1.0))
    return mean + (outer - difference - mean) * worth / (drawn + worth), np.where(found > 1.0, surer, drawn + worth)


def _joined(
    outer: NDArray[np.float64],
    known: NDArray[np.bool_],
    drawn: NDArray[np.float64],
    mean: NDArray[np.float64],
    squares: NDArray[np.float64],
) -> tuple[NDArray[np.float64], ...]:
    """What players add at the ends and elsewhere, each as a word on the other, but for their mean difference.

    It is for fewer pairs than a cycle, or two. Where the difference is no larger than its noise, it counts as none; a word on
    an end that is not known is as uncertain as the known differences are spread.

    Returns:
        What each player adds at the ends, elsewhere, and there the sum of squared deviations; the variance of its value that
        the prediction of the ends makes; and the number of draws, the one at an end included.
    """
    n = len(outer)
    apart = (outer - mean)[known & (drawn > 0)]
    difference = spread = noise = 0.0
    if len(apart):
        difference = float(apart.mean())
    if len(apart) > 1:
        spread = float(((apart - difference) ** 2).sum()) / (len(apart) - 1)
        noise = spread / len(apart)
        difference *= max(1.0 - noise / difference**2, 0.0) if difference else 0.0
    change = np.where(known, outer - difference - mean, 0.0)
    drawn = drawn + known
    joined = mean + change / np.maximum(drawn, 1.0)
    squares = squares + change * (change - (joined - mean))
    # a known end holds the difference in one of its draws, an unknown one in two places of n
    variance = np.where(known, noise / drawn**2, (2.0 / n) ** 2 * (spread + noise))
    return np.where(known, outer, joined + difference), joined, squares, variance, drawn


@numba.njit(cache=True)
def _fold(
    seed: np.uint64,
    run: np.uint64,
    purpose: np.uint64,
    done: int,
    n_exact: int,
    utilities: NDArray[np.float64],
    single: NDArray[np.float64],
    couple: NDArray[np.float64],
    count: NDArray[np.int64],
    mean: NDArray[np.float64],
    squares: NDArray[np.float64],
    cubes: NDArray[np.float64],
    fourths: NDArray[np.float64],
    largest: NDArray[np.float64],
) -> tuple[int, int]:
    """Take the complete pairs after the first ``done`` in (Welford, Pébay); how many are done, and rows used."""
    n_games, n = mean.shape
    order, cycle = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    odd = np.empty(n + 1)
    pair, used, fresh = done, 0, True
    while True:
        first, last = _bounds(n, n_exact, pair)
        rows = 2 * (last - first + 1)
        if used + rows > utilities.shape[1] or rows <= 0:
            return pair, used
        draw(seed, run, purpose, pair, fresh, cycle, order)
        fresh = False
        for k in range(n_exact, n - n_exact):
            count[order[k]] += 1
        for g in range(n_games):
            for size in range(first, last + 1):
                row = used + 2 * (size - first)
                odd[size] = 0.5 * utilities[g, row] - 0.5 * utilities[g, row + 1]
                largest[g] = max(largest[g], abs(odd[size]))
            if n_exact == 2:
                odd[2] = couple[g, order[0], order[1]]
                odd[n - 2] = -couple[g, order[n - 1], order[n - 2]]
            else:
                if first == 1:
                    single[g, order[0]] = odd[1]
                if last == n - 1:
                    single[g, order[n - 1]] = -odd[n - 1]
                odd[1], odd[n - 1] = single[g, order[0]], -single[g, order[n - 1]]
            for k in range(n_exact, n - n_exact):
                player = order[k]
                added = odd[k + 1] - odd[k]
                change = added - mean[g, player]
                drawn = float(count[player])
                step = change / drawn
                second, third = squares[g, player], cubes[g, player]
                more = change * step * (drawn - 1.0)
                fourths[g, player] += more * step * step * (drawn * (drawn - 3.0) + 3.0)
                fourths[g, player] += 6.0 * step * step * second - 4.0 * step * third
                cubes[g, player] += more * step * (drawn - 2.0) - 3.0 * step * second
                mean[g, player] += change / drawn
                squares[g, player] += change * (added - mean[g, player])
        pair += 1
        used += rows
