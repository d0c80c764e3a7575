"""Explanations of models: of one row, of a model's loss, of its doubt, of an image; players are features or patches.

Absent features are set to the mean (*baseline*), take the place of background rows' (*marginal*), or of background rows' that
are moved by a linear regression on the present ones to where the explained row would have them (*conditional*: of normal
rows, draws of the absent given the present).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from experiments.bench.held_out_games.made import Coalitions, Made, Utility, Vector, Whole, bundled, sklearn

Output = Callable[[Vector], Vector]
"""float64[m, n] -> float64[m]."""

_BACKGROUND = 20
_ENDS = {5: (0, 2, 3, 5, 6, 8), 3: (0, 3, 5, 8)}  # of an image of 8 pixels: where its five or three bands begin and end


def _marginal(output: Output, row: Vector, background: Vector) -> Utility:
    def utility(coalitions: Coalitions) -> Vector:
        rows = np.where(coalitions[:, None], row, background)
        return output(rows.reshape(-1, len(row))).reshape(len(coalitions), -1).mean(axis=1)

    return utility


def _conditional(output: Output, row: Vector, rows: Vector) -> Utility:
    covariance = np.cov(rows, rowvar=False) + 0.05 * np.eye(len(row))
    background = _few(rows)

    def moved(present: Coalitions) -> Vector:
        found = np.where(present, row, background)
        if present.any() and not present.all():
            inner, cross = covariance[np.ix_(present, present)], covariance[np.ix_(present, ~present)]
            found[:, ~present] += (row - background)[:, present] @ np.linalg.solve(inner, cross)
        return found

    def utility(coalitions: Coalitions) -> Vector:
        found = np.concatenate([moved(present) for present in coalitions])
        return output(found).reshape(len(coalitions), -1).mean(axis=1)

    return utility


def _few(rows: Vector) -> Vector:
    return rows[np.linspace(0, len(rows) - 1, _BACKGROUND).astype(int)]


def _classifier(kind: str) -> Any:
    return {
        "boosting": lambda: sklearn("ensemble").GradientBoostingClassifier(n_estimators=40, random_state=0),
        "forest": lambda: sklearn("ensemble").RandomForestClassifier(n_estimators=40, random_state=0),
        "svm": lambda: sklearn("svm").SVC(random_state=0),
        "mlp": lambda: sklearn("neural_network").MLPClassifier(hidden_layer_sizes=(24,), max_iter=400, random_state=0),
        "knn": lambda: sklearn("neighbors").KNeighborsClassifier(9),
        "logistic": lambda: sklearn("linear_model").LogisticRegression(),
        "bayes": lambda: sklearn("naive_bayes").GaussianNB(),
    }[kind]()


def _regressor(kind: str) -> Any:
    return {
        "boosting": lambda: sklearn("ensemble").GradientBoostingRegressor(n_estimators=60, random_state=0),
        "forest": lambda: sklearn("ensemble").RandomForestRegressor(n_estimators=40, random_state=0),
        "mlp": lambda: sklearn("neural_network").MLPRegressor(hidden_layer_sizes=(24,), max_iter=1000, random_state=0),
        "knn": lambda: sklearn("neighbors").KNeighborsRegressor(9),
    }[kind]()


def _of_class(model: Any, which: int) -> Output:
    """The chance of the class ``which``; for a machine without chances its decision function."""
    if hasattr(model, "predict_proba"):
        return lambda rows: model.predict_proba(rows)[:, which]
    many = len(model.classes_) > 2
    return lambda rows: model.decision_function(rows)[:, which] if many else model.decision_function(rows)


def wine_local() -> Iterator[Made]:
    """The chance of a row's own class, marginal; n = 13."""
    rows, classes = bundled("wine")
    for kind, places in (("boosting", (20, 90)), ("forest", (70, 150))):
        model = _classifier(kind).fit(rows, classes)
        for place in places:
            output = _of_class(model, int(classes[place]))
            yield Made(f"{kind}_marginal_{place}", 13, _marginal(output, rows[place], _few(rows)))


def diabetes_local() -> Iterator[Made]:
    """What is predicted of a row, baseline; n = 10."""
    rows, targets = bundled("diabetes")
    for place, kind in enumerate(("boosting", "forest", "knn", "mlp")):
        output = _regressor(kind).fit(rows, targets).predict
        yield Made(f"{kind}_baseline_{place}", 10, _marginal(output, rows[100 * place], np.zeros((1, 10))))


def breast_cancer_local() -> Iterator[Made]:
    """Chance, or distance from the border, of being benign, by the first 15 features, baseline."""
    rows, classes = bundled("breast_cancer", columns=15)
    for place, kind in enumerate(("svm", "mlp", "knn", "boosting")):
        output = _of_class(_classifier(kind).fit(rows, classes), 1)
        yield Made(f"{kind}_baseline_{place}", 15, _marginal(output, rows[120 * place], np.zeros((1, 15))))


def wine_conditional() -> Iterator[Made]:
    """The chance of a row's own class, conditional; n = 13."""
    rows, classes = bundled("wine")
    for kind, place in (("boosting", 40), ("forest", 110), ("svm", 160)):
        output = _of_class(_classifier(kind).fit(rows, classes), int(classes[place]))
        yield Made(f"{kind}_conditional_{place}", 13, _conditional(output, rows[place], rows))


def _explained_loss(predict: Callable[[Vector], Vector], loss: Callable[[Vector], Vector], rows: Vector) -> Utility:
    """Minus the mean loss over ``rows``, of predictions with absent features at 0."""

    def utility(coalitions: Coalitions) -> Vector:
        filled = np.where(coalitions[:, None], rows, 0.0)
        found = predict(filled.reshape(-1, rows.shape[1]))
        return -loss(found.reshape(len(coalitions), len(rows), -1)).mean(axis=1)

    return utility


def diabetes_global() -> Iterator[Made]:
    """Minus the mean squared error on 60 rows, in variances of the target; n = 10."""
    rows, targets = bundled("diabetes")
    scaled = (targets - targets.mean()) / targets.std()
    for kind in ("boosting", "forest", "knn", "mlp"):
        predict = _regressor(kind).fit(rows[::2], scaled[::2]).predict

        def loss(found: Vector) -> Vector:
            return np.square(found[:, :, 0] - scaled[1:121:2])

        yield Made(kind, 10, _explained_loss(predict, loss, rows[1:121:2]))


def wine_global() -> Iterator[Made]:
    """Minus the mean cross entropy on 30 rows; n = 13."""
    rows, classes = bundled("wine")
    tested = slice(1, 179, 6)
    for kind in ("forest", "logistic", "bayes"):
        model = _classifier(kind).fit(rows[::2], classes[::2])

        def loss(found: Vector) -> Vector:
            return -np.log(np.maximum(found[:, np.arange(found.shape[1]), classes[tested]], 1e-3))

        yield Made(kind, 13, _explained_loss(model.predict_proba, loss, rows[tested]))


def breast_cancer_uncertainty() -> Iterator[Made]:
    """A forest's entropy, that of its trees, and the difference of these two, marginal; the first 12 features."""
    rows, classes = bundled("breast_cancer", columns=12)
    forest = sklearn("ensemble").RandomForestClassifier(n_estimators=30, max_depth=6, random_state=0).fit(rows, classes)

    def total(at: Vector) -> Vector:
        return _entropy(forest.predict_proba(at))

    def aleatoric(at: Vector) -> Vector:
        return np.mean([_entropy(tree.predict_proba(at)) for tree in forest.estimators_], axis=0)

    def epistemic(at: Vector) -> Vector:
        return total(at) - aleatoric(at)

    for place, doubt in enumerate((total, aleatoric, epistemic)):
        yield Made(f"{doubt.__name__}_{place}", 12, _marginal(doubt, rows[50 + 200 * place], _few(rows)))


def _entropy(chances: Vector) -> Vector:
    return -(chances * np.log(np.maximum(chances, 1e-12))).sum(axis=1)


def digits_patches() -> Iterator[Made]:
    """The chance of an image's digit, or its decision function, absent patches at the mean image; five by three patches."""
    rows, classes = bundled("digits", standard=False)
    patch = np.empty((8, 8), dtype=np.int64)
    for i, (top, bottom) in enumerate(pairwise(_ENDS[5])):
        for j, (left, right) in enumerate(pairwise(_ENDS[3])):
            patch[top:bottom, left:right] = 3 * i + j
    for place, kind in enumerate(("svm", "mlp", "knn", "logistic")):
        image = 300 * place + 7
        model = _classifier(kind).fit(rows[::3] / 16, classes[::3])
        shown = _marginal(
            _of_class(model, int(classes[image])), rows[image] / 16, rows.mean(axis=0, keepdims=True) / 16
        )
        yield Made(f"{kind}_{image}", 15, _by_group(shown, patch.ravel()))


def _by_group(utility: Utility, group: Whole) -> Utility:
    """The game whose players are groups of players."""
    return lambda coalitions: utility(coalitions[:, group])
