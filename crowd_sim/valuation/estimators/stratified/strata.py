"""Strata of coalition sizes, and keyed draws of coalitions from them, as lists of members."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.elementary import exp, log, log_factorials
from crowd_sim.random import Purpose, philox
from crowd_sim.valuation.coalition_lists import Lists

_GOLDEN = 0.6180339887498949  # multiples of it, modulo 1, fill [0, 1) evenly at every length
_FINEST, _COARSEST, _STEP = 1.3, 4.0, 1.1
_DRAWS = 110
"""Coalitions per stratum that the budget must allow for; else the strata are made fewer."""


@dataclass(frozen=True, eq=False)
class Stratum:
    """The coalitions of sizes ``low`` to ``high``.

    Attributes:
        number: counts the strata of a game from 0.
        low, high: the sizes, both included.
        chances: float64[high − low + 1], how often each size is drawn; they sum to 1.
        weight: the stratum's share of the pilot, up to a factor common to all strata.
        importance: float64[high − low + 1], 1 / (chance × k/n × (1 − k/n)): what makes a coalition's utility an unbiased
            part of the contrasts, summed over the sizes;
        deviation: float64[high − low + 1], 1 / (chance × √(k/n (1 − k/n))): the standard deviation of that part over the
            players, per unit of utility.
        weights: float64[high − low + 1], of the regression: in proportion to importance × size, 1 in the mean over the draws.
            Residuals then have no contrasts that are linear in the players' vectors, which sizes of different spread would
            leave behind if one polynomial were fitted to all alike.
        reach, floor: standard deviations over the players of the contrasts that residuals of spread 1 have: what is taken to be
            common to all strata but for a factor, and what chance alone makes; for l2 and for l1.
    """

    number: int
    low: int
    high: int
    chances: NDArray[np.float64]
    weight: float
    importance: NDArray[np.float64]
    deviation: NDArray[np.float64]
    weights: NDArray[np.float64]
    reach: tuple[float, float]
    floor: tuple[float, float]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The sizes, ascending."""
        return np.arange(self.low, self.high + 1)


@lru_cache(maxsize=16)
def strata_of(n: int, draws: int) -> tuple[Stratum, ...]:
    """The sizes 2 to n − 1 cut into strata, as finely as ``draws`` coalitions in all allow.

    Differences between players fall quickly with the size of the coalitions: the ranges grow with the size. Within
    one, size k is drawn in proportion to k^-1.5 √(1/k + 1/(n − k)): about the standard deviation of the utility's
    residual at that size times that of a contrast.
    """
    ratio = _FINEST
    while (ranges := _ranges(n, ratio)) and len(ranges) * _DRAWS > draws and ratio < _COARSEST:
        ratio *= _STEP
    strata = []
    for number, (low, high) in enumerate(ranges):
        k = np.arange(low, high + 1.0)
        weights = 1.0 / (k * np.sqrt(k)) * np.sqrt(1.0 / k + 1.0 / (n - k))
        chances, share = weights / weights.sum(), k / n
        variance = share * (1.0 - share)
        importance, deviation = 1.0 / (chances * variance), 1.0 / (chances * np.sqrt(variance))
        reach, floor = zip(*(_reach(n, k, chances, l1) for l1 in (False, True)), strict=True)
        counts = importance * k / (chances * importance * k).sum()
        total = float(weights.sum())
        strata.append(Stratum(number, low, high, chances, total, importance, deviation, counts, reach, floor))
    return tuple(strata)


def _reach(n: int, k: NDArray[np.float64], chances: NDArray[np.float64], l1: bool) -> tuple[float, float]:
    """Of contrasts c_i of a function r on the coalitions of sizes ``k``, summed over the sizes, against the spread of r.

    The part of r that is a sum over the members has k (n − k) / n times the variance of c_i (Hoeffding). Its share of the
    variance of r is (n − 1) / C(n, k) where r is noise; where r is what the polynomials leave of a score, it was measured
    (12 to 75 workers, MovieLens) to go with k as ``share`` does, the same for k and n − k since the coalition's mean is one
    of the complement too. The spread of r at a size against that at others goes about like ``spread``.
    """
    if l1:
        other = n - k
        share = 4.0 / (k * k * k) + 4.0 / (other * other * other) + 128.0 / (n * n * n)
        spread = exp(0.65 * log(other / k))
    else:
        share, spread = 1.0 / k**2 + 1.0 / (n - k) ** 2 + 1.0 / n, exp(1.75 * log((n - k) / k))
    spread = spread / np.sqrt((chances * spread**2).sum())
    per_unit = spread * np.sqrt(n / (k * (n - k)))
    logs = log_factorials(n)
    sizes = k.astype(np.int64)
    noise = (n - 1.0) * exp(logs[sizes] + logs[n - sizes] - logs[n])
    # the sums over the members may point the same way at all sizes, noise does not
    return float((per_unit * np.sqrt(share)).sum()), float(np.sqrt((per_unit**2 * noise).sum()))


def _ranges(n: int, ratio: float) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    low = 2
    while low <= n - 1:
        growth = ratio * (1.0 if low < 12 else 1.3 if low < 48 else 2.5)
        high = min(n - 1, max(low, int(low * growth + 1e-9)))
        if n - 1 - high < 0.3 * (high - low + 1):  # too little left for a range of its own
            high = n - 1
        ranges.append((low, high))
        low = high + 1
    return ranges


def draw(stratum: Stratum, n: int, count: int, seed: int, run: int, stage: int) -> Lists:
    """``count`` coalitions of a stratum: a smaller count gives the first of the same coalitions.

    A function of (seed, run, stage, stratum) and n; two stages draw independently.
    """
    ends = np.empty(count, dtype=np.int64)
    _fill_ends(0.5 * (stage + 1), stratum.low, np.cumsum(stratum.chances), ends)
    members = np.empty(int(ends[-1]) if count else 0, dtype=np.int32)
    key = np.uint64(seed), np.uint64(run), np.uint64(stratum.number), np.uint64(Purpose.STRATIFIED), np.uint64(stage)
    _deal(*key, n, ends, members)
    return Lists(members, ends)


@numba.njit(cache=True)
def _fill_ends(shift: float, low: int, cumulative: NDArray[np.float64], ends: NDArray[np.int64]) -> None:
    """Sizes in proportion to their chances, as evenly as may be over every stretch of the coalitions; summed up."""
    end = 0
    for t in range(len(ends)):
        place = t * _GOLDEN + shift
        place -= np.floor(place)
        step = 0
        while step < len(cumulative) - 1 and cumulative[step] <= place:
            step += 1
        end += low + step
        ends[t] = end


@numba.njit(cache=True)
def _deal(
    seed: np.uint64,
    run: np.uint64,
    stratum: np.uint64,
    purpose: np.uint64,
    stage: np.uint64,
    n: int,
    ends: NDArray[np.int64],
    members: NDArray[np.int32],
) -> None:
    """Deal coalitions from a deck of players that is shuffled while it is dealt (Fisher and Yates).

    Each time through, the deck gives every player once: players' numbers of appearances never differ by more than one
    between two full passes. A coalition that ends one pass and begins the next takes its rest from the players it does
    not hold; each is still a uniform subset of its size. O(size) each.
    """
    deck = np.arange(n).astype(np.int32)
    place, left = 0, 0
    block = np.uint64(0)
    words = (np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0))
    start = 0
    for end in ends:
        top = n
        for t in range(start, end):
            if place == n:
                place = 0
                top = n - (t - start)  # the members it has lie at the end of the deck
            if left == 0:
                block += np.uint64(1)
                words = philox(seed, run, block, stratum, purpose, stage)
                left = 8
            word = words[(8 - left) // 2]
            half = word >> np.uint64(32) if left % 2 else word & np.uint64(0xFFFFFFFF)
            left -= 1
            # 32 bits scaled to the players left: the bias is below n / 2^32
            chosen = place + np.int64((half * np.uint64(top - place)) >> np.uint64(32))
            deck[chosen], deck[place] = deck[place], deck[chosen]
            members[t] = deck[place]
            place += 1
        start = end
