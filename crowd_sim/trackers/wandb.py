"""Weights & Biases: a run of the project WANDB_PROJECT (crowd-sim); WANDB_MODE=offline keeps it on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crowd_sim.trackers.base import PROJECT


class WandB:
    """See `crowd_sim.trackers.Tracker`."""

    def __init__(self) -> None:
        self._run: Any = None

    def start(self, name: str, folder: Path | None, config: Mapping[str, Any]) -> None:
        """See `Tracker`."""
        import wandb

        project = os.environ.get("WANDB_PROJECT", PROJECT)
        told = {**config, "folder": str(folder)}
        self._run = wandb.init(project=project, name=name, config=told, save_code=False, reinit="create_new")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker`: its own steps may only grow, so that the step is a value of its own."""
        self._run.log({**values, "step": step})

    def finish(self, metrics: Mapping[str, float], files: Sequence[Path]) -> None:
        """See `Tracker`: the metrics are the run's summary."""
        self._run.summary.update(dict(metrics))
        for path in files:
            self._run.save(str(path), base_path=str(path.parent), policy="now")

    def close(self, state: str) -> None:
        """See `Tracker`."""
        if self._run is not None:
            self._run.finish(exit_code=0 if state == "finished" else 1)
