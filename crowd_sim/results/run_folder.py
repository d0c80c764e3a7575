"""A run's folder: opened before the work, filled after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crowd_sim.config import RunConfig
from crowd_sim.crowd.population import Population
from crowd_sim.errors import InputError
from crowd_sim.results.checkpoints import Checkpoints
from crowd_sim.results.folder import fingerprint, open_folder, read_config, write_config, write_json, write_table
from crowd_sim.results.tables import rounds_table, runs_table, summary, workers_table
from crowd_sim.simulation import Outcome

_Lineage = list[dict[str, Any]]
"""Of a run that went on with changed configurations: after which round, and the fingerprint it had until then."""


def open_run(folder: Path, config: RunConfig, population: Population, accept_changes: bool = False) -> str:
    """Make the folder (or take one that the same configuration has made) and write config.yaml; the run's fingerprint.

    Args:
        folder: of the run.
        config: the runs.
        population: whom their workers are chosen from.
        accept_changes: a folder that another configuration has made is taken, too, if its last checkpoint can be gone on
            with: with the same seed, runs, crowd and reward. The folder remembers that in config.yaml, as `lineage`.

    Raises:
        InputError: the folder cannot be written, or holds something else.
    """
    own = fingerprint(config.determinants(), population)
    before = _before(folder)
    lineage: _Lineage = list(before.get("lineage", []))
    print_of = _with_lineage(own, lineage)
    if accept_changes and before and before.get("fingerprint") != print_of:
        lineage, print_of = _changed(folder, config, before, own, lineage)
    else:
        open_folder(folder, print_of)
    content = config.model_dump(mode="json")
    write_config(folder, {**content, "lineage": lineage} if lineage else content, print_of)
    return print_of


def write_run(folder: Path, outcome: Outcome, population: Population, print_of: str) -> None:
    """Write the tables, and last the summary, whose presence says that the run is complete."""
    write_table(folder / "rounds.parquet", rounds_table(outcome))
    write_table(folder / "workers.parquet", workers_table(outcome, population))
    write_table(folder / "runs.parquet", runs_table(outcome))
    write_json(folder / "summary.json", summary(outcome, print_of))


def _before(folder: Path) -> dict[str, Any]:
    try:
        return read_config(folder) if (folder / "config.yaml").exists() else {}
    except (OSError, ValueError):  # no folder at all, or a name that none can have: `open_folder` says what is wrong
        return {}


def _with_lineage(own: str, lineage: _Lineage) -> str:
    return fingerprint({"own": own, "lineage": lineage}) if lineage else own


def _changed(
    folder: Path, config: RunConfig, before: dict[str, Any], own: str, lineage: _Lineage
) -> tuple[_Lineage, str]:
    """Hand the last checkpoint of the configuration before over to this one; the new lineage and fingerprint."""
    now = config.model_dump(mode="json")
    for field in ("seed", "runs", "crowd", "tournament.reward"):
        if _at(before, field) != _at(now, field):
            allowed = "cannot be changed: the state to go on with depends on it; choose another folder with --out"
            raise InputError(field, None, allowed)
    last = next(Checkpoints(folder, str(before.get("fingerprint"))).read(), None)
    if last is None:
        raise InputError("--accept-changes", None, f"{folder} has no checkpoint to go on with; choose another folder")
    if last.round > config.tournament.rounds:
        allowed = f"must be at least {last.round}: so many rounds are played"
        raise InputError("tournament.rounds", config.tournament.rounds, allowed)
    lineage = [*lineage, {"round": last.round, "fingerprint": before.get("fingerprint")}]
    print_of = _with_lineage(own, lineage)
    (folder / "summary.json").unlink(missing_ok=True)  # the run is no longer complete
    Checkpoints(folder, print_of).write(last)
    return lineage, print_of


def _at(content: dict[str, Any], field: str) -> Any:
    node: Any = content
    for part in field.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node
