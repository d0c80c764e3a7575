"""What someone names as ``package.module:Name``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def load_object(name: str) -> Callable[..., Any]:
    """The callable of this name; what is wrong with the name as a ValueError."""
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
