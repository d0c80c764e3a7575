"""What an earlier result must be for a valuation to go on from it: of this very game, and with nothing else filled in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.valuation.estimators.exact import MAX_PLAYERS
from crowd_sim.valuation.noise import noise_of
from crowd_sim.valuation.request import Request
from crowd_sim.valuation.result import ShapleyResult
from crowd_sim.valuation.utility_table import Evaluated, unpacked

_LOOKED_AT = 1024  # of the first coalitions, among which the ends are
_AGAIN = 3  # coalitions, at most
_SAME = 1e-9
"""Share of the largest utility: on another machine a game may round otherwise."""


def listed(previous: Any) -> list[Any]:
    """Earlier results as a list.

    Raises:
        InputError: something else, a single result, say.
    """
    if isinstance(previous, ShapleyResult) or not isinstance(previous, Iterable):
        raise InputError("previous", type(previous).__name__, "must be a list of results, one for each game")
    return list(previous)


def check_same_games(request: Request, previous: Sequence[Any], most: float) -> list[int]:
    """Ask each game again for what its earlier result says of a coalition, the grand one and the empty one.

    All three are asked where ``most``, the evaluations of the whole valuation, leaves room for them besides what is known or
    what an enumeration takes; else as many as it leaves room for, and at least one: no result of another game may pass.

    What cannot be a result of these games, by its players or its budget, is left to who looks its evaluations up; so are games
    that answer anew each time.

    Returns:
        How many coalitions each game was asked for again.

    Raises:
        InputError: a result of another game, or one in which other numbers have taken the place of missing utilities.
    """
    found = [result.evaluated if isinstance(result, ShapleyResult) else None for result in previous]
    known = [each for each in found if each is not None]
    asked = [0] * len(request.games)
    if len(found) != len(request.games) or len(known) < len(found):
        return asked
    if any(each.n_players != request.width or each.budget > request.budget for each in known):
        return asked
    for g, evaluated in enumerate(known):
        field = "previous" if len(known) == 1 else f"previous[{g}]"
        if not isinstance(evaluated.missing, str) and evaluated.missing != request.missing:
            allowed = f"must be {evaluated.missing}, which in {field} has taken the place of what was missing"
            raise InputError("missing", request.missing, allowed)
        if noise_of(request.games[g]) != "fresh":
            asked[g] = _check_same(request.only([g]), evaluated, field, _room(request, evaluated, most))
    return asked


def _room(request: Request, evaluated: Evaluated, most: float) -> int:
    """How many of the three."""
    taken = float(len(evaluated))
    if not request.noisy and request.n_players <= MAX_PLAYERS and 2**request.n_players <= most:
        taken = float(2**request.n_players)
    return int(min(max(max(most, evaluated.budget) - taken, 1), _AGAIN))


def _check_same(request: Request, evaluated: Evaluated, field: str, count: int) -> int:
    rows = unpacked(evaluated.coalitions[:_LOOKED_AT], evaluated.n_players)
    sizes = rows[:, : request.n_players].sum(axis=1)
    inner = np.flatnonzero((sizes > 0) & (sizes < request.n_players))
    ends = [*np.flatnonzero(sizes == request.n_players)[:1], *np.flatnonzero(sizes == 0)[:1]]
    chosen = [*inner[-1:], *ends][:count]
    if not chosen:
        return 0
    asked: NDArray[np.bool_] = np.ascontiguousarray(rows[chosen])
    known = evaluated.utilities[chosen]
    ((_, answers),) = replace(request, missing="skip", admit=None).utilities([asked])
    unlike = np.abs(answers[0] - known) > _SAME * np.nanmax(np.abs(evaluated.utilities), initial=0.0)
    if unlike.any():
        first = int(unlike.argmax())
        had, says = _told_apart(float(known[first]), float(answers[0, first]))
        size = sizes[chosen[first]]
        allowed = f"must be of this very game: for a coalition of {size} it has {had}, and the game says {says}"
        raise InputError(field, None, allowed)
    return len(chosen)


def _told_apart(one: float, other: float) -> tuple[str, str]:
    """Both in six digits, or in all where these are the same."""
    short = f"{one:g}", f"{other:g}"
    return short if short[0] != short[1] else (repr(one), repr(other))
