"""Single games that are easy to name, and the error that ``auto`` is to keep below at each.

    python -m experiments.bench.named_games [--games 10] [--only digits]

explains boosted trees and a forest that scikit-learn fits to its own data (interventional values, exact by `shap`; extra
`dev`), explains boosted trees of the folder of `real_games` where CROWD_SIM_DATA names it, and values an airport, a
coverage game and averaging games with scores of one's own, a cosine and exp(−|mean − target|² / d). It prints the mean
error over games beside the bound, as Markdown. An error is ‖estimate − truth‖ / ‖truth − mean(truth)‖.
"""

from __future__ import annotations

import argparse
import importlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.valuation import AveragingGame, Game, shapley
from experiments.bench.real_games import exact_values, read_games

_BACKGROUND = 20  # rows that stand for absent features

Vector = NDArray[np.float64]
Known = Iterator[tuple[Game, Vector]]
"""Games with their values."""


@dataclass(frozen=True, eq=False)
class Explained:
    """What a model says of a row whose absent features are those of other rows, the mean over these.

    Attributes:
        output: float64[m, n] -> float64[m], of the model.
        row: float64[n].
        background: float64[b, n].
    """

    output: Callable[[Vector], Vector]
    row: Vector
    background: Vector

    @property
    def n_players(self) -> int:
        """Features."""
        return len(self.row)

    def __call__(self, coalitions: NDArray[np.bool_]) -> Vector:
        """float64[m] of bool[m, n]."""
        rows = np.where(coalitions[:, None], self.row, self.background)
        return self.output(rows.reshape(-1, self.n_players)).reshape(len(coalitions), -1).mean(axis=1)


@dataclass(frozen=True, eq=False)
class Airport:
    """The largest of the members' costs float64[n]."""

    costs: Vector

    @property
    def n_players(self) -> int:
        """Landings."""
        return len(self.costs)

    def __call__(self, coalitions: NDArray[np.bool_]) -> Vector:
        """float64[m] of bool[m, n]."""
        return (coalitions * self.costs).max(axis=1)


@dataclass(frozen=True, eq=False)
class Coverage:
    """How many items the members have together; ``has`` is bool[n, items]."""

    has: NDArray[np.bool_]

    @property
    def n_players(self) -> int:
        """Owners."""
        return len(self.has)

    def __call__(self, coalitions: NDArray[np.bool_]) -> Vector:
        """float64[m] of bool[m, n]."""
        return (coalitions.astype(np.float64) @ self.has > 0.5).sum(axis=1).astype(np.float64)


def _explained(
    model: Any,
    output: Callable[[Vector], Vector],
    rows: Vector,
    which: int,
    games: int,
    background: Vector | None = None,
) -> Known:
    import shap

    if background is None:
        background = rows[:: max(1, len(rows) // _BACKGROUND)][:_BACKGROUND]
    explainer = shap.TreeExplainer(model, background, feature_perturbation="interventional")
    for row in rows[1 :: len(rows) // games][:games]:
        found = np.asarray(explainer.shap_values(row[None]))[0]
        yield Explained(output, row, background), found if found.ndim == 1 else found[:, which]


def _sklearn(module: str) -> Any:
    return importlib.import_module(f"sklearn.{module}")  # comes with shap, and has no types


def breast_cancer(games: int) -> Known:
    """Boosted trees, log odds; 30 features."""
    data = _sklearn("datasets").load_breast_cancer()
    model = _sklearn("ensemble").GradientBoostingClassifier(random_state=0).fit(data.data, data.target)
    return _explained(model, model.decision_function, data.data.astype(np.float32).astype(np.float64), 0, games)


def breast_cancer_forest(games: int) -> Known:
    """A forest of 100 trees, the chance of being benign; 30 features."""
    data = _sklearn("datasets").load_breast_cancer()
    model = _sklearn("ensemble").RandomForestClassifier(random_state=0).fit(data.data, data.target)
    rows = data.data.astype(np.float32).astype(np.float64)
    return _explained(model, lambda at: model.predict_proba(at)[:, 1], rows, 1, games)


def digits_boosted(games: int) -> Known:
    """Boosted trees, log odds of a 3; the 54 pixels that vary."""
    data = _sklearn("datasets").load_digits()
    rows = data.data[:, data.data.std(axis=0) > 0.3]
    model = _sklearn("ensemble").GradientBoostingClassifier(random_state=0).fit(rows, data.target == 3)
    return _explained(model, model.decision_function, rows, 0, games)


def digits(games: int) -> Known:
    """A forest of 100 trees, the chance of a 3; the 54 pixels that vary."""
    return _digits(games)


def few_trees(games: int) -> Known:
    """20 trees of depth 5, absent pixels at their means: few terms, of up to five pixels."""
    return _digits(games, n_estimators=20, max_depth=5)


def _digits(games: int, **shape: int) -> Known:
    data = _sklearn("datasets").load_digits()
    rows = data.data[:, data.data.std(axis=0) > 0.3]
    model = _sklearn("ensemble").RandomForestClassifier(random_state=0, **shape).fit(rows, data.target)
    means = rows.mean(axis=0, keepdims=True) if shape else None
    return _explained(model, lambda at: model.predict_proba(at)[:, 3], rows, 3, games, means)


def airport(games: int) -> Known:
    """50 uniform costs."""
    for number in range(games):
        costs = np.random.default_rng(number).uniform(size=50)
        order, found = np.argsort(costs), np.empty(50)
        steps = [high - low for low, high in pairwise([0.0, *costs[order]])]
        found[order] = np.cumsum(np.array(steps) / np.arange(50, 0, -1))
        yield Airport(costs), found


def coverage(games: int) -> Known:
    """100 owners of about 15 of 500 items each; an item counts as much for each of its owners."""
    for number in range(games):
        rng = np.random.default_rng(number)
        has = rng.random((100, 500)) < 0.06 * rng.random((100, 1))
        yield Coverage(has), (has / np.maximum(has.sum(axis=0), 1)).sum(axis=1)


def _cosine(means: Vector, target: Vector) -> Vector:
    return (means * target).sum(axis=1) / (np.linalg.norm(means, axis=1) * np.linalg.norm(target) + 1e-12)


def _closeness(means: Vector, target: Vector) -> Vector:
    return np.exp(-np.square(means - target).mean(axis=1))


def _averaging(score: Callable[[Vector, Vector], Vector]) -> Callable[[int], Known]:
    """16 vectors of 8 coordinates, whose mean is scored."""

    def found(games: int) -> Known:
        for number in range(games):
            rng = np.random.default_rng(number)
            game = AveragingGame(rng.normal(size=(16, 8)), rng.normal(size=8), score)
            yield game, shapley(game, "exact").values

    return found


def _published(family: str) -> Callable[[int], Known]:
    def found(games: int) -> Known:
        folder = Path(os.environ.get("CROWD_SIM_DATA", ".")) / "games"
        if not (folder / family).is_dir():
            return
        boosted = [game for game in read_games(folder, 1000) if game.family == family and "boosting" in game.name]
        for number in range(games):
            game = boosted[number % len(boosted)]
            yield game, exact_values(game)

    return found


BOUNDS: dict[str, tuple[Callable[[int], Known], dict[int, float]]] = {
    "Adult, boosted trees, n = 14": (
        _published("AdultCensus_LocalExplanation_n14"),
        {70: 0.20, 280: 0.030, 1400: 0.0025},
    ),
    "bikes, boosted trees, n = 12": (_published("BikeSharing_LocalExplanation_n12"), {240: 0.008, 1200: 0.0001}),
    "breast cancer, boosted trees, n = 30": (breast_cancer, {600: 0.010, 3000: 0.0018}),
    "digits, forest, n = 54": (digits, {1080: 0.012, 2700: 0.006}),
    "digits, few trees, n = 54": (few_trees, {1080: 0.012, 2700: 0.006}),
    "airport, n = 50": (airport, {2500: 0.012}),
    "coverage, n = 100": (coverage, {5000: 0.04}),
    "cosine averaging, n = 16": (_averaging(_cosine), {80: 0.09, 320: 0.014}),
    "closeness averaging, n = 16": (_averaging(_closeness), {80: 0.09, 320: 0.014}),
}
"""The games, and the error to keep below by the number of evaluations."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=10, help="of each name (default: 10)")
    parser.add_argument("--only", default="", help="names that contain this")
    arguments = parser.parse_args()
    print("| Game | evaluations | mean error | bound | kept | coverage | seconds |\n|--|--:|--:|--:|--|--:|--:|")
    for name, (make, bounds) in BOUNDS.items():
        known = list(make(arguments.games)) if arguments.only in name else []
        for budget, bound in bounds.items() if known else ():
            errors, covered, start = [], [], time.perf_counter()
            for number, (game, truth) in enumerate(known):
                result = shapley(game, budget=budget, seed=number)
                errors.append(np.linalg.norm(result.values - truth) / np.linalg.norm(truth - truth.mean()))
                slack = 1e-9 * np.abs(truth).max()  # what two ways of adding the truth differ by
                covered.append(((result.lower - slack <= truth) & (truth <= result.upper + slack)).mean())
            seconds = (time.perf_counter() - start) / len(known)
            error = float(np.mean(errors))
            shown = f"{error:.3g} | {bound:g} | {'yes' if error <= bound else 'no'} | {np.mean(covered):.2f}"
            print(f"| {name} | {budget:,} | {shown} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
