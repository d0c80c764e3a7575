"""crowd-sim: simulation of crowd-sourced fine-tuning, and of what everyone in it was worth.

>>> import crowd_sim
>>> outcome = crowd_sim.run("quickstart", runs=1)
>>> outcome.metrics["final_distance"].shape
(1,)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crowd_sim.user_defined import strategy

if TYPE_CHECKING:
    __version__: str
    from crowd_sim.api import (
        CrowdValues,
        Outcome,
        RunConfig,
        SearchResult,
        SweepResult,
        load_config,
        run,
        search,
        shapley,
        sweep,
        value,
    )

__all__ = [
    "CrowdValues",
    "Outcome",
    "RunConfig",
    "SearchResult",
    "SweepResult",
    "load_config",
    "run",
    "search",
    "shapley",
    "strategy",
    "sweep",
    "value",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("crowd-sim")
        except PackageNotFoundError:  # a working directory shipped to a cluster is not installed
            return "unknown"
    # an actor that hosts a shard of the crowd should not wait for all the rest to be imported
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from crowd_sim import api

    return getattr(api, name)
