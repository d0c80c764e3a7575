"""What a player's features tell of what it adds: ridge regression, each player predicted by a fit that has not seen it.

The regressors are the features, their squares and bumps around some of the players, so that smooth functions of few features
and quadratic ones of many can be told. Nothing is assumed of them: how strong the ridge is, or that the features tell nothing,
is chosen by the misses of players that a fit has not seen, and so are the error bars of whoever uses the predictions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.elementary import exp
from crowd_sim.linear_algebra import cholesky, gram, less_gram, solved, times, transposed_times

_FOLDS = 5
_BUMPS = 200  # at most
_SHARE = 0.25  # of the players that were measured: so many regressors, at most, besides the features themselves
_MOST_SEEN = 20_000  # players, in a fit
_RIDGES = (1e-6, 1e-4, 1e-2, 1.0)  # times the mean of the regressors' squares
_FEWEST = 2 * _FOLDS
_ROWS = 4096  # of regressors made at a time

_Vector = NDArray[np.float64]


def predicted(features: _Vector, measured: NDArray[np.int64], answers: _Vector) -> _Vector:
    """What every player is predicted to add, less the mean of the answers: float64[n].

    Args:
        features: float64[n, p].
        measured: int64[m], some of the players, in random order.
        answers: float64[m], what they added, with noise.

    Returns:
        0 for all, where there are too few of them, or where their answers are told no better by the features.
    """
    n = len(features)
    if len(measured) < _FEWEST:
        return np.zeros(n)
    # by powers of two, which are exact: of 1e200 the square is too large, of 1e-200 it is 0
    features = np.ldexp(features, -np.frexp(np.abs(features).max(axis=0, initial=0.0))[1])
    seen, y = measured[:_MOST_SEEN], answers[:_MOST_SEEN]
    mean = float(y.mean())
    y = y - mean
    design = _Design.of(features, seen)
    x = design.at(features[seen])
    fold = np.arange(len(seen)) % _FOLDS
    whole, right = gram(x), transposed_times(x, y)
    size = float(whole.trace()) / len(whole)
    parts = [
        (less_gram(whole, x[fold == f]), right - transposed_times(x[fold == f], y[fold == f])) for f in range(_FOLDS)
    ]
    best, least = None, float((y * y).sum()) * (len(y) / (len(y) - 1.0)) ** 2  # of the mean of the others
    for ridge in _RIDGES:
        slopes = [_ridged(inner, outer, ridge * size) for inner, outer in parts]
        if any(not np.isfinite(slope).all() for slope in slopes):
            continue
        missed = sum(float(((y[fold == f] - times(x[fold == f], slopes[f])) ** 2).sum()) for f in range(_FOLDS))
        if missed < least:
            best, least = slopes, missed
    if best is None:
        return np.zeros(n)
    out, whole_slopes = np.empty(n), np.mean(best, axis=0)
    for start in range(0, n, _ROWS):
        out[start : start + _ROWS] = times(design.at(features[start : start + _ROWS]), whole_slopes)
    for f in range(_FOLDS):
        out[seen[fold == f]] = times(x[fold == f], best[f])
    return out


@dataclass(frozen=True, eq=False)
class _Design:
    """Regressors, each of about mean 0 and of the same size.

    Attributes:
        centre, scale: float64[p], of the features.
        landmarks: float64[q, p], players around whom there is a bump, scaled.
        width: of the bumps, squared.
        means, sizes: float64[2p + q], of the regressors before they are shifted and scaled.
    """

    centre: _Vector
    scale: _Vector
    landmarks: _Vector
    width: float
    means: _Vector
    sizes: _Vector

    @classmethod
    def of(cls, features: _Vector, seen: NDArray[np.int64]) -> _Design:
        some = features[seen]
        centre, scale = some.mean(axis=0), some.std(axis=0)
        scale = np.where(scale > 0.0, scale, 1.0)
        landmarks = (some[: min(_BUMPS, int(_SHARE * len(seen)))] - centre) / scale
        apart = _squares(landmarks, landmarks)
        width = float(np.median(apart)) or 1.0
        plain = cls(centre, scale, landmarks, width, np.zeros(1), np.ones(1))
        columns = plain.at(some)
        sizes = columns.std(axis=0)
        return cls(centre, scale, landmarks, width, columns.mean(axis=0), np.where(sizes > 0.0, sizes, 1.0))

    def at(self, features: _Vector) -> _Vector:
        """The regressors of some players: float64[m, 2p + q]."""
        x = (features - self.centre) / self.scale
        bumps = exp(_squares(x, self.landmarks) / (-2.0 * self.width))
        columns = np.concatenate([x, x * x, bumps], axis=1)
        return (columns - self.means) / self.sizes


def _squares(x: _Vector, y: _Vector) -> _Vector:
    """Squared distances float64[m, q] of the rows of float64[m, p] and float64[q, p], feature by feature."""
    out = np.zeros((len(x), len(y)))
    for feature in range(x.shape[1]):
        out += (x[:, feature, None] - y[None, :, feature]) ** 2
    return out


def _ridged(inner: _Vector, right: _Vector, ridge: float) -> _Vector:
    upper, definite = cholesky(inner + ridge * np.eye(len(inner)))
    return solved(upper, right) if definite else np.full(len(right), np.nan)
