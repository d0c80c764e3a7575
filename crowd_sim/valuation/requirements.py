"""What an estimator needs of the game and the budget, known before any utility is evaluated."""

from __future__ import annotations

import numpy as np

from crowd_sim.errors import InputError
from crowd_sim.scores import SCORES
from crowd_sim.valuation.estimators.chains.estimator import FEWEST_PLAYERS as FEWEST_OF_CHAINS
from crowd_sim.valuation.estimators.chains.estimator import minimum_budget as least_of_chains
from crowd_sim.valuation.estimators.exact import MAX_PLAYERS
from crowd_sim.valuation.estimators.kernel_shap.estimator import minimum_budget as least_of_kernel_shap
from crowd_sim.valuation.estimators.paired_regression import MAX_PLAYERS as MOST_OF_PAIRED
from crowd_sim.valuation.estimators.paired_regression import minimum_budget as least_of_paired
from crowd_sim.valuation.estimators.permutation.estimator import minimum_budget as least_of_permutation
from crowd_sim.valuation.estimators.stratified.estimator import KNOWN_SCORES
from crowd_sim.valuation.estimators.stratified.estimator import minimum_budget as least_of_stratified
from crowd_sim.valuation.estimators.surrogate.estimator import MAX_PLAYERS as MOST_OF_SURROGATE
from crowd_sim.valuation.estimators.surrogate.estimator import minimum_budget as least_of_surrogate
from crowd_sim.valuation.games import AveragingGame

_FEWEST_OF_SURROGATE = 5
_PAYS = 8  # evaluations a player from which permutation sampling is the worse with noise (`python -m experiments.bench.noise`)


def has_closed_form(score: str) -> bool:
    """Whether the averaging game of a score, given by name, knows its own Shapley values."""
    if score not in SCORES:
        return False
    return AveragingGame(np.zeros((1, 1)), np.zeros(1), score).shapley_values() is not None


def automatic(n_players: int, budget: int, stratifies: bool, *, featured: bool = False) -> str:
    """The name of the method that ``auto`` takes for a game without a closed form.

    Enumeration where the budget covers it; stratified regression for the games it knows; else the surrogate, which is more
    accurate per evaluation than permutation sampling wherever it can be fitted (`python -m experiments.bench.unanimity`), and
    above its 500 players chains (`python -m experiments.bench.many_players`).

    Args:
        n_players: of the game.
        budget: utility evaluations.
        stratifies: whether stratified regression knows the game's score.
        featured: whether the players' features are given.
    """
    if n_players <= MAX_PLAYERS and 2**n_players <= budget:
        return "exact"
    if stratifies:
        return "stratified"
    if n_players > MOST_OF_SURROGATE:
        # of a budget too small for both, that with the smaller least one says what it is
        least = min(least_of_chains(n_players, featured=featured), least_of_permutation(n_players))
        chained = least_of_chains(n_players, featured=featured) <= max(budget, least)
        return "chains" if chained else "permutation"
    fits = _FEWEST_OF_SURROGATE <= n_players <= MOST_OF_SURROGATE and budget >= least_of_surrogate(n_players)
    return "surrogate" if fits else "permutation"


def automatic_where_noisy(n_players: int, budget: int, *, skips: bool) -> str:
    """The name of the method that ``auto`` takes for a game with noise, or one whose missing utilities are skipped."""
    if budget < max(least_of_paired(n_players), _PAYS * n_players):
        return "permutation"
    if not skips and _FEWEST_OF_SURROGATE <= n_players <= MOST_OF_SURROGATE:
        return "surrogate"
    return "paired_regression" if n_players <= MOST_OF_PAIRED else "permutation"


def check_budget(method: str, budget: int, n_players: int, score: str | None) -> None:
    """Refuse what the estimator would refuse once it starts.

    Args:
        method: a name in `METHODS`.
        budget: utility evaluations.
        n_players: of the game.
        score: the name of the averaging game's score; None for any other game.

    Raises:
        InputError: names `method` or `budget`, and what is allowed.
    """
    closed_form = score is not None and has_closed_form(score)
    if method == "closed_form" and not closed_form:
        with_one = ", ".join(name for name in SCORES if has_closed_form(name))
        raise InputError("method", method, f"needs a score with a closed form: {with_one}")
    if method == "exact" and n_players > MAX_PLAYERS:
        raise InputError("method", method, f"enumerates at most {MAX_PLAYERS} workers; there are {n_players}")
    if method == "chains" and n_players < FEWEST_OF_CHAINS:
        raise InputError("method", method, f"takes at least {FEWEST_OF_CHAINS} workers; there are {n_players}")
    if method == "surrogate" and n_players > MOST_OF_SURROGATE:
        raise InputError("method", method, f"takes at most {MOST_OF_SURROGATE} workers; there are {n_players}")
    if method == "paired_regression" and n_players > MOST_OF_PAIRED:
        raise InputError("method", method, f"takes at most {MOST_OF_PAIRED} workers; there are {n_players}")
    if method == "stratified" and score not in KNOWN_SCORES:
        raise InputError("method", method, f"needs one of the scores {', '.join(KNOWN_SCORES)}")
    if method == "auto":
        method = "closed_form" if closed_form else automatic(n_players, budget, score in KNOWN_SCORES)
    least = {
        "chains": least_of_chains,
        "kernel_shap": least_of_kernel_shap,
        "paired_regression": least_of_paired,
        "permutation": least_of_permutation,
        "stratified": least_of_stratified,
        "surrogate": least_of_surrogate,
    }
    smallest = least[method](n_players) if method in least else 0
    if budget < smallest:
        raise InputError("budget", budget, f"must be at least {smallest} for {method} with {n_players} workers")
