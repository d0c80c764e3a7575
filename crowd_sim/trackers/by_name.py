"""Trackers by name: a built-in one, or a user-defined one as ``package.module:Name``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from crowd_sim.errors import InputError
from crowd_sim.trackers.base import Tracker
from crowd_sim.user_defined import load_object

_PLACES: Mapping[str, tuple[str, str]] = {
    "tensorboard": ("crowd_sim.trackers.tensorboard:TensorBoard", "tensorboard"),
    "mlflow": ("crowd_sim.trackers.mlflow:MLflow", "mlflow"),
    "wandb": ("crowd_sim.trackers.wandb:WandB", "wandb"),
}
TRACKERS = tuple(_PLACES)
"""The built-in ones."""


@dataclass(frozen=True)
class Named:
    """A tracker and what it is called."""

    name: str
    tracker: Tracker


def tracker_of(given: Any) -> Named:
    """A tracker by its name, or the object itself; of ``package.module:Name`` what calling it without arguments gives.

    Raises:
        InputError: no such tracker, or its package is not installed.
    """
    if not isinstance(given, str):
        try:
            missing = [name for name in ("start", "log", "finish", "close") if not callable(getattr(given, name, None))]
        except Exception as error:  # a property of a user's may raise anything
            raise InputError("--tracker", type(given).__name__, f"cannot be used: {type(error).__name__}") from None
        if missing:
            allowed = f"must be {_names()}, or an object that has start, log, finish and close; {missing[0]} is missing"
            raise InputError("--tracker", type(given).__name__, allowed)
        return Named(type(given).__name__, given)
    check_tracker(given)
    if given in _PLACES:
        module, _, name = _PLACES[given][0].partition(":")
        return Named(given, getattr(import_module(module), name)())
    make: Callable[..., Any] = load_object(given)
    try:
        made = make()
    except (Exception, SystemExit) as error:  # a user's code may raise anything
        raise InputError("--tracker", given, f"cannot be made: {type(error).__name__}") from error
    return Named(given, tracker_of(made).tracker)


def check_tracker(name: str) -> None:
    """Refuse what names no tracker; none is made.

    Raises:
        InputError: no such tracker, or its package is not installed.
    """
    if name in _PLACES:
        if find_spec(_PLACES[name][1]) is None:
            raise InputError("--tracker", name, "needs its package: pip install 'crowd-sim[trackers]'")
        return
    if ":" not in name:
        raise InputError("--tracker", name, f"must be one of {_names()}, or user-defined as package.module:Name")
    try:
        load_object(name)
    except ValueError as error:
        raise InputError("--tracker", name, str(error)) from None


def _names() -> str:
    return ", ".join(TRACKERS)
