"""A run's folder: opened before the work, filled after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from crowd_sim.config import RunConfig
from crowd_sim.config.places import KEY
from crowd_sim.crowd.sources.given import FILE
from crowd_sim.errors import InputError
from crowd_sim.files import (
    check_format,
    fingerprint_of,
    open_folder,
    read_config,
    write_config,
    write_sealed,
    write_table,
)
from crowd_sim.integrity import FILES, digests_of
from crowd_sim.outcome import Outcome
from crowd_sim.paths import exists, is_file
from crowd_sim.store.checkpoint import Checkpoint, Checkpoints
from crowd_sim.store.lock import RUN, exclusive
from crowd_sim.tasks.base import Task
from crowd_sim.tasks.tables import tables_of

TIMED = "models.parquet"
"""The table that holds times, and so is not equal for equal runs."""

_Lineage = list[dict[str, Any]]
"""Of a run that went on with changed configurations: after which round, and the fingerprint it had until then."""


@dataclass(frozen=True)
class _Opening:
    """How a folder can be taken.

    Attributes:
        lineage: of the run.
        fingerprint: its fingerprint.
        handed_over: the last checkpoint of the configuration before, where it was changed.
    """

    lineage: _Lineage
    fingerprint: str
    handed_over: Checkpoint | None = None


@contextmanager
def open_run(
    folder: Path, config: RunConfig, task: Task, accept_changes: bool = False, weights: str = ""
) -> Iterator[str]:
    """Make the folder (or take one that the same configuration has made) and write config.yaml; the run's fingerprint.

    While the context lasts the folder is nobody else's. One that is refused stays as it was.

    Args:
        folder: of the run.
        config: the runs.
        task: what is learned, and from whom.
        accept_changes: a folder that another configuration has made is taken, too, if its last checkpoint can be gone on
            with: with the same seed, runs, crowd, task and reward. The folder remembers that in config.yaml, as `lineage`.
        weights: a digest of the models' files. Those in a folder may be others tomorrow, and what they have made must not be
            mixed, so it is written, too; a folder without one is taken for what it says.

    Raises:
        InputError: the folder cannot be written, holds something else, or another process is at work in it.
        StorageError: config.yaml cannot be written.
    """
    own = run_fingerprint(config, task)
    with exclusive(folder / RUN, partial(_opening, folder, config, own, accept_changes, weights)) as opening:
        if opening.handed_over is not None:
            (folder / "summary.json").unlink(missing_ok=True)  # the run is no longer complete
            Checkpoints(folder, opening.fingerprint).write(opening.handed_over)
        content = config.recorded(folder)
        lineage = {"lineage": opening.lineage} if opening.lineage else {}
        digest = {"weights": weights} if weights else {}
        write_config(folder, {**content, **lineage, **digest}, opening.fingerprint)
        yield opening.fingerprint


def run_fingerprint(config: RunConfig, task: Task) -> str:
    """SHA-256 of what a run depends on: the configuration without its actors, and the crowd."""
    return fingerprint_of(config.determinants(), task.identity())


def write_run(folder: Path, outcome: Outcome, fingerprint: str) -> None:
    """Write the tables, and last the summary, whose presence says that the run is complete.

    Raises:
        InputError: a base model, needed here for `task.merged_model`, cannot be loaded.
        StorageError: they cannot be written.
    """
    own = tables_of(outcome.config.task.kind)
    for name, table in own.TABLES.items():
        write_table(folder / f"{name}.parquet", table(outcome))
    told = _as_given(outcome)
    if outcome.config.task.kind != "vector":
        from crowd_sim.tasks.adapters.folder import write_adapters  # with the tables, which need pandas

        write_adapters(folder, outcome, told, fingerprint, own.card_figures)
    names = [FILE, *(f"{name}.parquet" for name in own.TABLES if f"{name}.parquet" != TIMED)]
    kept = [path for name in names if exists(path := folder / name)]
    kept += _below(folder, "adapter")
    write_sealed(folder / "summary.json", {**own.summary(told, fingerprint), FILES: digests_of(folder, kept)})


def write_timing(folder: Path, told: Mapping[str, Any]) -> None:
    """Write timing.json, apart from the summary, which is equal for equal runs; with the digests of what is not."""
    timed = [path for path in (folder / TIMED, *_below(folder, "merged")) if exists(path)]
    write_sealed(folder / "timing.json", {**told, FILES: digests_of(folder, timed)})


def _below(folder: Path, name: str) -> list[Path]:
    return [path for path in (folder / name).rglob("*") if is_file(path)]


def _as_given(outcome: Outcome) -> Outcome:
    """The outcome as the folder in which the run was begun would have it told."""
    config, details = outcome.config.as_given(), outcome.details
    if config.task.kind != "vector":
        here, given = outcome.config.task.phi.model, config.task.phi.model
        if here is not None and given is not None:
            details = replace(details, info=replace(details.info, phi=details.info.phi.replace(here, given)))
    return replace(outcome, config=config, details=details)


def _opening(folder: Path, config: RunConfig, own: str, accept_changes: bool, weights: str) -> _Opening:
    """What is to be done with the folder; nothing in it is changed yet."""
    before = _before(folder)
    check_format(folder, before)
    lineage: _Lineage = list(before.get("lineage", []))
    fingerprint = _with_lineage(own, lineage)
    if accept_changes and before and before.get("fingerprint") != fingerprint:
        return _changed(folder, config, before, own, lineage)
    if before.get("fingerprint") not in (None, fingerprint) and _fields(before) == _fields(config.recorded(folder)):
        allowed = "must be another folder: the people its configuration names are not those of the run any more"
        raise InputError("--out", str(folder), allowed)
    open_folder(folder, fingerprint)
    if before.get("weights") not in (None, weights):
        allowed = "must be another folder: files of task.model, task.phi.model or task.adapter have changed since this was made"
        raise InputError("--out", str(folder), allowed)
    return _Opening(lineage, fingerprint)


def _before(folder: Path) -> dict[str, Any]:
    try:
        return read_config(folder) if exists(folder / "config.yaml") else {}
    except (OSError, ValueError):  # no folder at all, or a name that none can have: `open_folder` says what is wrong
        return {}


def _fields(content: Mapping[str, Any]) -> dict[str, Any]:
    """What a folder's config.yaml says of the run itself."""
    besides = ("format", "digest", "versions", "fingerprint", "lineage", "weights", "actors", KEY)
    return {name: value for name, value in content.items() if name not in besides}


def _with_lineage(own: str, lineage: _Lineage) -> str:
    return fingerprint_of({"own": own, "lineage": lineage}) if lineage else own


def _changed(folder: Path, config: RunConfig, before: dict[str, Any], own: str, lineage: _Lineage) -> _Opening:
    """The last checkpoint of the configuration before, to be handed over to this one."""
    now = config.recorded(folder)
    for field in ("seed", "runs", "crowd", "task", "tournament.reward"):
        if _at(before, field) != _at(now, field):
            allowed = "cannot be changed: the state to go on with depends on it; choose another folder with --out"
            raise InputError(field, None, allowed)
    last = Checkpoints(folder, str(before.get("fingerprint"))).last()
    if last is None:
        raise InputError("--accept-changes", None, f"{folder} has no checkpoint to go on with; choose another folder")
    if last.round > config.tournament.rounds:
        allowed = f"must be at least {last.round}: so many rounds are played"
        raise InputError("tournament.rounds", config.tournament.rounds, allowed)
    lineage = [*lineage, {"round": last.round, "fingerprint": before.get("fingerprint")}]
    return _Opening(lineage, _with_lineage(own, lineage), last)


def _at(content: dict[str, Any], field: str) -> Any:
    node: Any = content
    for part in field.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node
