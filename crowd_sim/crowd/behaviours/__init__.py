"""Behaviours: what workers contribute to a round instead of their vectors.

`base` has what everyone may do (`crowd.behaviour`), and what a user-defined behaviour sees. The behaviours of bad workers
(`crowd.bad.behaviour`) are a file each; in their docstrings x is the worker's own vector, c the model that the round starts
from, μ and σ the mean and the standard deviation of what honest workers contribute, and s the strength.
"""

from __future__ import annotations

from collections.abc import Mapping

from crowd_sim.crowd.behaviours.alie import ALIE
from crowd_sim.crowd.behaviours.away import AWAY
from crowd_sim.crowd.behaviours.base import (
    BEHAVIOURS,
    HONEST,
    BadBehaviour,
    Behaviour,
    Members,
    Worker,
    contributions,
    honest,
    normal,
    per_shard,
)
from crowd_sim.crowd.behaviours.camouflage import CAMOUFLAGE
from crowd_sim.crowd.behaviours.collusion import COLLUSION
from crowd_sim.crowd.behaviours.corner import CORNER
from crowd_sim.crowd.behaviours.drift import DRIFT
from crowd_sim.crowd.behaviours.echo import ECHO
from crowd_sim.crowd.behaviours.gauss import GAUSS
from crowd_sim.crowd.behaviours.invert import INVERT
from crowd_sim.crowd.behaviours.ipm import IPM
from crowd_sim.crowd.behaviours.late import LATE
from crowd_sim.crowd.behaviours.lazy import LAZY
from crowd_sim.crowd.behaviours.mimic import MIMIC
from crowd_sim.crowd.behaviours.min_max import MIN_MAX
from crowd_sim.crowd.behaviours.noise import NOISE
from crowd_sim.crowd.behaviours.on_off import ON_OFF
from crowd_sim.crowd.behaviours.sign_flip import SIGN_FLIP
from crowd_sim.crowd.behaviours.sleeper import SLEEPER
from crowd_sim.crowd.behaviours.spam import SPAM

__all__ = [
    "BAD_BEHAVIOURS",
    "BEHAVIOURS",
    "HONEST",
    "BadBehaviour",
    "Behaviour",
    "Members",
    "Worker",
    "contributions",
    "normal",
    "per_shard",
]

BAD_BEHAVIOURS: Mapping[str, BadBehaviour] = {
    HONEST: BadBehaviour(honest, most=0.0),
    "echo": ECHO,
    "lazy": LAZY,
    "noise": NOISE,
    "spam": SPAM,
    "gauss": GAUSS,
    "invert": INVERT,
    "sign_flip": SIGN_FLIP,
    "alie": ALIE,
    "ipm": IPM,
    "mimic": MIMIC,
    "min_max": MIN_MAX,
    "away": AWAY,
    "corner": CORNER,
    "sleeper": SLEEPER,
    "drift": DRIFT,
    "on_off": ON_OFF,
    "late": LATE,
    "camouflage": CAMOUFLAGE,
    "collusion": COLLUSION,
}
"""By name; `honest` is for honest workers with several identities."""
