"""Strategies by name: a built-in one, or a user's own as ``package.module:Name``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from crowd_sim.crowd.behaviours import BEHAVIOURS
from crowd_sim.crowd.loaders import SOURCES
from crowd_sim.errors import InputError
from crowd_sim.named import load_named
from crowd_sim.own import answerable
from crowd_sim.scores import SCORES
from crowd_sim.tournament.grouping import GROUPINGS
from crowd_sim.tournament.rewards import REWARDS
from crowd_sim.valuation import METHODS

STRATEGIES: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "source": SOURCES,
    "behaviour": BEHAVIOURS,
    "grouping": GROUPINGS,
    "score": SCORES,
    "reward": REWARDS,
}
NAMES: Mapping[str, list[str]] = {kind: list(table) for kind, table in STRATEGIES.items()} | {
    "method": [*METHODS, "none"]
}


def check_strategy(kind: str, name: str) -> str:
    """`name`, if it names a strategy of that kind that can be loaded; what is allowed as a ValueError otherwise."""
    if ":" in name and kind in STRATEGIES:
        load_named(name)
    elif name not in NAMES[kind]:
        own = ", or your own as package.module:Name" if kind in STRATEGIES else ""
        raise ValueError(f"must be one of {', '.join(NAMES[kind])}{own}")
    return name


def strategy(kind: str, name: str) -> Callable[..., Any]:
    """The strategy itself; one's own through what checks it, see `crowd_sim.own`.

    Raises:
        InputError: nothing of that name and kind can be loaded.
    """
    try:
        check_strategy(kind, name)
    except ValueError as error:
        raise InputError(kind, name, str(error)) from None
    return answerable(kind, name, load_named(name)) if ":" in name else STRATEGIES[kind][name]
