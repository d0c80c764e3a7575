"""Leave-one-out values: what the grand coalition loses without a player."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.valuation.agreement import Seen, unsure, unsure_alone
from crowd_sim.valuation.games import Game, players_of
from crowd_sim.valuation.noise import common_noise, with_draws
from crowd_sim.valuation.request import SMALLEST, Evaluate, Request, chunk_rows
from crowd_sim.valuation.result import ShapleyResult, widening
from crowd_sim.valuation.validation import checked_missing, checked_size, integer


def leave_one_out(
    game: Game, evaluate: Evaluate | None = None, missing: str | float = "raise", repeats: int = 10
) -> ShapleyResult:
    """v(N) − v(N∖{i}) of every player i, from n + 1 evaluations; nothing is drawn, so the standard errors are 0.

    A game with noise is asked ``repeats`` times, each draw for all coalitions; the standard errors are those of the means, as
    wide as Student's t asks for with so few.

    Unlike Shapley values they do not sum to v(N) − v(∅), and of two players who can stand in for each other both get
    nothing.

    Args:
        game: with ``n_players`` and ``__call__(coalitions: bool[m, n]) -> float[m]``.
        evaluate: what evaluates the coalitions, as in `shapley`. Absent: the game is called in this process.
        missing: what a utility that is NaN counts as: ``"raise"`` refuses it; a number is taken in its place.
        repeats: of a game with noise, two at least; of any other once is enough.

    Raises:
        InputError: fewer than one player, utilities of the wrong shape or not finite, or ``missing="skip"``.
    """
    n = players_of(game)
    repeats, noisy, missing = integer("repeats", repeats, 2), common_noise([game]), checked_missing(missing)
    if missing == "skip":
        raise InputError("missing", "skip", "must be raise or a number: leave-one-out can do without no coalition")
    request = Request([game], n, evaluate, budget=n + 1, seed=0, run=0, noisy=noisy, missing=missing, seen=[Seen()])
    if noisy:
        return _of_means(request, repeats)
    utilities = np.concatenate([u[0] for _, u in request.utilities(_all_but_one(n))])
    checked_size(float(np.abs(utilities).max()), SMALLEST)
    return ShapleyResult(utilities[0] - utilities[1:], np.zeros(n), n + 1, "leave_one_out", kind="Leave-one-out")


def _of_means(request: Request, repeats: int) -> ShapleyResult:
    n = request.n_players
    lost = np.empty((repeats, n))
    for draw in range(repeats):
        chunks = (with_draws(chunk, np.full(len(chunk), draw)) for chunk in _all_but_one(n))
        utilities = np.concatenate([u[0] for _, u in request.utilities(chunks)])
        lost[draw] = utilities[0] - utilities[1:]
    cost = repeats * (n + 1)
    stderr = unsure_alone(lost.std(axis=0, ddof=1) / np.sqrt(repeats) * widening(repeats - 1), lost)
    stderr = unsure(stderr, request.seen[0], cost)
    return ShapleyResult(lost.mean(axis=0), stderr, cost, "leave_one_out", kind="Leave-one-out")


def _all_but_one(n: int) -> Iterator[NDArray[np.bool_]]:
    """The grand coalition, then it without each player in turn, in fixed chunks."""
    step = chunk_rows(n)
    for start in range(0, n + 1, step):
        rows = np.arange(start, min(start + step, n + 1))[:, None]
        yield rows - 1 != np.arange(n)
