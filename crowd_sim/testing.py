"""Checks that a user-defined strategy or game passes; for tests of your own.

A strategy is given as the name that a configuration has for it, ``package.module:Name``, or as the function itself, which must
be found under its module's name. Each check plays a small tournament in this process, so that it asks what a run asks:

- that what it returns has the shape and type that are wanted (else `InputError` says what is wrong);
- that equal runs are equal: no global generator, no state that lasts from run to run;
- that a run of a batch is the run alone: the leading axis of runs is respected;
- that a run that was stopped goes on as if it had not been: what a reward remembers is all that it knows;
- of a behaviour, that a contribution depends on its own worker alone.

>>> from crowd_sim.testing import check_game
>>> from crowd_sim.valuation import AveragingGame
>>> check_game(AveragingGame([[0.0], [1.0], [3.0]], [1.0]))
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.crowd.cohort import Cohort
from crowd_sim.crowd.protocol import Crowd
from crowd_sim.crowd.reduction import fold_shards
from crowd_sim.crowd.shard import Shard
from crowd_sim.engine import simulate
from crowd_sim.errors import InputError
from crowd_sim.host import Host, InProcess, LocalCrowd
from crowd_sim.outcome import Outcome
from crowd_sim.registry import resolve
from crowd_sim.tasks.load import load_task
from crowd_sim.tournament.log import TournamentLog
from crowd_sim.tournament.request import RoundRequest
from crowd_sim.tournament.rules import Rules
from crowd_sim.user_defined import load_object
from crowd_sim.valuation.log import ValuationLog

Named = str | Callable[..., Any]

_RUNS, _WORKERS, _ROUNDS, _GROUPS = 3, 12, 6, 3


def check_grouping(grouping: Named) -> None:
    """Check a `tournament.grouping`: (points, n_groups, draws, rounds) -> the group of every worker.

    Raises:
        AssertionError: what does not hold.
        InputError, StrategyError: what it returned amiss, or raised.
    """
    _check(grouping, "tournament", "grouping")


def check_score(score: Named) -> None:
    """Check a `tournament.score`: (x, target) -> a number for each x; it is also that of a game. Raises as `check_grouping`."""
    function = resolve("score", name_of(score))
    draws = np.random.default_rng(0)
    x, target = draws.normal(size=(2, 5, 4)), draws.normal(size=(2, 1, 4))
    whole = np.asarray(function(x, target))
    assert np.allclose(whole[:, 1:], np.asarray(function(x[:, 1:], target)), rtol=1e-12, atol=1e-12), (
        f"{name_of(score)}: the score of a point must not depend on the other points"
    )
    _check(score, "tournament", "score")


def check_reward(reward: Named) -> None:
    """Check a `tournament.reward`: (points, memory, round) -> points and what to remember. Raises as `check_grouping`."""
    _check(reward, "tournament", "reward")


def check_behaviour(behaviour: Named) -> None:
    """Check a `crowd.behaviour`: a worker, or the workers of a shard, -> contributions. Raises as `check_grouping`."""
    name = name_of(behaviour)
    _check(behaviour, "crowd", "behaviour")
    one, several = (_played("crowd", "behaviour", name, host=host) for host in (InProcess(), _Shards()))
    assert _same(one, several), (
        f"{name}: a contribution must depend on its own worker alone, not on who shares its shard"
    )


def check_source(source: Named, path: str | None = None, n_workers: int = _WORKERS) -> None:
    """Check a `crowd.source`: (path, n_workers, seed) -> a Population, the same each time. Raises as `check_grouping`."""
    name = name_of(source)
    load = resolve("source", name)
    first, second = load(path, n_workers, 0), load(path, n_workers, 0)
    assert len(first.vectors) > n_workers, f"{name}: needs more people than workers, since one is the target"
    assert _equal(first.vectors, second.vectors), f"{name}: must return the same vectors for the same seed"
    assert list(first.ids) == list(second.ids), f"{name}: must return the same identifiers for the same seed"


def check_game(game: Any) -> None:
    """Check a game: `n_players`, and (coalitions bool[m, n]) -> float[m] that depends on each row alone.

    Raises:
        AssertionError: what does not hold.
    """
    n = int(game.n_players)
    assert n >= 1, f"n_players must be at least 1, not {n}"
    draws = np.random.default_rng(0)
    coalitions = draws.random((8, n)) < 0.5
    coalitions[0], coalitions[1] = False, True
    if getattr(game, "noise", None):
        return
    kept = coalitions.copy()
    whole = np.asarray(game(coalitions), dtype=np.float64)
    assert whole.shape == (8,), f"must return a number for each of 8 coalitions, not an array of shape {whole.shape}"
    assert np.isfinite(whole).all(), "must return finite utilities, also of the empty coalition"
    assert _equal(coalitions, kept), "must not change the coalitions that it is given"
    assert _close(game(coalitions), whole), (
        "must answer the same each time; a game of chance says so by its attribute noise"
    )
    order = draws.permutation(8)
    assert _close(game(coalitions[order]), whole[order]), "a coalition's utility must not depend on the other rows"
    assert _close(game(coalitions[:1]), whole[:1]), "must answer for a single coalition"
    assert np.shape(game(coalitions[:0])) == (0,), "must return no number for no coalition"


def name_of(strategy: Named) -> str:
    """The name that a configuration has for a function.

    Raises:
        AssertionError: it has none, as lambdas and functions within functions have.
        InputError: nothing of that name can be loaded.
    """
    name = strategy if isinstance(strategy, str) else f"{strategy.__module__}:{getattr(strategy, '__qualname__', '')}"
    assert name.rpartition(":")[2].isidentifier(), (
        f"{name}: must be defined at the top of a module, to be found by name"
    )
    try:
        found = load_object(name)
    except ValueError as error:
        raise InputError("strategy", name, str(error)) from None
    assert isinstance(strategy, str) or found is strategy, f"{name}: must be found under its name"
    return name


def _check(strategy: Named, section: str, kind: str) -> None:
    """What holds for all strategies of a tournament."""
    name = name_of(strategy)
    resolve(kind, name)
    kept = _Kept()
    whole = _played(section, kind, name, saving=kept)
    assert _same(whole, _played(section, kind, name)), (
        f"{name}: equal runs must be equal; take random numbers from the keyed draws"
    )
    alone = _played(section, kind, name, runs=1)
    assert _equal(whole.history.points[:1], alone.history.points), (
        f"{name}: a run of a batch must be that of the run alone"
    )
    middle = _Kept(kept.rounds[_ROUNDS // 2])
    assert _same(whole, _played(section, kind, name, saving=middle)), (
        f"{name}: a run that goes on from a checkpoint must be that of one that was not stopped; keep no state of your own"
    )


class _Kept:
    """Saves every round, and goes on with one of them."""

    def __init__(self, packed: bytes | None = None) -> None:
        self.packed, self.rounds = packed, list[bytes]()

    def last(self, rules: Rules, n_workers: int) -> TournamentLog | None:
        return TournamentLog.unpack(self.packed, rules, n_workers) if self.packed else None

    def after(self, log: TournamentLog) -> None:
        self.rounds.append(log.pack())

    def stopped(self, log: TournamentLog) -> None:
        """The error goes on to who called."""

    def last_values(self) -> ValuationLog:
        return ValuationLog()

    def after_evaluations(self, log: ValuationLog, over: bool = False) -> None:
        """Nothing is valued."""

    def stopped_valuing(self, log: ValuationLog) -> None:
        """Nothing is valued."""


class _Shards(InProcess):
    """The crowd in shards of one chunk each, in this process."""

    def crowd(self, cohort: Cohort) -> AbstractContextManager[Crowd]:
        shards = tuple((members, spec.build()) for members, spec in cohort.shards(cohort.n_chunks))
        return nullcontext(_CutCrowd(shards[0][1], shards))


@dataclass(frozen=True)
class _CutCrowd(LocalCrowd):
    shards: tuple[tuple[slice, Shard], ...]

    def group_sums(self, request: RoundRequest) -> NDArray[np.float64]:
        parts = [shard.group_sums(request.of(members)) for members, shard in self.shards]
        return fold_shards(parts, self.shard.place.n_chunks)


def _played(
    section: str,
    kind: str,
    name: str,
    *,
    runs: int = _RUNS,
    host: Host | None = None,
    saving: _Kept | None = None,
) -> Outcome:
    content: dict[str, Any] = {
        "runs": runs,
        "crowd": {"n_workers": _WORKERS, "chunk_size": 4},
        "tournament": {"rounds": _ROUNDS, "n_groups": _GROUPS},
        "valuation": {"method": "none"},
    }
    content[section][kind] = name
    config = RunConfig.parse(content)
    (outcome,) = simulate([config], load_task(config), host or InProcess(), saving=saving)
    return outcome


def _same(one: Outcome, other: Outcome) -> bool:
    pairs = ((one.history.points, other.history.points), (one.history.distances, other.history.distances))
    return all(_equal(left, right) for left, right in pairs)


def _equal(left: NDArray[Any], right: NDArray[Any]) -> bool:
    return np.asarray(left).tobytes() == np.asarray(right).tobytes()


def _close(left: Any, right: NDArray[np.float64]) -> bool:
    return np.shape(left) == right.shape and np.allclose(left, right, rtol=1e-9, atol=1e-12)
