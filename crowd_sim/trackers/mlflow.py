"""MLflow: a run of the experiment MLFLOW_EXPERIMENT_NAME (crowd-sim), at MLFLOW_TRACKING_URI."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crowd_sim.trackers.base import PROJECT, leaves

_AT_ONCE = 100
"""Parameters of a call; a server takes no more."""
_LONGEST = 500


class MLflow:
    """See `crowd_sim.trackers.Tracker`; the process's own active run, if there is one, is left alone."""

    def __init__(self) -> None:
        self._client: Any = None
        self._run = ""

    def start(self, name: str, folder: Path | None, config: Mapping[str, Any]) -> None:
        """See `Tracker`: the configuration's fields are parameters."""
        from mlflow.entities import Param
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient()
        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = self._client.get_experiment_by_name(experiment)
        number = self._client.create_experiment(experiment) if found is None else found.experiment_id
        self._run = self._client.create_run(number, run_name=name, tags={"folder": str(folder)}).info.run_id
        params = [Param(field.replace(":", "_"), str(value)[:_LONGEST]) for field, value in leaves(config)]
        for first in range(0, len(params), _AT_ONCE):
            self._client.log_batch(self._run, params=params[first : first + _AT_ONCE])

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(self._run, metrics=[Metric(name, value, now, step) for name, value in values.items()])

    def finish(self, metrics: Mapping[str, float], files: Sequence[Path]) -> None:
        """See `Tracker`: the files are artifacts."""
        if metrics:
            self.log(0, metrics)
        for path in files:
            self._client.log_artifact(self._run, str(path))

    def close(self, state: str) -> None:
        """See `Tracker`."""
        if self._run:
            states = {"finished": "FINISHED", "interrupted": "KILLED"}
            self._client.set_terminated(self._run, states.get(state, "FAILED"))
