"""What pairs of permutations say of the values, and how sure they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.valuation.estimators.permutation.draws import draw
from crowd_sim.valuation.estimators.permutation.plan import Plan, bounds
from crowd_sim.valuation.result import widening

_PRIOR_DRAWS = 2.0
"""How many degrees of freedom the variance of all players adds to each player's own: intervals of real games cover from
two pairs on (`tests/valuation/test_permutation_coverage.py`)."""
_MOST_ALIKE = 10.0
"""How many times a player's own draws those degrees of freedom may be, where all players' variances are alike."""
_ROUNDING = 8.0 * np.finfo(np.float64).eps


@dataclass(eq=False)
class Sums:
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
    def of(cls, plan: Plan, head: NDArray[np.float64]) -> Sums:
        """Before the first pair, from the utilities float64[G, m] of what is evaluated besides."""
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
        spread = _moderated(squares, own)
        shares = variance + share**2 * spread / np.maximum(drawn, 1.0)
        values = values + lacking * (shares / shares.sum() if shares.any() else 1.0 / n)
        spread, widened = pooled(squares, own, own * told_by_a_draw(self.squares[g], self.fourths[g], self.count))
        variance = variance + share**2 * spread / np.maximum(drawn, 1.0)
        # what is left of a game that is explained to the last digit is rounding
        return values, np.sqrt(widened**2 * variance + (_ROUNDING * self.largest[g]) ** 2)


def told_by_a_draw(squares: NDArray[np.float64], fourths: NDArray[np.float64], count: NDArray[np.int64]) -> float:
    """How much a draw tells of a player's variance, of what one of a normal distribution does (Cochran 1977, 2.15).

    Where few draws make all of the variance, as of a vote that is seldom decisive, a player's own says little.

    Args:
        squares: float64[n], each player's sum of squared deviations.
        fourths: float64[n], that of their squares.
        count: int64[n], each player's draws.
    """
    many = count > 1
    alike = float((squares[many] ** 2 / count[many]).sum())
    if alike == 0.0:
        return 1.0
    drawn = float(count[many].mean())
    kurtosis = float(fourths[many].sum()) / alike * (drawn + 1.0) / (drawn - 1.0)
    return 2.0 / (kurtosis - 1.0) if kurtosis > 3.0 else 1.0


def pooled(
    squares: NDArray[np.float64], own: NDArray[np.float64], told: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each player's variance of a draw, with that of all players as more draws, and how much wider Student's t makes it.

    Args:
        squares: float64[n], each player's sum of squared deviations.
        own: float64[n], its degrees of freedom.
        told: float64[n], how many of a normal distribution these are worth (`told_by_a_draw`).
    """
    prior = _prior(squares, own, told)
    spread = (prior * (squares.sum() / own.sum()) + told * squares / np.maximum(own, 1.0)) / (prior + told)
    return spread, widening(prior + told)


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
    if mean**2 == 0.0:  # of what is rounding the square may be, too
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
    difference *= max(1.0 - spread / n / difference**2, 0.0) if difference**2 else 0.0
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
        difference *= max(1.0 - noise / difference**2, 0.0) if difference**2 else 0.0
    change = np.where(known, outer - difference - mean, 0.0)
    drawn = drawn + known
    joined = mean + change / np.maximum(drawn, 1.0)
    squares = squares + change * (change - (joined - mean))
    # a known end holds the difference in one of its draws, an unknown one in two places of n
    variance = np.where(known, noise / drawn**2, (2.0 / n) ** 2 * (spread + noise))
    return np.where(known, outer, joined + difference), joined, squares, variance, drawn


@numba.njit(cache=True)
def fold(
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
        first, last = bounds(n, n_exact, pair)
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
