"""What measurements tell of the values: how alike a player's are in all strata, and where more of them tell most.

What player i adds in stratum b is μ_b + u_bi + noise; the best linear prediction of the value (Henderson, Biometrics 1975).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.linear_algebra import eigenvectors, pseudo_inverse
from crowd_sim.valuation.estimators.chains.drawing import TURNS, Stratum
from crowd_sim.valuation.result import widening

_NOTHING = 1e-18  # variances, one to the other, whose ratio is rounding
_COMMON = 0.5  # share of a measurement's variance that is alike for all players, at least

_Vector = NDArray[np.float64]


@dataclass(eq=False)
class Seen:
    """What players added: by stratum and player how often, the sum, and the sum of squares, float64[B, n] each."""

    count: _Vector
    total: _Vector
    squares: _Vector
    largest: float

    @classmethod
    def nothing(cls, n_strata: int, n: int) -> Seen:
        """Nobody was measured yet."""
        return cls(np.zeros((n_strata, n)), np.zeros((n_strata, n)), np.zeros((n_strata, n)), 0.0)

    def only(self, players: NDArray[np.bool_]) -> Seen:
        """Of some players."""
        return Seen(self.count[:, players], self.total[:, players], self.squares[:, players], self.largest)

    @property
    def mean(self) -> _Vector:
        """0 where there is nothing."""
        return self.total / np.maximum(self.count, 1.0)


def learnt(seen: Seen, told: _Vector) -> tuple[_Vector, _Vector]:
    """The covariance T float64[B, B] of what players add in the mean, and the variances float64[B] of a measurement.

    What features have ``told`` of it, float64[B, n], is no part of T.
    """
    n_strata, mean = len(seen.count), seen.mean
    again = np.maximum(seen.count - 1.0, 0.0).sum(axis=1)
    within = np.maximum(seen.squares - seen.count * mean**2, 0.0).sum(axis=1)
    noise = np.where(again > 0, within / np.maximum(again, 1.0), 0.0)
    mean = mean - told
    covariance = np.zeros((n_strata, n_strata))
    for a, b in itertools.combinations_with_replacement(range(n_strata), 2):
        both = (seen.count[a] > 0) & (seen.count[b] > 0)
        many = int(both.sum())
        if many > 1:
            x, y = mean[a, both], mean[b, both]
            found = float(((x - x.mean()) * (y - y.mean())).sum()) / (many - 1)
            if a == b:
                found -= noise[a] * float((1.0 / seen.count[a, both]).mean())
            covariance[a, b] = covariance[b, a] = found
    values, vectors = eigenvectors(covariance)
    scaled = vectors * np.sqrt(np.maximum(values, 0.0))
    found_all = (scaled[:, None, :] * scaled[None, :, :]).sum(axis=2)
    # what is not known of T counts as apart in every stratum: else it would promise more than it can know
    measured = np.maximum((seen.count > 0).sum(axis=1), 2)
    often = seen.count.sum(axis=1) / measured
    if (noise <= _NOTHING * found_all.diagonal()).all():  # additive, or quadratic: nothing is left to chance
        return found_all, noise
    unsure = np.sqrt(2.0 / measured) * (found_all.diagonal() + noise / np.maximum(often, 1.0))
    return found_all + np.diag(unsure), noise


def allocated(
    strata: Sequence[Stratum], weights: _Vector, covariance: _Vector, noise: _Vector, n: int, pairs: int
) -> list[float]:
    """How many sweeps over all players each stratum gets: one after the other, where it tells most for its price."""
    counts, spent = np.zeros(len(strata)), 0.0
    counts[0] = 1.0  # measured, and no chance in it
    while True:
        now = _left(covariance, noise, counts, weights)[0]
        gains = []
        for stratum in strata[1:]:
            counts[stratum.number] += 1.0
            gain = now - _left(covariance, noise, counts, weights)[0]
            counts[stratum.number] -= 1.0
            # where nothing seems to be gained the budget goes where the weight is
            gains.append((gain + 1e-12 * weights[stratum.number] * (now + 1e-300)) / stratum.cost)
        best = strata[1 + int(np.argmax(gains))]
        price = n * best.cost
        if spent + price > pairs:
            counts[best.number] += max(pairs - spent, 0.0) / price
            return [float(count) for count in counts]
        counts[best.number] += 1.0
        spent += price


def _left(covariance: _Vector, noise: _Vector, counts: _Vector, weights: _Vector) -> tuple[float, _Vector]:
    """The variance of a value after ``counts`` float64[B] measurements, and what the means float64[B] count in it."""
    pull, known = np.zeros(len(counts)), counts > 0
    prior = (covariance * weights).sum(axis=1)
    whole = float((prior * weights).sum())
    if not known.any():
        return whole, pull
    inner = covariance[known][:, known]
    inner = inner + np.diag(noise[known] / counts[known])
    pull[known] = (pseudo_inverse(inner) * prior[known]).sum(axis=1)
    return max(whole - float((pull * prior).sum()), 0.0), pull


def predicted(seen: Seen, told: _Vector, weights: _Vector) -> tuple[_Vector, _Vector]:
    """Values and their variances, float64[n] each."""
    covariance, noise = learnt(seen, told)
    mean, n = seen.mean - told, seen.count.shape[1]
    centre = np.array([m[c > 0].mean() if (c > 0).any() else 0.0 for m, c in zip(mean, seen.count, strict=True)])
    patterns, which = np.unique(seen.count, axis=1, return_inverse=True)
    values, variance = np.empty(n), np.empty(n)
    apart = mean - centre[:, None]
    for p in range(patterns.shape[1]):
        rows = which.ravel() == p
        left, pull = _left(covariance, noise, patterns[:, p], weights)
        values[rows] = (pull[:, None] * apart[:, rows]).sum(axis=0)
        variance[rows] = left
    values = values + float((weights * centre).sum()) + (weights[:, None] * told).sum(axis=0)
    return values, variance * _unevenness(seen, noise, apart[0])


def _unevenness(seen: Seen, noise: _Vector, first: _Vector) -> _Vector:
    """How many times as uncertain as the mean player each one is, float64[n]: those who add much to nobody, or little.

    What a player adds elsewhere varies more, mostly, the farther it is from others in ``first`` float64[n], the stratum without
    chance. By how much is a regression on the square of that, from the players who were measured twice, less its noise.
    """
    n = len(first)
    off, varying = np.square(first - first.mean()), noise > 0.0
    scale = float(off.mean())
    again = np.maximum(seen.count - 1.0, 0.0)[varying].sum(axis=0)
    if scale == 0.0 or (again > 0).sum() < 3:
        return np.ones(n)
    within = np.maximum(seen.squares - seen.count * seen.mean**2, 0.0)[varying] / noise[varying, None]
    some = again > 0
    weight, far, spread = again[some], off[some] / scale, within[:, some].sum(axis=0) / again[some]
    far, spread = (each - (weight * each).sum() / weight.sum() for each in (far, spread))
    whole = float((weight * far**2).sum())
    slope = float((weight * far * spread).sum()) / whole if whole else 0.0
    if slope <= 0.0:
        return np.ones(n)
    chance = float(np.square(weight * far * (spread - slope * far)).sum()) / whole**2
    slope = min(slope * max(1.0 - chance / slope**2, 0.0), 1.0 - _COMMON)
    return 1.0 + slope * (off / scale - 1.0)


def by_themselves(seen: Seen, weights: _Vector) -> tuple[_Vector, _Vector]:
    """Values and variances of players from their own measurements alone; the first stratum's are exact."""
    values = (seen.mean * weights[:, None]).sum(axis=0)
    within = np.maximum(seen.squares - seen.count * seen.mean**2, 0.0) / np.maximum(seen.count - 1.0, 1.0)
    variance = (weights[1:, None] ** 2 * within[1:] / np.maximum(seen.count[1:], 1.0)).sum(axis=0)
    return values, variance * widening(TURNS - 1.0) ** 2
