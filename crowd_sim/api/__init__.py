"""The Python face of the simulator; its names are those of the package `crowd_sim`.

Every function does what the command of its name does, by the same code (`crowd_sim.commands`).
"""

from crowd_sim.api.runs import run
from crowd_sim.api.searches import SearchResult, search
from crowd_sim.api.sweeps import SweepResult, sweep
from crowd_sim.api.values import CrowdValues, value
from crowd_sim.config import RunConfig
from crowd_sim.config.io import load_config
from crowd_sim.outcome import Outcome
from crowd_sim.valuation import shapley

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
    "sweep",
    "value",
]
