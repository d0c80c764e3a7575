"""Differences of runs that share their draws: paired by seed and run, with 95 % intervals."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

RUN = ["seed", "run"]
"""What keys a run's draws: two runs that have both have the same luck."""

_ROUNDING = 1e-14

_MOST_LEVELS = 8
"""Of a field, up to which each is held against each; of more, against the first."""


@dataclass(frozen=True)
class Difference:
    """A mean difference with its 95 % interval by Student's t.

    Attributes:
        mean: second − first; NaN where neither has a value.
        low, high: of the interval; NaN where one run alone is there.
        n: how many pairs, or of unpaired runs the smaller number of both.
        paired: whether runs were paired.
    """

    mean: float
    low: float
    high: float
    n: int
    paired: bool = True


def pairs(first: pd.DataFrame, second: pd.DataFrame, keys: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """Second − first for each combination of `keys`, seed and run that both have; a row each.

    Rows that share all of these, as where the other fields of a sweep differ, are averaged first. What differs
    in its last digits alone, as means over other numbers of rows do, is no difference.
    """
    by = [*keys, *RUN]
    ours, theirs = (table.groupby(by, sort=False, dropna=False)[list(metrics)].mean() for table in (first, second))
    both = ours.index.intersection(theirs.index, sort=False)
    ours, theirs = ours.loc[both], theirs.loc[both]
    found = theirs - ours
    return found.mask(found.abs() <= _ROUNDING * theirs.abs(), 0.0).reset_index()


def mean_difference(found: pd.DataFrame, metric: str) -> Difference:
    """The mean of `pairs`. What varies are the runs: points of a sweep that share one are averaged before.

    Where all points are of one run, the points are what varies.
    """
    known = found.dropna(subset=[metric])
    by_run = known.groupby(RUN, sort=False)[metric].mean().to_numpy(float)
    sample = by_run if len(by_run) > 1 else known[metric].to_numpy(float)
    return Difference(*_interval(sample), len(sample))


def unpaired_difference(first: NDArray[np.float64], second: NDArray[np.float64]) -> Difference:
    """The difference of the means of runs with draws of their own (Welch)."""
    first, second = first[~np.isnan(first)], second[~np.isnan(second)]
    n = min(len(first), len(second))
    if not n:
        return Difference(nan, nan, nan, 0, paired=False)
    mean = float(second.mean() - first.mean())
    if n < 2:
        return Difference(mean, nan, nan, n, paired=False)
    parts = np.array([sample.var(ddof=1) / len(sample) for sample in (first, second)])
    free = parts.sum() ** 2 / (parts**2 / (np.array([len(first), len(second)]) - 1)).sum() if parts.any() else 1.0
    half = float(stdtrit(free, 0.975) * np.sqrt(parts.sum()))
    return Difference(mean, mean - half, mean + half, n, paired=False)


def between_levels(
    runs: pd.DataFrame, fields: Sequence[str], field: str, metrics: Sequence[str]
) -> Iterator[tuple[object, object, dict[str, Difference]]]:
    """Of a sweep's runs: each pair of a field's values with second − first, all other fields, seed and run being equal.

    Args:
        runs: a row per run with `seed` and `run`.
        fields: those that are swept.
        field: one of them.
        metrics: columns.
    """
    others = [name for name in fields if name not in (field, *RUN)]
    parts = dict(iter(runs.groupby(field, sort=False)))
    levels = list(parts)
    few = len(levels) <= _MOST_LEVELS
    for first, second in itertools.combinations(levels, 2) if few else ((levels[0], level) for level in levels[1:]):
        found = pairs(parts[first], parts[second], others, metrics)
        if len(found):
            yield first, second, {metric: mean_difference(found, metric) for metric in metrics}


def _interval(sample: NDArray[np.float64]) -> tuple[float, float, float]:
    if not len(sample):
        return nan, nan, nan
    mean = float(sample.mean())
    if len(sample) == 1:
        return mean, nan, nan
    half = float(stdtrit(len(sample) - 1, 0.975) * sample.std(ddof=1) / np.sqrt(len(sample)))
    return mean, mean - half, mean + half
