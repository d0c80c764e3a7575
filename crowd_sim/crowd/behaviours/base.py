"""Behaviours: what workers contribute to a round instead of their vectors.

A user-defined behaviour is a function, named in `crowd.behaviour` as ``package.module:Name``. It is called where the workers
are, in the process that holds their shard, once per `Worker`:

    def lazy(worker):
        return worker.model if worker.generator().random() < 0.3 else worker.vector

or, marked by `per_shard`, once for all `Members` of a shard in one run, which is faster:

    @per_shard
    def lazy(members):
        idle = members.uniforms(1) < 0.3
        return np.where(idle, members.model, members.vectors)

Results must not depend on how the crowd is cut into shards, so a contribution may depend on its own worker alone, and random
numbers must come from the keyed streams: (seed, run, round, ``Purpose.BEHAVIOUR``, place of the worker).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError, StrategyError
from crowd_sim.random import Purpose, generator, uniforms_of_chunks
from crowd_sim.user_defined import resolve_in

Behaviour = Callable[[Any], NDArray[np.float64]]
"""`Worker` → float64[d], or, marked by `per_shard`, `Members` → float64[m, d]."""

HONEST = "honest"

_F = TypeVar("_F", bound=Callable[..., Any])


def per_shard(behaviour: _F) -> _F:
    """Marks a behaviour that is called once per shard and run, with `Members`, and not once per worker."""
    behaviour.per_shard = True  # type: ignore[attr-defined]
    return behaviour


@dataclass(slots=True)
class Worker:
    """One worker in one round.

    Attributes:
        seed, run, round: of the configuration; the run among its replicates, from 0; the round, from 1.
        place: number of the worker in its run, 0..n − 1: the order of `workers.parquet`.
        id: row of the worker in the source, the column `row` of `workers.parquet`.
        vector: float64[d], read-only.
        model: float64[d], the model the round starts from, read-only.
    """

    seed: int
    run: int
    round: int
    place: int
    id: int
    vector: NDArray[np.float64]
    model: NDArray[np.float64]

    def generator(self) -> np.random.Generator:
        """The worker's random stream in this round, from its start."""
        return generator(self.seed, self.run, Purpose.BEHAVIOUR, self.round, self.place)


@dataclass(frozen=True, eq=False)
class Members:
    """The m workers of a shard in one run and round.

    Attributes:
        seed, run, round: as a `Worker`'s.
        places, ids: int64[m], as a `Worker`'s.
        vectors: float64[m, d].
        model: float64[d], the model the round starts from, read-only.
        facts: what the manager has found out about the crowd, by name.
        weights: float64[m], of bad workers alone.
        strength: of bad workers, the behaviour's own scale.
        n_workers, n_bad: in the whole run.
    """

    seed: int
    run: int
    round: int
    places: NDArray[np.int64]
    ids: NDArray[np.int64]
    vectors: NDArray[np.float64]
    model: NDArray[np.float64]
    facts: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    weights: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    strength: float = 1.0
    n_workers: int = 0
    n_bad: int = 0

    def uniforms(self, n: int, *, lasting: bool = False) -> NDArray[np.float64]:
        """The first `n` numbers in [0, 1) of each worker's random stream in this round, or in all rounds: float64[m, n]."""
        number = 0 if lasting else self.round
        return uniforms_of_chunks(self.seed, self.run, number, Purpose.BEHAVIOUR, self.places, n)

    def normals(self) -> NDArray[np.float64]:
        """Standard normal numbers of the workers' streams in this round: float64[m, d]."""
        return normal(self.uniforms(self.vectors.shape[1]))


def normal(uniforms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard normal numbers, one of each number in [0, 1)."""
    from scipy.special import ndtri  # a tenth of a second that most actors need not spend

    return np.asarray(ndtri(np.maximum(uniforms, 2.0**-54)), dtype=np.float64)


@per_shard
def honest(members: Members) -> NDArray[np.float64]:
    """Everyone contributes its own vector."""
    return members.vectors


BEHAVIOURS: Mapping[str, Behaviour] = {HONEST: honest}


def contributions(
    name: str, members: Members, table: Mapping[str, Behaviour] = BEHAVIOURS, field: str = "crowd.behaviour"
) -> NDArray[np.float64]:
    """What the members contribute: float64[m, d].

    Args:
        name: in the table, or ``package.module:Name``.
        members: whose.
        table: of the built-in behaviours.
        field: where the configuration names it.

    Raises:
        StrategyError: the behaviour raised; with its traceback.
        InputError: nothing of that name can be loaded, or it returned something else than finite numbers in the right shape.
    """
    try:
        behaviour = resolve_in(table, name)
    except ValueError as error:
        raise InputError(field, name, str(error)) from None
    if not getattr(behaviour, "per_shard", False):
        return _one_by_one(field, name, behaviour, members)
    try:
        given = np.asarray(behaviour(members), dtype=np.float64)
    except Exception as error:
        raise _failed(field, name, f"run {members.run}, round {members.round}", error) from error
    if given.shape != members.vectors.shape:
        raise _refused(field, name, f"returned an array of shape {given.shape}", members.vectors.shape)
    return _finite(field, name, given, members)


def _one_by_one(field: str, name: str, behaviour: Behaviour, members: Members) -> NDArray[np.float64]:
    given = np.empty(members.vectors.shape)
    shape = members.model.shape
    common = members.seed, members.run, members.round
    places, ids = members.places.tolist(), members.ids.tolist()
    place, vector = -1, members.model
    try:
        for i, (place, row) in enumerate(zip(places, ids, strict=True)):
            vector = behaviour(Worker(*common, place, row, members.vectors[i], members.model))
            if np.shape(vector) != shape:
                break
            given[i] = vector
    except Exception as error:
        raise _failed(field, name, f"worker {place}, run {members.run}, round {members.round}", error) from error
    if np.shape(vector) != shape:
        raise _refused(field, name, f"returned an array of shape {np.shape(vector)} for worker {place}", shape)
    return _finite(field, name, given, members)


def _finite(field: str, name: str, given: NDArray[np.float64], members: Members) -> NDArray[np.float64]:
    if not np.isfinite(given).all():
        i = int(np.argmin(np.isfinite(given).all(axis=1)))
        what = f"returned a number that is not finite for worker {members.places[i]} in round {members.round}"
        raise _refused(field, name, what, members.model.shape)
    return given


def _refused(field: str, name: str, what: str, shape: tuple[int, ...]) -> InputError:
    return InputError(field, name, f"{what}; must return finite numbers of shape {shape}")


def _failed(field: str, name: str, where: str, error: Exception) -> StrategyError:
    return StrategyError(f"{field} = {name!r} failed ({where})", repr(error), traceback.format_exc())


@dataclass(frozen=True)
class BadBehaviour:
    """A built-in behaviour of bad workers.

    Attributes:
        function: of `Members`, per shard.
        needs: names of the facts about the crowd that it looks at (`crowd_sim.crowd.facts`).
        strength: where the configuration says none.
        most: the largest strength; 0 where it has no use of one.
        alike: whether all its workers contribute the same, whatever they have.
    """

    function: Callable[[Members], NDArray[np.float64]]
    needs: tuple[str, ...] = ()
    strength: float = 1.0
    most: float = inf
    alike: bool = False


def everyone(members: Members, vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """All members contribute the same vector float64[d]: float64[m, d]."""
    return np.broadcast_to(vector, members.vectors.shape)
