"""Models fitted to many subsets of a training set at once, whose predictions for the same test rows are wanted.

Each function takes ``used`` bool[m, N] (the rows of the training set that each of m fits has), ``rows`` float64[N, d], their
classes or targets [N] and ``tests`` float64[T, d], and returns predictions [m, T].
"""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.bench.held_out_games.made import Coalitions, Vector, Whole, sklearn

_RIDGE = 1.0


def nearest(used: Coalitions, rows: Vector, targets: Vector, tests: Vector, k: int = 3) -> Vector:
    """The mean target of the ``k`` nearest rows that are used (of all, where there are fewer); 0 without any."""
    order = np.square(tests[:, None] - rows).sum(axis=2).argsort(axis=1, kind="stable")
    at = used[:, order]
    at &= at.cumsum(axis=2) <= k
    return (at * targets[order]).sum(axis=2) / np.maximum(at.sum(axis=2), 1)


def nearest_class(used: Coalitions, rows: Vector, classes: Whole, tests: Vector) -> Whole:
    """The most frequent class of the three nearest rows; the lowest of several."""
    shares = [nearest(used, rows, (classes == c).astype(np.float64), tests) for c in range(classes.max() + 1)]
    return np.argmax(shares, axis=0)


def bayes(used: Coalitions, rows: Vector, classes: Whole, tests: Vector) -> Whole:
    """Naive Bayes with normal features; variances are counted from a tenth of all rows' on, and from one row more."""
    own = (classes[:, None] == np.arange(classes.max() + 1)).astype(np.float64)
    count = used @ own
    sums = np.einsum("mr,rc,rd->mcd", used.astype(np.float64), own, rows, optimize=True)
    squares = np.einsum("mr,rc,rd->mcd", used.astype(np.float64), own, rows**2, optimize=True)
    held = np.maximum(count, 1.0)[:, :, None]
    means = sums / held
    variances = np.maximum(squares / held - means**2, 0.0) + (0.1 + 1.0 / held) * rows.var(axis=0)
    far = np.square(tests[None, :, None] - means[:, None]) / variances[:, None] + np.log(variances)[:, None]
    with np.errstate(divide="ignore"):
        scores = np.log(count)[:, None] - 0.5 * far.sum(axis=3)
    return scores.argmax(axis=2)


def logistic(used: Coalitions, rows: Vector, classes: Whole, tests: Vector) -> Whole:
    """One logistic regression per class against the others, with a penalty of 1, by ten of Newton's steps."""
    wide, at = (np.concatenate([part, np.ones((len(part), 1))], axis=1) for part in (rows, tests))
    penalty = _RIDGE * np.eye(wide.shape[1])
    scores = []
    for c in range(classes.max() + 1):
        is_it = (classes == c).astype(np.float64)
        weights = np.zeros((len(used), wide.shape[1]))
        for _ in range(10):
            chance = 1.0 / (1.0 + np.exp(-np.clip(weights @ wide.T, -30, 30)))
            slope = (used * (is_it - chance)) @ wide - _RIDGE * weights
            bend = np.einsum("mr,rd,re->mde", used * chance * (1 - chance), wide, wide, optimize=True) + penalty
            weights += np.linalg.solve(bend, slope[:, :, None])[:, :, 0]
        scores.append(weights @ at.T)
    return np.argmax(scores, axis=0)


def tree(used: Coalitions, rows: Vector, classes: Whole, tests: Vector) -> Whole:
    """A decision tree; class 0 without any row."""
    model = sklearn("tree").DecisionTreeClassifier(random_state=0)
    return _one_by_one(model, used, rows, classes, tests).astype(np.int64)


def regression_tree(used: Coalitions, rows: Vector, targets: Vector, tests: Vector) -> Vector:
    """A regression tree with leaves of two rows and more; 0 without any row."""
    model = sklearn("tree").DecisionTreeRegressor(min_samples_leaf=2, random_state=0)
    return _one_by_one(model, used, rows, targets, tests)


def _one_by_one(model: Any, used: Coalitions, rows: Vector, targets: Vector | Whole, tests: Vector) -> Vector:
    found = np.zeros((len(used), len(tests)))
    for one, chosen in zip(found, used, strict=True):
        if chosen.any():
            one[:] = model.fit(rows[chosen], targets[chosen]).predict(tests)
    return found


def ridge(used: Coalitions, rows: Vector, targets: Vector, tests: Vector) -> Vector:
    """Ridge regression with a penalty of 1, of the intercept too."""
    wide, at = (np.concatenate([part, np.ones((len(part), 1))], axis=1) for part in (rows, tests))
    inner = np.einsum("mr,rd,re->mde", used.astype(np.float64), wide, wide, optimize=True)
    weights = np.linalg.solve(inner + _RIDGE * np.eye(wide.shape[1]), ((used * targets) @ wide)[:, :, None])[:, :, 0]
    return weights @ at.T
