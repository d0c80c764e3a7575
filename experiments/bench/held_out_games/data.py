"""What points, and sets of them, are worth: a model is trained on those of a coalition and scored on rows set aside.

As in shapiq's games of this kind nothing is worth 0: no data, no model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from experiments.bench.held_out_games import classifying
from experiments.bench.held_out_games.made import Coalitions, Made, Utility, Vector, Whole, bundled

_CLASSIFIERS: dict[str, Callable[[Coalitions, Vector, Whole, Vector], Whole]] = {
    "knn": classifying.nearest_class,
    "bayes": classifying.bayes,
    "logistic": classifying.logistic,
    "tree": classifying.tree,
}
_REGRESSORS: dict[str, Callable[[Coalitions, Vector, Vector, Vector], Vector]] = {
    "ridge": classifying.ridge,
    "knn": classifying.nearest,
    "tree": classifying.regression_tree,
}


def _accuracy(kind: str, rows: Vector, classes: Whole, owner: Whole, tested: Whole) -> Utility:
    """On the rows ``tested``; ``owner`` [N] says whose each of the others is, −1: nobody's."""
    trained = np.flatnonzero(owner >= 0)

    def utility(coalitions: Coalitions) -> Vector:
        used = coalitions[:, owner[trained]]
        found = _CLASSIFIERS[kind](used, rows[trained], classes[trained], rows[tested])
        return (found == classes[tested]).mean(axis=1) * coalitions.any(axis=1)

    return utility


def _explained_variance(kind: str, rows: Vector, targets: Vector, owner: Whole, tested: Whole) -> Utility:
    """R², −1 at least, of targets with mean 0 among those that anybody owns."""
    trained = np.flatnonzero(owner >= 0)

    def utility(coalitions: Coalitions) -> Vector:
        used = coalitions[:, owner[trained]]
        found = _REGRESSORS[kind](used, rows[trained], targets[trained], rows[tested])
        squares = np.square(found - targets[tested]).mean(axis=1)
        return np.maximum(1 - squares / targets[tested].var(), -1.0) * coalitions.any(axis=1)

    return utility


def _dealt(n_rows: int, sizes: list[int], n_tested: int, seed: int) -> tuple[Whole, Whole]:
    """``sizes`` of the rows to a player each, and ``n_tested`` others, at random."""
    order = np.random.default_rng(seed).permutation(n_rows)
    owner, ends = np.full(n_rows, -1), np.cumsum([0, *sizes])
    for player, (start, end) in enumerate(pairwise(ends)):
        owner[order[start:end]] = player
    return owner, order[ends[-1] : ends[-1] + n_tested]


def iris_points() -> Iterator[Made]:
    """14 flowers; the accuracy on 60."""
    rows, classes = bundled("iris")
    for seed, kind in enumerate(_CLASSIFIERS):
        owner, tested = _dealt(len(rows), [1] * 14, 60, seed)
        yield Made(f"{kind}_{seed}", 14, _accuracy(kind, rows, classes, owner, tested))


def digits_points() -> Iterator[Made]:
    """12 images of the digits 1, 7 and 8, in ten columns (sums of pixels); the accuracy on 100."""
    rows, classes = bundled("digits", standard=False)
    chosen = np.isin(classes, (1, 7, 8))
    images = rows[chosen].reshape(-1, 8, 8)
    sums = np.concatenate([images.sum(axis=1)[:, 1:6], images.sum(axis=2)[:, 2:7]], axis=1)
    sums = (sums - sums.mean(axis=0)) / sums.std(axis=0)
    names = np.searchsorted([1, 7, 8], classes[chosen])
    for seed, kind in enumerate(_CLASSIFIERS):
        owner, tested = _dealt(len(sums), [1] * 12, 100, 10 + seed)
        yield Made(f"{kind}_{seed}", 12, _accuracy(kind, sums, names, owner, tested))


def linnerud_points() -> Iterator[Made]:
    """15 of 20 athletes, whose weight or waist is predicted from three exercises; R² on the other five."""
    data = bundled("linnerud")
    for seed, (kind, column) in enumerate((("ridge", 0), ("ridge", 1), ("knn", 0), ("knn", 1))):
        owner, tested = _dealt(20, [1] * 15, 5, 20 + seed)
        targets = data[1][:, column] - data[1][owner >= 0, column].mean()
        yield Made(f"{kind}_{column}", 15, _explained_variance(kind, data[0], targets, owner, tested))


def breast_cancer_sets() -> Iterator[Made]:
    """12 sets of 2 to 24 rows of ten columns; the accuracy on 150."""
    rows, classes = bundled("breast_cancer", columns=10)
    for seed, kind in enumerate(_CLASSIFIERS):
        owner, tested = _dealt(len(rows), [2 * size for size in range(1, 13)], 150, 30 + seed)
        yield Made(f"{kind}_{seed}", 12, _accuracy(kind, rows, classes, owner, tested))


def diabetes_sets() -> Iterator[Made]:
    """11 sets of 15 rows; R² on 150."""
    rows, targets = bundled("diabetes")
    for seed, kind in enumerate(_REGRESSORS):
        owner, tested = _dealt(len(rows), [15] * 11, 150, 40 + seed)
        centred = targets - targets[owner >= 0].mean()
        yield Made(f"{kind}_{seed}", 11, _explained_variance(kind, rows, centred, owner, tested))
