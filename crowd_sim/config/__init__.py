"""One frozen, validated model per section. A run is its configuration and its seed.

Fields are strict: nothing is converted silently, unknown keys are errors. Their descriptions are the configuration reference
of docs/configuration.md (`python -m crowd_sim.config.reference`).
"""

from crowd_sim.config.actors import (
    ActorsConfig,
    CheckpointConfig,
    FailureConfig,
    PoolConfig,
    SweepWorkers,
)
from crowd_sim.config.crowd import CrowdConfig
from crowd_sim.config.run import RunConfig
from crowd_sim.config.tournament import LARGEST_COORDINATE, TournamentConfig
from crowd_sim.config.valuation import ValuationConfig

__all__ = [
    "LARGEST_COORDINATE",
    "ActorsConfig",
    "CheckpointConfig",
    "CrowdConfig",
    "FailureConfig",
    "PoolConfig",
    "RunConfig",
    "SweepWorkers",
    "TournamentConfig",
    "ValuationConfig",
]
