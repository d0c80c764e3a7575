"""Valuation: what every worker was worth, as Shapley values of a game.

>>> from crowd_sim.valuation import AveragingGame, shapley
>>> result = shapley(AveragingGame([[1.0, 0.0], [0.0, 1.0]], [1.0, 1.0], score="dot"))
>>> result.values
array([0.5, 0.5])
"""

from crowd_sim.valuation.api import METHODS, shapley, shapley_many
from crowd_sim.valuation.banzhaf import banzhaf
from crowd_sim.valuation.cache import CachedGame
from crowd_sim.valuation.games import AveragingGame, Game
from crowd_sim.valuation.leave_one_out import leave_one_out
from crowd_sim.valuation.quadratic_of_mean import QuadraticOfMean
from crowd_sim.valuation.request import Evaluate
from crowd_sim.valuation.result import ShapleyResult
from crowd_sim.valuation.sampled_owen import sampled_owen
from crowd_sim.valuation.sampled_values import Interactions, SampledUtilities
from crowd_sim.valuation.stopping import MaxEvaluations, MaxTime, Progress, RankStability, Rule, TargetError
from crowd_sim.valuation.top import Top
from crowd_sim.valuation.utility_table import Evaluated
from crowd_sim.valuation.values import (
    AllUtilities,
    LeastCore,
    beta_shapley,
    interactions,
    least_core,
    owen,
    semivalue,
)

__all__ = [
    "METHODS",
    "AllUtilities",
    "AveragingGame",
    "CachedGame",
    "Evaluate",
    "Evaluated",
    "Game",
    "Interactions",
    "LeastCore",
    "MaxEvaluations",
    "MaxTime",
    "Progress",
    "QuadraticOfMean",
    "RankStability",
    "Rule",
    "SampledUtilities",
    "ShapleyResult",
    "TargetError",
    "Top",
    "banzhaf",
    "beta_shapley",
    "interactions",
    "least_core",
    "leave_one_out",
    "owen",
    "sampled_owen",
    "semivalue",
    "shapley",
    "shapley_many",
]
