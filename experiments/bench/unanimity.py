"""Generic games: random sums of unanimity games, ours against the public packages at equal budget.

    python -m experiments.bench.unanimity

prints the mean over 20 games of ‖estimate − truth‖ / ‖truth − mean(truth)‖, and the processor's seconds per game, as
Markdown. It needs the packages `shap` and `shapiq` (extra `dev`). Every budget counts all evaluations, those of the ends
included.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from crowd_sim.valuation import shapley_many
from crowd_sim.valuation.estimators.surrogate.estimator import surrogate
from crowd_sim.valuation.request import Request

N_PLAYERS = 16
N_TERMS = 30
BUDGETS = (500, 2_000, 8_000)
KINDS = ("sizes 1 to 16", "random subsets", "sizes 1 to 5")
"""How the members of a term are drawn: a uniform size and normal weights; every subset alike and uniform weights; a size
of at most 5 and normal weights."""

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SumOfUnanimity:
    """v(S) = Σ of the weights of the terms whose members are all in S; a term's members share its weight.

    Attributes:
        members: bool[terms, n].
        weights: float64[terms].
    """

    members: NDArray[np.bool_]
    weights: Vector

    @property
    def n_players(self) -> int:
        """Number of players."""
        return self.members.shape[1]

    def __call__(self, coalitions: NDArray[np.bool_]) -> Vector:
        """Utilities float64[m] of ``coalitions`` [m, n]."""
        inside = np.asarray(coalitions, dtype=np.float32) @ self.members.T.astype(np.float32)
        return (inside > self.members.sum(axis=1) - 0.5) @ self.weights

    def shapley_values_known(self) -> Vector:
        """The truth float64[n]; under a name that no estimator looks for."""
        return (self.members * (self.weights / self.members.sum(axis=1))[:, None]).sum(axis=0)


def random_game(kind: str, number: int, n: int = N_PLAYERS, n_terms: int = N_TERMS) -> SumOfUnanimity:
    """A game of a kind in `KINDS`."""
    rng = np.random.default_rng([number, KINDS.index(kind)])
    members = np.zeros((n_terms, n), dtype=np.bool_)
    for term in members:
        if kind == "sizes 1 to 16":
            size = int(rng.integers(1, n + 1))
        elif kind == "random subsets":
            size = max(int(rng.binomial(n, 0.5)), 1)
        else:
            size = int(rng.integers(1, 6))
        term[rng.choice(n, size, replace=False)] = True
    weights = rng.uniform(-1.0, 1.0, n_terms) if kind == "random subsets" else rng.normal(size=n_terms)
    return SumOfUnanimity(members, weights)


def ours(method: str, game: SumOfUnanimity, budget: int, seed: int) -> Vector:
    """An estimator of this package; the surrogate by its own name, whether or not it is registered."""
    if method == "surrogate":
        return surrogate(Request([game], game.n_players, None, budget, seed, 0))[0].values
    return shapley_many([game], method, budget, seed)[0].values


def of_shap(game: SumOfUnanimity, budget: int, seed: int) -> Vector:
    """Kernel SHAP of `shap`, which counts neither end."""
    import shap

    np.random.seed(seed)  # noqa: NPY002 the package draws from the global state
    explainer = shap.KernelExplainer(game, np.zeros((1, game.n_players)))
    return explainer.shap_values(np.ones((1, game.n_players)), nsamples=budget - 2, l1_reg=False, silent=True)[0]


def of_shapiq(pairing: bool, game: SumOfUnanimity, budget: int, seed: int) -> Vector:
    """Kernel SHAP of `shapiq`."""
    import shapiq

    n = game.n_players
    found = shapiq.KernelSHAP(n=n, pairing_trick=pairing, random_state=seed).approximate(budget, game)
    return np.array([found[(i,)] for i in range(n)])


ESTIMATORS: dict[str, Callable[[SumOfUnanimity, int, int], Vector]] = {
    "surrogate": partial(ours, "surrogate"),
    "permutation": partial(ours, "permutation"),
    "shap": of_shap,
    "shapiq KernelSHAP": partial(of_shapiq, False),
    "shapiq, paired": partial(of_shapiq, True),
}


def measure(kind: str, budget: int, n_games: int) -> dict[str, tuple[float, float]]:
    """Mean error and seconds per game of every estimator."""
    found = {}
    games = [random_game(kind, number) for number in range(n_games)]
    for name, estimate in ESTIMATORS.items():
        start = time.process_time()
        values = [estimate(game, budget, number) for number, game in enumerate(games)]
        seconds = (time.process_time() - start) / n_games
        truths = [game.shapley_values_known() for game in games]
        errors = [
            float(np.linalg.norm(v - truth) / np.linalg.norm(truth - truth.mean()))
            for v, truth in zip(values, truths, strict=True)
        ]
        found[name] = float(np.mean(errors)), seconds
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=20, help="games of each kind (default: 20)")
    n_games = parser.parse_args().games
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    for estimate in ESTIMATORS.values():  # imports and compilation are nobody's seconds
        estimate(random_game(KINDS[0], 0), 200, 0)
    print(f"{n_games} games of each kind, {N_PLAYERS} players, {N_TERMS} terms; {os.cpu_count()} cores\n")
    print("| Terms | Evaluations | " + " | ".join(ESTIMATORS) + " |")
    print("|--|--:|" + "--:|" * len(ESTIMATORS))
    seconds = {}
    for kind in KINDS:
        for budget in BUDGETS:
            found = measure(kind, budget, n_games)
            cells = [f"{error:.3f}" if error > 0.1 else f"{error:.4f}" for error, _ in found.values()]
            seconds[kind, budget] = [f"{spent:.3f}" for _, spent in found.values()]
            print(f"| {kind} | {budget:,} | " + " | ".join(cells) + " |", flush=True)
    for budget in BUDGETS:
        print(f"| seconds per game | {budget:,} | " + " | ".join(seconds[KINDS[0], budget]) + " |")


if __name__ == "__main__":
    main()
