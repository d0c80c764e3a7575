"""The Python face of the simulator; its names are those of the package `crowd_sim`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

from crowd_sim.config import RunConfig
from crowd_sim.config.io import load_config
from crowd_sim.engine import simulate_opened
from crowd_sim.host import InProcess
from crowd_sim.outcome import Outcome
from crowd_sim.store.run_folder import open_run, write_run
from crowd_sim.tasks.load import load_task

__all__ = ["Outcome", "RunConfig", "load_config", "run"]


def run(config: RunConfig | str | Path | Mapping[str, Any], out: str | Path | None = None, **fields: Any) -> Outcome:
    """Simulate and value a configuration's runs in this process, whatever its task.

    Args:
        config: a configuration, the path of its file, the name of one that ships (`crowd-sim configs`), or nested dictionaries.
        out: the run folder to write; absent: none.
        fields: of the configuration, to be changed; with two underscores for a dot: ``crowd__n_workers=100``.

    Returns:
        the outcome; printed, it is a table of its metrics.

    Raises:
        InputError: a field that is wrong, a crowd that cannot be read or is too small, or a folder that cannot be written,
            holds something else, or in which another process is at work.
    """
    config = _config(config, {name.replace("__", "."): value for name, value in fields.items()})
    task, host = load_task(config), InProcess()
    with task.open([config], host) as opened:
        folder = None if out is None else open_run(Path(out), config, task, weights=opened.weights)
        with folder or nullcontext() as print_of:
            (outcome,) = simulate_opened([config], opened, task.ids, host)
            if out is not None and print_of is not None:
                write_run(Path(out), outcome, print_of)
    return outcome


def _config(config: RunConfig | str | Path | Mapping[str, Any], fields: Mapping[str, Any]) -> RunConfig:
    if isinstance(config, str | Path):
        return load_config(config, [f"{field}={json.dumps(value)}" for field, value in fields.items()])
    if isinstance(config, RunConfig):
        if not fields:
            return config
        config = config.model_dump()
    content = deepcopy(dict(config))
    for field, value in fields.items():
        *parents, leaf = field.split(".")
        node = content
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return RunConfig.parse(content)
