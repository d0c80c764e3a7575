"""A run's folder: opened before the work, filled after it."""

from __future__ import annotations

from pathlib import Path

from crowd_sim.config import RunConfig
from crowd_sim.crowd.population import Population
from crowd_sim.results.folder import fingerprint, open_folder, write_config, write_json, write_table
from crowd_sim.results.tables import rounds_table, runs_table, summary, workers_table
from crowd_sim.simulation import Outcome


def open_run(folder: Path, config: RunConfig, population: Population) -> str:
    """Make the folder (or take one that the same configuration has made) and write config.yaml; the run's fingerprint.

    Raises:
        InputError: the folder cannot be written, or holds something else.
    """
    print_of = fingerprint(config.determinants(), population)
    open_folder(folder, print_of)
    write_config(folder, config.model_dump(mode="json"), print_of)
    return print_of


def write_run(folder: Path, outcome: Outcome, population: Population, print_of: str) -> None:
    """Write the tables, and last the summary, whose presence says that the run is complete."""
    write_table(folder / "rounds.parquet", rounds_table(outcome))
    write_table(folder / "workers.parquet", workers_table(outcome, population))
    write_table(folder / "runs.parquet", runs_table(outcome))
    write_json(folder / "summary.json", summary(outcome, print_of))
