"""Strategies that fail by a script: each file in the folder CROWD_SIM_TROUBLE is one failure to come, used up by it.

A file is named kind-round-number; of several processes that find it only one can remove it.
"""

import os
import time
from pathlib import Path

import numpy as np

from crowd_sim import scores
from crowd_sim.crowd.behaviours import per_shard
from crowd_sim.tournament import grouping as groupings
from crowd_sim.tournament import rewards


def plan(kind, round_number, times=1):
    """From this round on, fail so many times."""
    for i in range(times):
        (_folder() / f"{kind}-{round_number}-{i}").touch()


def left():
    """Failures that nobody has met."""
    return sorted(path.name for path in _folder().iterdir())


def clear():
    for path in _folder().iterdir():
        path.unlink()


def _folder():
    return Path(os.environ["CROWD_SIM_TROUBLE"])


def met(kind, round_number):
    for path in sorted(_folder().glob(f"{kind}-{round_number}-*")):
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        return True
    return False


@per_shard
def lazy(members):
    """A third contributes the model; and whatever was planned for this round happens first."""
    if "CROWD_SIM_TROUBLE" in os.environ:
        if met("exit", members.round):
            os._exit(1)
        if met("raise", members.round):
            raise ZeroDivisionError("planned")
        if met("hang", members.round):
            time.sleep(1000)
        if met("memory", members.round):
            held = []
            while True:
                held.append(np.ones(2**22))
                time.sleep(0.02)
    return np.where(members.uniforms(1) < 1 / 3, members.model, members.vectors)


def one_by_one(worker):
    """The same, worker by worker."""
    return worker.model if worker.generator().random() < 1 / 3 else worker.vector


def slow(worker):
    time.sleep(0.001)
    return one_by_one(worker)


def grouping(points, n_groups, draws, rounds):
    """Random, in the manager's process."""
    if "CROWD_SIM_TROUBLE" in os.environ and met("stuck", draws.round):
        time.sleep(1000)
    return groupings.random(points, n_groups, draws, rounds)


def score(x, target):
    """l2; slow where the environment says so."""
    time.sleep(float(os.environ.get("CROWD_SIM_SLOW", "0")))
    return scores.l2(x, target)


def reward(points, memory, played):
    """By rank, in the manager's process."""
    if "CROWD_SIM_TROUBLE" in os.environ and met("reward", played.round):
        raise ZeroDivisionError("planned")
    return rewards.rank(points, memory, played)
