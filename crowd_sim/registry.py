"""Strategies by name: a built-in one, or a user-defined one as ``package.module:Name``.

What a user-defined source, grouping, score or reward raises and returns is checked and answered for by its name; built-in
ones are called as they are. Numbers out of place would not be noticed further on: sums are made without bounds. Behaviours,
which are called most often, check what they return themselves (`crowd_sim.crowd.behaviours`).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.arrays import is_name, packable
from crowd_sim.crowd.behaviours import BAD_BEHAVIOURS, BEHAVIOURS
from crowd_sim.crowd.population import Population
from crowd_sim.crowd.sources.by_name import SOURCES
from crowd_sim.crowd.verifiers import FIELD as VERIFIER
from crowd_sim.crowd.verifiers import VERIFIERS
from crowd_sim.errors import InputError, StrategyError
from crowd_sim.scores import SCORES
from crowd_sim.tournament.grouping import GROUPINGS
from crowd_sim.tournament.groups import Groups
from crowd_sim.tournament.rewards import REWARDS
from crowd_sim.tournament.state import Memory, Round
from crowd_sim.tournament.streams import RoundStreams
from crowd_sim.user_defined import check_name, resolve_in
from crowd_sim.valuation import METHODS

STRATEGIES: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "source": SOURCES,
    "behaviour": BEHAVIOURS,
    "bad.behaviour": {name: behaviour.function for name, behaviour in BAD_BEHAVIOURS.items()},
    "grouping": GROUPINGS,
    "score": SCORES,
    "reward": REWARDS,
    "verifier.kind": VERIFIERS,
}
NAMES: Mapping[str, list[str]] = {kind: list(table) for kind, table in STRATEGIES.items()} | {
    "method": [*METHODS, "none"]
}


FIELDS: Mapping[str, str] = {
    kind: f"{'crowd' if kind in ('source', 'behaviour', 'bad.behaviour') else 'tournament'}.{kind}"
    for kind in STRATEGIES
} | {"verifier.kind": VERIFIER}
"""Where a configuration names a strategy of a kind."""


def check_strategy(kind: str, name: str) -> str:
    """`name`, if it may be that of a strategy of that kind; nothing is imported.

    Raises:
        ValueError: what is allowed.
    """
    if ":" in name and kind in STRATEGIES:
        check_name(name)
    elif name not in NAMES[kind]:
        other = ", or user-defined as package.module:Name" if kind in STRATEGIES else ""
        raise ValueError(f"must be one of {', '.join(NAMES[kind])}{other}")
    return name


def resolve(kind: str, name: str) -> Callable[..., Any]:
    """The strategy of a name; a user-defined one through what checks it, see `checked`.

    Raises:
        InputError: nothing of that name and kind can be loaded.
    """
    try:
        found = resolve_in(STRATEGIES[kind], name)
    except ValueError as error:
        raise InputError(FIELDS[kind], name, str(error)) from None
    return found if name in STRATEGIES[kind] else checked(kind, name, found)


_Function = Callable[..., Any]


def checked(kind: str, name: str, function: _Function) -> _Function:
    """The user-defined strategy, called through what checks it; kinds that are checked elsewhere as they are.

    The result raises:
        StrategyError: the strategy raised; with its traceback.
        InputError: it returned something else than it must.
    """
    # a partial of functions that have names: pickle has to take it to where games are evaluated
    return _Named(_CHECKED[kind], name, function) if kind in _CHECKED else function


def _source(name: str, function: _Function, path: str | None, n_workers: int, seed: int) -> Population:
    try:
        given = _called("source", name, "", function, path, n_workers, seed)
    except StrategyError as error:
        if isinstance(error.__cause__, InputError):  # what it reads, or what its people are, can be mended: one line
            raise InputError(FIELDS["source"], name, str(error.__cause__)) from None
        raise
    if not isinstance(given, Population):
        raise _refused("source", name, "", _described(given), "must return a crowd_sim.crowd.population.Population")
    return given


def _grouping(
    name: str, function: _Function, points: NDArray[np.float64], n_groups: int, draws: RoundStreams, rounds: int
) -> Groups:
    where = f"round {draws.round}"
    given = _called("grouping", name, where, function, points, n_groups, draws, rounds)
    must = f"must return for every worker its group, integers 0 to {n_groups - 1} of shape {points.shape}"
    if isinstance(given, Groups):  # of a built-in one, which it called
        given = given.of_everyone()
    found = _array(given)
    if found is None or found.dtype.kind not in "iu":
        raise _refused("grouping", name, where, _described(given), must)
    if found.shape != points.shape:
        raise _refused("grouping", name, where, f"an array of shape {found.shape}", must)
    low, high = int(found.min()), int(found.max())
    if low < 0 or high >= n_groups:
        raise _refused("grouping", name, where, f"the group {low if low < 0 else high}", must)
    return Groups(found.astype(np.int64, copy=False))


def _score(name: str, function: _Function, x: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    given = _called("score", name, "", function, x, target)
    shape = np.broadcast_shapes(x.shape, target.shape)[:-1]
    scores = _numbers("score", name, "", given, shape)
    # outputs of a model that has diverged have no vectors, and so no scores
    if not (fine := np.isfinite(scores)).all() and not (fine | ~np.isfinite(x).all(axis=-1)).all():
        raise _refused("score", name, "", "a number that is not finite", _finite(shape))
    return scores


def _reward(
    name: str, function: _Function, points: NDArray[np.float64], memory: Memory, played: Round
) -> tuple[NDArray[np.float64], Memory]:
    where = f"round {played.round}"
    given = _called("reward", name, where, function, points, memory, played)
    if not isinstance(given, tuple | list) or len(given) != 2:
        must = "must return a pair: the new points and what to remember"
        raise _refused("reward", name, where, _described(given), must)
    earned = _numbers("reward", name, where, given[0], points.shape)
    if not np.isfinite(earned).all():
        raise _refused("reward", name, where, "points that are not finite", _finite(points.shape))
    return earned, _memory(name, where, given[1])


def _memory(name: str, where: str, given: Any) -> Memory:
    """What a reward wants to remember, as it will find it again, also after its run was stopped."""
    if given is None:
        return {}
    must = "what to remember must be None, or arrays and numbers by name"
    if not isinstance(given, Mapping):
        raise _refused("reward", name, where, f"{_described(given)} to remember", must)
    found = {}
    for key, value in given.items():
        array = packable(value)
        if array is None or not is_name(key):
            raise _refused("reward", name, where, f"{_described(value)} named {key!r} to remember", must)
        found[key] = array
    return found


class _Named(partial[Any]):
    """Shown, as in an error, by the name that its user knows."""

    def __repr__(self) -> str:
        return str(self.args[0])


_CHECKED: Mapping[str, _Function] = {"source": _source, "grouping": _grouping, "score": _score, "reward": _reward}


def _called(kind: str, name: str, where: str, function: _Function, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception as error:
        place = f"{FIELDS[kind]} = {name!r} failed{where and f' ({where})'}"
        raise StrategyError(place, repr(error), traceback.format_exc()) from error


def _numbers(kind: str, name: str, where: str, given: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    found = _array(given)
    if found is None or found.dtype.kind not in "biuf":
        raise _refused(kind, name, where, _described(given), _finite(shape))
    if found.shape != shape:
        raise _refused(kind, name, where, f"an array of shape {found.shape}", _finite(shape))
    return found.astype(np.float64, copy=False)


def _array(given: Any) -> NDArray[Any] | None:
    try:
        return given.astype(np.float64).filled(np.nan) if np.ma.is_masked(given) else np.asarray(given)
    except ValueError:  # rows of different lengths
        return None


def _finite(shape: tuple[int, ...]) -> str:
    return f"must return finite numbers of shape {shape}"


def _described(given: Any) -> str:
    kind = getattr(given, "dtype", None)
    return type(given).__name__ if kind is None else f"an array of {kind}"


def _refused(kind: str, name: str, where: str, what: str, must: str) -> InputError:
    return InputError(FIELDS[kind], name, f"returned {what}{where and f' in {where}'}; {must}")
