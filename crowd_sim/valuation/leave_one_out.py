"""Leave-one-out values: what the grand coalition loses without a player."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from crowd_sim.valuation.games import Game, players_of
from crowd_sim.valuation.request import Evaluate, Request, chunk_rows
from crowd_sim.valuation.result import ShapleyResult


def leave_one_out(game: Game, evaluate: Evaluate | None = None) -> ShapleyResult:
    """v(N) − v(N∖{i}) of every player i, from n + 1 evaluations; nothing is drawn, so the standard errors are 0.

    Unlike Shapley values they do not sum to v(N) − v(∅), and of two players who can stand in for each other both get
    nothing.

    Args:
        game: with ``n_players`` and ``__call__(coalitions: bool[m, n]) -> float[m]``.
        evaluate: what evaluates the coalitions, as in `shapley`. Absent: the game is called in this process.

    Raises:
        InputError: fewer than one player, or utilities of the wrong shape or not finite.
    """
    n = players_of(game)
    request = Request(games=[game], n_players=n, evaluate=evaluate, budget=n + 1, seed=0, run=0)
    utilities = np.concatenate([u[0] for _, u in request.utilities(_all_but_one(n))])
    return ShapleyResult(utilities[0] - utilities[1:], np.zeros(n), n + 1, "leave_one_out")


def _all_but_one(n: int) -> Iterator[NDArray[np.bool_]]:
    """The grand coalition, then it without each player in turn, in fixed chunks."""
    step = chunk_rows(n)
    for start in range(0, n + 1, step):
        rows = np.arange(start, min(start + step, n + 1))[:, None]
        yield rows - 1 != np.arange(n)
