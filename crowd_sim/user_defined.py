"""What a user defines and names as ``package.module:Name``, and what may not be named so.

Nothing of Python's standard library is ever a strategy, wherever it is named or imported again: ``pty:spawn`` would run a
program that a configuration chooses. What an installed package holds was not made to be called by a configuration either
(``pandas:read_pickle``): it must be marked by `strategy`, or be named by who gives the command. What lies elsewhere, in the
folder one works in or along ``PYTHONPATH``, is the user's.
"""

from __future__ import annotations

import importlib
import sys
import sysconfig
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

_MARK = "__crowd_sim_strategy__"
_FORM = "must be package.module:Name of something importable"
_OF_PYTHON = frozenset(sys.stdlib_module_names) | {"builtins", "test"}
_INSTALLED = ("site-packages", "dist-packages")

_F = TypeVar("_F", bound=Callable[..., Any])


def strategy(function: _F) -> _F:
    """Marks what a configuration may name, also where it is in an installed package."""
    setattr(function, _MARK, True)
    return function


def check_name(name: str) -> None:
    """Refuse what is no name of a strategy, without importing anything.

    Raises:
        ValueError: not ``package.module:Name``, or of Python's standard library.
    """
    module, _, attribute = name.partition(":")
    if not attribute.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise ValueError(_FORM)
    if _top(module) in _OF_PYTHON:
        raise ValueError(f"must not be of Python's standard library, as {_top(module)} is")


def load_object(name: str) -> Callable[..., Any]:
    """The callable of this name.

    Raises:
        ValueError: what is wrong with the name: nothing that can be imported or called, or of Python's standard library.
    """
    check_name(name)
    module_name, _, attribute = name.partition(":")
    # a strategy in the folder one works in should be found by a console script as it is by `python -m`
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except (Exception, SystemExit) as error:  # importing runs the module, which may raise anything
        what = str(error) if isinstance(error, ImportError | AttributeError) else f"{type(error).__name__}: {error}"
        raise ValueError(f"cannot be loaded ({what}); {_FORM}") from None
    if not callable(found):
        raise ValueError("must name something callable")  # noqa: TRY004 - bad input, not a bug
    if not _is_marked(found) and _top(home := _home(found)) in _OF_PYTHON:
        raise ValueError(f"must not be of Python's standard library: it is imported from {home}")
    return found


def check_users(name: str) -> None:
    """Refuse what a configuration may not name by itself: code of an installed package that is not marked by `strategy`.

    Raises:
        ValueError: such a name, or one that `load_object` refuses.
    """
    found = load_object(name)
    home = _home(found)
    if not _is_marked(found) and _is_installed(home):
        allowed = "must be marked by crowd_sim.strategy, or be named on the command line"
        raise ValueError(f"{allowed}: it is of the installed package {_top(home)}")


def resolve_in(table: Mapping[str, Callable[..., Any]], name: str) -> Callable[..., Any]:
    """What a name stands for: the built-in strategy of the table, or the user-defined one.

    Raises:
        ValueError: what is wrong with the name.
    """
    if name in table:
        return table[name]
    if ":" not in name:
        raise ValueError(f"must be one of {', '.join(table)}, or user-defined as package.module:Name")
    return load_object(name)


def _is_marked(found: Any) -> bool:
    return getattr(found, _MARK, False) is True


def _home(found: Any) -> str:
    """The module that defines a callable, whatever other module has it, too."""
    while isinstance(found, partial):
        found = found.func
    named = getattr(found, "__module__", None)
    # a method of an object that is written in C says only whose it is
    return str(named or type(getattr(found, "__self__", found)).__module__)


def _is_installed(home: str) -> bool:
    if _top(home) == _top(__name__):
        return True
    file = getattr(sys.modules.get(home), "__file__", None)
    if file is None:
        return False
    path = Path(file).resolve()
    places = (sysconfig.get_path(kind) for kind in ("purelib", "platlib", "stdlib", "platstdlib"))
    return any(part in _INSTALLED for part in path.parts) or any(path.is_relative_to(place) for place in places)


def _top(module: str) -> str:
    return module.partition(".")[0]
