"""Strategies by name: a built-in one, or a user's own as ``package.module:Name``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from crowd_sim.crowd.loaders import SOURCES
from crowd_sim.errors import InputError
from crowd_sim.scores import SCORES
from crowd_sim.tournament.grouping import GROUPINGS
from crowd_sim.tournament.rewards import REWARDS
from crowd_sim.valuation import METHODS

STRATEGIES: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "source": SOURCES,
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
        _load(name)
    elif name not in NAMES[kind]:
        own = ", or your own as package.module:Name" if kind in STRATEGIES else ""
        raise ValueError(f"must be one of {', '.join(NAMES[kind])}{own}")
    return name


def strategy(kind: str, name: str) -> Callable[..., Any]:
    """The strategy itself.

    Raises:
        InputError: nothing of that name and kind can be loaded.
    """
    try:
        check_strategy(kind, name)
    except ValueError as error:
        raise InputError(kind, name, str(error)) from None
    return _load(name) if ":" in name else STRATEGIES[kind][name]


def _load(name: str) -> Callable[..., Any]:
    module_name, _, attribute = name.partition(":")
    # a strategy in the folder one works in should be found by a console script as it is by `python -m`
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except (Exception, SystemExit) as error:  # importing runs the module, which may raise anything
        what = str(error) if isinstance(error, ImportError | AttributeError) else f"{type(error).__name__}: {error}"
        raise ValueError(f"cannot be loaded ({what}); must be package.module:Name of something importable") from None
    if not callable(found):
        raise ValueError("must name something callable")  # noqa: TRY004 - bad input, not a bug
    return found
