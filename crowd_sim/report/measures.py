"""What a model's quality is called in a task, and on which axis it is drawn."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd


class Measure(NamedTuple):
    """Of a model, by round.

    Attributes:
        metric: its name among the metrics of a sweep, after the last round.
        words: what it is called.
        axis: the label of its axis.
        turned: whether tables hold one less it as `distance`, of which less is better.
    """

    metric: str
    words: str
    axis: str
    turned: bool

    def by_round(self, rounds: pd.DataFrame) -> pd.DataFrame:
        """A table of rounds, with the measure in place of the distance."""
        return rounds.assign(distance=1 - rounds["distance"]) if self.turned else rounds


DISTANCE = Measure("final_distance", "Distance to the target", "Distance to target\n‖model − target‖₂", turned=False)
ACCURACY = Measure("accuracy_after", "Accuracy", "Accuracy\nshare of the report's items", turned=True)
REWARD = Measure("reward_after", "Mean reward", "Mean reward\non the report's items", turned=True)

OF_CHOICES = {"classify": ACCURACY, "prefer": ACCURACY, "verify": REWARD}
"""By task: those whose models are judged item by item."""


def task_of(config: dict[str, Any]) -> str:
    """What a folder's configuration says is learned; `vector` where it says nothing."""
    task = config.get("task")
    return str(task.get("kind", "vector")) if isinstance(task, dict) else "vector"


def measure_of(config: dict[str, Any]) -> Measure:
    """The measure of a configuration's task."""
    return OF_CHOICES.get(task_of(config), DISTANCE)


def in_words(names: list[str], task: str) -> list[str]:
    """Metrics of a task's table, without distances where these are one less another metric."""
    hidden = ("initial_distance", "final_distance") if task in OF_CHOICES else ()
    return [name for name in names if name not in hidden]
