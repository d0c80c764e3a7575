"""Which features, and which models, to take: players are columns, scored by cross validation, or trained models that vote."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments.bench.held_out_games.made import (
    Coalitions,
    Made,
    Utility,
    Vector,
    Whole,
    bundled,
    share_of_largest,
    sklearn,
)

_FOLDS = 5


def _folds(n_rows: int) -> Iterator[tuple[Coalitions, Coalitions]]:
    """Which rows are trained on, and which tested; every fifth row is a fold."""
    for fold in range(_FOLDS):
        tested = np.arange(n_rows) % _FOLDS == fold
        yield ~tested, tested


def _nearest(rows: Vector, of_neighbours: Any, k: int) -> Utility:
    """``of_neighbours`` of the ``k`` nearest other rows int64[m, N, k] by the features of a coalition."""
    apart = np.square(rows[:, None] - rows)  # [N, N, n]
    apart[np.arange(len(rows)), np.arange(len(rows))] = 1e6  # a row is not its own neighbour

    def utility(coalitions: Coalitions) -> Vector:
        parts = []
        for some in np.array_split(coalitions, -(-len(coalitions) // 64)):
            far = np.einsum("mf,abf->mab", some.astype(np.float64), apart, optimize=True)
            parts.append(of_neighbours(np.argpartition(far, k, axis=2)[:, :, :k]))
        return np.concatenate(parts)

    return utility


def _with_nothing(utility: Utility, worth: float) -> Utility:
    """The same game, no feature being worth ``worth``."""
    return lambda coalitions: np.where(coalitions.any(axis=1), utility(coalitions), worth)


def wine_features() -> Iterator[Made]:
    """The accuracy, of the largest class without features; n = 13."""
    rows, classes = bundled("wine")
    nothing = share_of_largest(classes)

    def right(neighbours: Whole) -> Vector:
        votes = np.stack([(classes[neighbours] == c).sum(axis=2) for c in range(3)])
        return (votes.argmax(axis=0) == classes).mean(axis=1)

    yield Made("knn", 13, _with_nothing(_nearest(rows, right, 5), nothing))
    yield Made("bayes", 13, _with_nothing(_bayes(rows, classes), nothing))
    yield Made("least_squares", 13, _with_nothing(_least_squares_accuracy(rows, classes), nothing))


def _bayes(rows: Vector, classes: Whole) -> Utility:
    """Naive Bayes: log likelihoods of the features are added up."""
    scores = np.empty((len(rows), 3, rows.shape[1]))
    prior = np.empty((len(rows), 3))
    for trained, tested in _folds(len(rows)):
        for c in range(3):
            own = rows[trained & (classes == c)]
            variance = own.var(axis=0) + 1e-3
            scores[tested, c] = -0.5 * (np.square(rows[tested] - own.mean(axis=0)) / variance + np.log(variance))
            prior[tested, c] = np.log(len(own))

    def utility(coalitions: Coalitions) -> Vector:
        found = np.einsum("mf,rcf->mrc", coalitions.astype(np.float64), scores, optimize=True) + prior
        return (found.argmax(axis=2) == classes).mean(axis=1)

    return utility


def _predicted(coalitions: Coalitions, rows: Vector, targets: Vector) -> Vector:
    """Cross-validated predictions float64[m, N, t] of ``targets`` [N, t] by ridge regression, with a penalty of 1."""
    found = np.empty((len(coalitions), *targets.shape))
    for trained, tested in _folds(len(rows)):
        mean, centre = targets[trained].mean(axis=0), rows[trained].mean(axis=0)
        own, present = rows[trained] - centre, coalitions.astype(np.float64)
        inner = (own.T @ own) * present[:, :, None] * present[:, None] + np.eye(rows.shape[1])
        weights = np.linalg.solve(inner, present[:, :, None] * (own.T @ (targets[trained] - mean)))
        found[:, tested] = (rows[tested] - centre) @ weights + mean
    return found


def _least_squares_accuracy(rows: Vector, classes: Whole) -> Utility:
    own = (classes[:, None] == np.arange(3)).astype(np.float64)
    return lambda coalitions: (_predicted(coalitions, rows, own).argmax(axis=2) == classes).mean(axis=1)


def diabetes_features() -> Iterator[Made]:
    """Cross-validated R², 0 without features; n = 10."""
    rows, targets = bundled("diabetes")
    scaled = (targets - targets.mean()) / targets.std()

    def ridge(coalitions: Coalitions) -> Vector:
        return 1 - np.square(_predicted(coalitions, rows, scaled[:, None])[:, :, 0] - scaled).mean(axis=1)

    def nearest(neighbours: Whole) -> Vector:
        return 1 - np.square(scaled[neighbours].mean(axis=2) - scaled).mean(axis=1)

    def tree(coalitions: Coalitions) -> Vector:
        model = sklearn("tree").DecisionTreeRegressor(max_depth=4, random_state=0)
        found = np.zeros((len(coalitions), len(rows)))
        for trained, tested in _folds(len(rows)):
            for one, present in zip(found, coalitions, strict=True):
                if present.any():
                    model.fit(rows[np.ix_(trained, present)], scaled[trained])
                    one[tested] = model.predict(rows[np.ix_(tested, present)])
        return 1 - np.square(found - scaled).mean(axis=1)

    yield Made("ridge", 10, _with_nothing(ridge, 0.0))
    yield Made("knn", 10, _with_nothing(_nearest(rows, nearest, 10), 0.0))
    yield Made("tree", 10, _with_nothing(tree, 0.0))


def _members() -> list[Any]:
    """14 untrained classifiers, in this order."""
    neighbours, trees, linear = sklearn("neighbors"), sklearn("tree"), sklearn("linear_model")
    return [
        linear.LogisticRegression(C=0.01, max_iter=500),
        neighbours.KNeighborsClassifier(1),
        trees.DecisionTreeClassifier(max_depth=1, random_state=0),
        sklearn("naive_bayes").GaussianNB(),
        trees.DecisionTreeClassifier(max_depth=3, random_state=1),
        sklearn("discriminant_analysis").LinearDiscriminantAnalysis(),
        neighbours.KNeighborsClassifier(15),
        trees.DecisionTreeClassifier(random_state=2, max_features=0.3),
        sklearn("ensemble").RandomForestClassifier(10, random_state=0),
        sklearn("neural_network").MLPClassifier(hidden_layer_sizes=(8,), max_iter=300, random_state=0),
        sklearn("ensemble").GradientBoostingClassifier(n_estimators=5, random_state=0),
        linear.LogisticRegression(C=10, max_iter=2000),
        sklearn("naive_bayes").BernoulliNB(),
        sklearn("ensemble").ExtraTreesClassifier(10, random_state=0),
    ]


def _ensembles(data: str, n: int, n_trained: int, n_tested: int) -> Iterator[Made]:
    """Accuracy of the mean chances, of the majority's vote, and the mean log chance; each member has rows of its own.

    Without a member the accuracies are 0 and the chances equal.
    """
    rows, classes = bundled(data)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(rows))
    tested = order[:n_tested]
    chances = []
    for member in _members()[:n]:
        own = rng.choice(order[n_tested:], n_trained, replace=False)
        fitted = member.fit(rows[own], classes[own])
        wide = np.zeros((n_tested, classes.max() + 1))
        wide[:, fitted.classes_] = fitted.predict_proba(rows[tested])
        chances.append(wide)
    each = np.stack(chances)  # [n, T, c]
    votes = (each == each.max(axis=2, keepdims=True)).astype(np.float64)

    def mean(of: Vector, coalitions: Coalitions) -> Vector:
        held = np.maximum(coalitions.sum(axis=1), 1)[:, None, None]
        return np.einsum("mi,itc->mtc", coalitions.astype(np.float64), of, optimize=True) / held

    def soft(coalitions: Coalitions) -> Vector:
        return (mean(each, coalitions).argmax(axis=2) == classes[tested]).mean(axis=1) * coalitions.any(axis=1)

    def majority(coalitions: Coalitions) -> Vector:
        return (mean(votes, coalitions).argmax(axis=2) == classes[tested]).mean(axis=1) * coalitions.any(axis=1)

    def log_score(coalitions: Coalitions) -> Vector:
        own = mean(each, coalitions)[:, np.arange(n_tested), classes[tested]]
        found = np.log(np.maximum(own, 1e-3)).mean(axis=1)
        return np.where(coalitions.any(axis=1), found, -np.log(classes.max() + 1))

    yield Made("soft", n, soft)
    yield Made("majority", n, majority)
    yield Made("log_score", n, log_score)


def breast_cancer_ensembles() -> Iterator[Made]:
    """12 models of 30 rows each, two classes."""
    return _ensembles("breast_cancer", 12, 30, 200)


def digits_ensembles() -> Iterator[Made]:
    """14 models of 60 rows each, ten classes."""
    return _ensembles("digits", 14, 60, 150)
