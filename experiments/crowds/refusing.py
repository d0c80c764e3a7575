"""Bad input of an experiment in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from inspect import getfile
from pathlib import Path
from typing import ParamSpec, TypeVar

from crowd_sim.errors import InputError

_P = ParamSpec("_P")
_T = TypeVar("_T")


def in_one_line(main: Callable[_P, _T]) -> Callable[_P, _T]:
    """The command, which says in one line what is wrong with its input, and ends with status 2."""

    @wraps(main)
    def refusing(*given: _P.args, **others: _P.kwargs) -> _T:
        try:
            return main(*given, **others)
        except InputError as error:
            print(f"{Path(getfile(main)).stem}: {error}", file=sys.stderr)
            raise SystemExit(2) from None

    return refusing
