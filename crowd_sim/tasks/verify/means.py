"""What the items of `verify` are judged by."""

from __future__ import annotations

from crowd_sim.tasks.choose.task import Means
from crowd_sim.tasks.verify.game import VerifyGame
from crowd_sim.tasks.verify.learner import VerifyLearner
from crowd_sim.tasks.verify.records import verified_of

OUTPUTS = Means(VerifyLearner, VerifyGame, verified_of)
