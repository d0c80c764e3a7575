"""A reward of one's own: checked, then run beside the paper's."""

import numpy as np

import crowd_sim
from crowd_sim.testing import check_reward


def winner_takes_all(points, memory, played):
    """A point for the members of the best group, none for the others."""
    best = played.assignment == played.selection.winner[:, None]
    return points + np.where(best, 1.0, 0.0), memory


if __name__ == "__main__":
    name = "own_strategy:winner_takes_all"
    check_reward(name)
    small = {"runs": 2, "crowd__n_workers": 12, "tournament__rounds": 20}
    for reward in ("rank", name):
        outcome = crowd_sim.run("quickstart", tournament__reward=reward, **small)
        print(reward, outcome.metrics["pearson_accurate"].mean().round(2))
