"""The tables of a run, by its task."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_MODULES = {
    "vector": "crowd_sim.tables",
    "imitate": "crowd_sim.tasks.imitate.tables",
    "classify": "crowd_sim.tasks.choose.tables",
    "prefer": "crowd_sim.tasks.choose.tables",
    "verify": "crowd_sim.tasks.verify.tables",
}


def tables_of(kind: str) -> Any:
    """Return the module with ``TABLES``, ``summary`` and ``run_metrics`` of a kind of task, of texts ``card_figures``, too.

    Imported when asked for: pandas would delay the start of a run, and its tables are its last work.
    """
    return import_module(_MODULES[kind])
