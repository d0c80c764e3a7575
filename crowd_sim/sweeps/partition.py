"""A sweep cut up: an order in which points with work in common stand together, shards of it, batches of these."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.sweeps.plan import Sweep
from crowd_sim.tasks.load import task_key

_AT_A_TIME = 1 << 16
"""Points whose numbers are in memory at a time."""

# Outside stands what batches cannot share (people, the model to tune), then the crowd, then what makes games, as a batch values
# a game once, then what makes shapes, as points of one shape play as one. A seed makes games, too, but only where games are
# valued.
_PEOPLE = ("crowd.source", "crowd.path", "crowd.seed")
_MODELS = (
    *("task.model", "task.device", "task.dtype", "task.threads", "task.prompt_template", "task.rank", "task.alpha"),
    *("task.target_modules", "task.max_tokens", "task.long_texts", "task.phi.kind", "task.phi.model"),
    *("task.expert", "task.question", "task.verifier.kind", "task.verifier.pattern", "task.verifier.n_outputs"),
)
_GAMES = ("tournament.score", "valuation.method", "valuation.budget", "valuation.kernel_shap_budget", "seed")
_SHAPES = ("tournament.rounds", "tournament.n_groups", "tournament.reward", "tournament.initial_range")

_TEXTS = 16
"""Runs of texts in a batch at most: the adapters of all are in memory, and their checkpoints on disk, at a time."""

_BLOCKS_PER_SHARD = 8
"""Blocks that a shard has at least, where the sweep allows: dear and cheap points are then dealt evenly."""


@dataclass(frozen=True)
class Shard:
    """The share of a sweep that one of several independent commands does.

    Attributes:
        number: which one, from 1; of: how many there are.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """A shard from text such as ``3/10``.

        Raises:
            InputError: it is not that.
        """
        number, _, of = text.partition("/")
        if number.isdecimal() and of.isdecimal() and len(text) < 20 and 1 <= int(number) <= int(of):
            return cls(int(number), int(of))
        raise InputError("--shard", text, "must be i/k with 1 ≤ i ≤ k, for example 3/10")


WHOLE = Shard(1, 1)


def in_order(plan: Sweep, shard: Shard = WHOLE) -> Iterator[NDArray[np.int64]]:
    """The numbers of a shard's points, int64[≤ 65,536] at a time, those that share people, games or shape together.

    Every point is in exactly one of the `shard.of` shards, whatever the actors' configuration says.
    """
    axes = _axes(plan)
    block = _block([length for length, _ in axes], shard.of)
    at_a_time = max(1, _AT_A_TIME // block)
    first_blocks = range(shard.number - 1, -(-plan.n_points // block), at_a_time * shard.of)
    for first in first_blocks:
        blocks = first + shard.of * np.arange(at_a_time)
        for start in range(0, block, _AT_A_TIME):
            inside = np.arange(start, min(block, start + _AT_A_TIME))
            places = (blocks[:, None] * block + inside).ravel()
            yield _numbers(axes, places[places < plan.n_points])


def batches(
    plan: Sweep, max_runs: int, shard: Shard = WHOLE, skip: NDArray[np.bool_] | None = None
) -> Iterator[NDArray[np.int64]]:
    """Batches of points of the same people, of at most `max_runs` runs or of one point: their numbers, int64[m].

    Args:
        plan: the sweep.
        max_runs: room of a batch.
        shard: the share of the points to cut.
        skip: bool[points], the points to leave out.
    """
    swept_runs = plan.fields.get("runs")
    crowd, key = -1, None
    batch: list[int] = []
    room, batch_key = 0, None
    for numbers in in_order(plan, shard):
        todo = numbers if skip is None else numbers[~skip[numbers]]
        runs = (
            np.full(len(todo), plan.first.runs) if not swept_runs else np.array(swept_runs)[plan.places("runs", todo)]
        )
        for number, n_runs, code in zip(todo.tolist(), runs.tolist(), _crowd_codes(plan, todo).tolist(), strict=True):
            if code != crowd:
                crowd, key = code, task_key(plan.points[number].config)
            if batch and (key != batch_key or n_runs > room):
                yield np.array(batch)
                batch = []
            if not batch:
                room, batch_key = min(max_runs, _TEXTS) if plan.first.task.kind != "vector" else max_runs, key
            batch.append(number)
            room -= n_runs
    if batch:
        yield np.array(batch)


def _axes(plan: Sweep) -> list[tuple[int, int]]:
    """Length and stride of every swept field, outermost first."""
    lengths = [len(values) for values in plan.fields.values()]
    strides = [math.prod(lengths[i + 1 :]) for i in range(len(lengths))]
    methods = plan.fields.get("valuation.method", [plan.first.valuation.method])
    outermost = [*_PEOPLE, *_MODELS, "crowd", *(() if set(methods) == {"none"} else _GAMES), *_SHAPES]

    def rank(field: str) -> int:
        kinds = (field, field.split(".", maxsplit=1)[0])  # a crowd's field that is not one of _PEOPLE counts as crowd
        return next((outermost.index(kind) for kind in kinds if kind in outermost), len(outermost))

    ranked = sorted(zip(map(rank, plan.fields), lengths, strides, strict=True), key=lambda axis: axis[0])
    return [(length, stride) for _, length, stride in ranked]


def _block(lengths: list[int], n_shards: int) -> int:
    """Points that stay together in a shard: whole innermost axes, as far as every shard then has its blocks."""
    n_points = math.prod(lengths)
    if n_shards == 1:
        return n_points
    most, block = max(1, n_points // (n_shards * _BLOCKS_PER_SHARD)), 1
    for length in reversed(lengths):
        if block * length > most:
            break
        block *= length
    return most // block * block


def _numbers(axes: list[tuple[int, int]], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers of the points at places int64[m] of the order."""
    numbers = np.zeros_like(places)
    for length, stride in reversed(axes):
        numbers += places % length * stride
        places = places // length
    return numbers


def _crowd_codes(plan: Sweep, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """For points int64[m], numbers int64[m] that are equal where their crowds and the models that are tuned are."""
    codes = np.zeros_like(numbers)
    for field, values in plan.fields.items():
        # a group of fields may be swept as one: `crowd`, `task`, `task.phi`
        if field.split(".")[0] == "crowd" or any(f"{name}.".startswith(f"{field}.") for name in _MODELS):
            codes = codes * len(values) + plan.places(field, numbers)
    return codes
