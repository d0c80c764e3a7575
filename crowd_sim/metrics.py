"""What is measured of a run, and how runs are averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan, sqrt

import numpy as np
from numpy.typing import NDArray

METRICS = (
    "final_distance",
    "rounds_to_converge",
    "pearson_kernel_shap",
    "spearman_kernel_shap",
    "pearson_accurate",
    "spearman_accurate",
)


def pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson correlation of each row: float64[B, n] twice → float64[B]; NaN where n < 2 or a row is constant.

    A row whose entries differ by rounding only, 1e-12 of the largest, is constant.
    """
    unknown = _constant(x) | _constant(y)
    x = x - x.mean(axis=1, keepdims=True)
    y = y - y.mean(axis=1, keepdims=True)
    scale = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((scale > 0) & ~unknown, (x * y).sum(axis=1) / scale, np.nan)


def spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spearman rank correlation of each row, ties at their mean rank: float64[B, n] twice → float64[B]; NaN as `pearson`."""
    return np.where(_constant(x) | _constant(y), np.nan, pearson(_ranks(x), _ranks(y)))


def _constant(x: NDArray[np.float64]) -> NDArray[np.bool_]:
    if x.shape[1] == 0:
        return np.ones(len(x), dtype=np.bool_)
    return np.ptp(x, axis=1) <= 1e-12 * np.abs(x).max(axis=1)


def _ranks(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 1 on, those that are alike at their mean rank; NaN of NaN."""
    found = np.empty(x.shape)
    for row, ranks in zip(x, found, strict=True):
        in_order = np.sort(row)  # NaN last
        ranks[:] = (np.searchsorted(in_order, row, "left") + np.searchsorted(in_order, row, "right") + 1) / 2
    return np.where(np.isnan(x), np.nan, found)


def rounds_to_converge(distances: NDArray[np.float64], near: float) -> NDArray[np.float64]:
    """First round whose distance to the target is at most `near`.

    Args:
        distances: float64[R + 1, B], from the start (round 0) on.
        near: the distance.

    Returns:
        float64[B], NaN for runs that never came that near.
    """
    within = distances <= near
    return np.where(within.any(axis=0), within.argmax(axis=0).astype(np.float64), np.nan)


def auc(scores: NDArray[np.float64], bad: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Chance that a bad worker scores below another one, ties half: float64[B]."""
    found = []
    for row, is_bad in zip(scores, bad, strict=True):
        n_bad, n_good = is_bad.sum(), (~is_bad).sum()
        lower = np.sort(row[is_bad])
        below = [np.searchsorted(lower, row[~is_bad], side).sum() for side in ("left", "right")]
        found.append(sum(below) / 2 / (n_bad * n_good) if n_bad and n_good else np.nan)
    return np.array(found)


def detection(scores: Mapping[str, NDArray[np.float64]], bad: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
    """How well each score tells the bad workers apart, see `auc`: float64[B, n] by name → float64[B] by `detection_<name>`."""
    return {f"{_DETECTION}{name}": auc(own, bad) for name, own in scores.items()}


def is_of_detection(metric: str) -> bool:
    """Whether a metric of this name is one of `detection`."""
    return metric.startswith(_DETECTION)


_DETECTION = "detection_"


def mean_and_se(values: NDArray[np.float64], of: Sequence[str] | None = None) -> tuple[float, float]:
    """Mean of m ≥ 2 numbers and its standard error.

    Numbers ``of`` one thing, a prompt's pairs say, need not be independent: what such a cluster adds up to is what varies
    (Liang and Zeger, "Longitudinal data analysis using generalized linear models", Biometrika 73, 1986). NaN of one cluster.
    """
    mean = float(values.mean())
    number = np.arange(len(values)) if of is None else np.unique(np.array(of), return_inverse=True)[1]
    n = int(number.max()) + 1
    if n == len(values):
        return mean, float(values.std(ddof=1) / sqrt(len(values)))
    sums = np.bincount(number, values - mean)
    return mean, sqrt(n / (n - 1) * float(np.square(sums).sum())) / len(values) if n > 1 else nan


def independent(values: NDArray[np.float64] | None, of: Sequence[str]) -> float:
    """How many independent items m items are worth, of which those ``of`` one thing need not be independent.

    It is m over the design effect (Kish, "Survey sampling", 1965), at most m: the number of clusters where all of a cluster
    are the same, or nothing says how alike they are, as ``values`` are all the same or ``None``.
    """
    clusters = len(set(of))
    if values is None or clusters in (1, len(of)) or not values.std():
        return float(clusters)
    error = mean_and_se(values, of)[1] * sqrt((clusters - 1) / clusters)  # of the clusters that there are
    return float(min((values.std() / error) ** 2, len(of))) if error else float(len(of))


def mean_and_error(sample: NDArray[np.float64]) -> tuple[float, float, int]:
    """Mean, its standard error (sample standard deviation over √m) and m, over the values that are not NaN.

    NaN means that there is nothing to average: a run that never converged, points or values that are all alike. Mean and
    error are NaN where m = 0, the error where m = 1.
    """
    known = sample[~np.isnan(sample)]
    if known.size == 0:
        return float("nan"), float("nan"), 0
    error = float(known.std(ddof=1) / np.sqrt(known.size)) if known.size > 1 else float("nan")
    return float(known.mean()), error, int(known.size)


def summarise(runs: Mapping[str, NDArray[np.float64]]) -> dict[str, dict[str, float | int | None]]:
    """Mean, standard error and number of known values of every column; None in place of NaN, as JSON has none."""
    return {
        name: {"mean": _or_none(mean), "se": _or_none(error), "n": count}
        for name, (mean, error, count) in ((name, mean_and_error(sample)) for name, sample in runs.items())
    }


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value
