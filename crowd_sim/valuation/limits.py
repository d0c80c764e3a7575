"""What an estimator needs of the game and the budget, known before any utility is evaluated."""

from __future__ import annotations

import numpy as np

from crowd_sim.errors import InputError
from crowd_sim.scores import SCORES
from crowd_sim.valuation.exact import MAX_PLAYERS
from crowd_sim.valuation.games import AveragingGame
from crowd_sim.valuation.kernel_shap import minimum_budget


def has_closed_form(score: str) -> bool:
    """Whether the averaging game of a score, given by name, knows its own Shapley values."""
    if score not in SCORES:
        return False
    return AveragingGame(np.zeros((1, 1)), np.zeros(1), score).shapley_values() is not None


def check_budget(method: str, budget: int, n_players: int, closed_form: bool) -> None:
    """Refuse what the estimator would refuse once it starts.

    Args:
        method: a name in `METHODS`.
        budget: utility evaluations.
        n_players: of the game.
        closed_form: whether the game has one.

    Raises:
        InputError: names `method` or `budget`, and what is allowed.
    """
    if method == "closed_form" and not closed_form:
        with_one = ", ".join(name for name in SCORES if has_closed_form(name))
        raise InputError("method", method, f"needs a score with a closed form: {with_one}")
    if method == "exact" and n_players > MAX_PLAYERS:
        raise InputError("method", method, f"enumerates at most {MAX_PLAYERS} workers; there are {n_players}")
    if method == "auto":
        enumerable = n_players <= MAX_PLAYERS and 2**n_players <= budget
        method = "closed_form" if closed_form else "exact" if enumerable else "permutation"
    smallest = {"kernel_shap": minimum_budget, "permutation": _two_pairs}.get(method, lambda _: 0)(n_players)
    if budget < smallest:
        raise InputError("budget", budget, f"must be at least {smallest} for {method} with {n_players} workers")


def _two_pairs(n: int) -> int:
    """Permutation sampling: both ends, the single players, and two pairs for a standard error."""
    return n + 2 + 4 * (n - 2) if n > 2 else 0
