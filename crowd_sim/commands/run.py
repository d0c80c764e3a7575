"""From a configuration to an outcome and, where one is wanted, a folder with tables, figures and a report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any, Protocol

from crowd_sim.commands import IN_PROCESS
from crowd_sim.config import RunConfig
from crowd_sim.crowd.population import Population
from crowd_sim.engine import simulate_opened
from crowd_sim.errors import InputError
from crowd_sim.files import check_not_removed
from crowd_sim.host import InProcess
from crowd_sim.integrity import read_json
from crowd_sim.metrics import mean_and_error
from crowd_sim.outcome import Outcome
from crowd_sim.participants import check_coordinates, check_participants
from crowd_sim.progress import Progress, quiet
from crowd_sim.store.checkpointer import Checkpointer
from crowd_sim.store.finished import kept_outcome, opened_at_rest
from crowd_sim.store.given_crowd import check_kept, keep
from crowd_sim.store.run_folder import open_run, run_fingerprint, write_run, write_timing
from crowd_sim.store.run_log import RunLog
from crowd_sim.store.tidying import tidy
from crowd_sim.tasks.base import OpenTask, Task
from crowd_sim.tasks.choose.task import ChoiceTask
from crowd_sim.tasks.imitate.task import ImitateTask
from crowd_sim.tasks.load import load_task
from crowd_sim.tasks.vector import VectorTask
from crowd_sim.tournament.log import TournamentLog
from crowd_sim.trackers import Named, Watch

if TYPE_CHECKING:
    from crowd_sim.actors.round_manager import Supervisor


@dataclass(frozen=True)
class Finished:
    """A run that is over.

    Attributes:
        folder: with its tables; None where none was wanted.
        outcome: what came out.
        seconds: from start to last table; NaN where nobody knows any more.
        was_there: whether it had finished before, and was read.
    """

    folder: Path | None
    outcome: Outcome
    seconds: float
    was_there: bool = False


def run(
    config: RunConfig,
    out: Path | None,
    *,
    name: str = "",
    ray_address: str | None = IN_PROCESS,
    progress: Progress = quiet,
    accept_changes: bool = False,
    given: Population | None = None,
    trackers: Sequence[Named] = (),
) -> Finished:
    """Simulate, value, write, draw; what a run of the same configuration has left in the folder is gone on with.

    Of a run that is complete nothing is done again: its outcome is read, without Ray and without a model; what is recorded of
    it stays.

    Args:
        config: the runs.
        out: the run folder.
        name: where `out` is None, the folder is runs/<name>-<fingerprint>; without a name there is none.
        ray_address: see `crowd_sim.actors.cluster.connected`; ``none`` runs in this process.
        progress: told how far it is.
        accept_changes: go on, too, with what another configuration has left (`open_run`).
        given: a crowd that is in no file, in place of the one that the configuration names; it is kept in the folder.
        trackers: told how far it is, of every round's distance and of what came out; not of a run that had finished before.

    Raises:
        InputError: people or folder that cannot be used.
        ClusterError: no cluster, or one that is too small, or that fails more often than allowed.
        StrategyError: a user-defined strategy raised.
        StorageError: the folder cannot be written any more.
    """
    if given is not None:
        check_coordinates(given, "crowd")
    progress("start", 0, 0, "the crowd")
    task = load_task(config) if given is None else VectorTask(given)
    if isinstance(task, VectorTask):
        check_participants(config, task.population)
    fingerprint = run_fingerprint(config, task)
    folder = out or (Path("runs") / f"{name}-{fingerprint[:8]}" if name else None)
    if isinstance(task, ImitateTask | ChoiceTask) and folder is not None:
        # a process of a cluster works in another folder
        task = replace(task, utilities=(folder / "utilities").absolute(), tuning=_half_tuned(folder).absolute())
    with ExitStack() as stack:
        watch = stack.enter_context(Watch(trackers))
        progress = watch.over(progress)
        session = _session(config, task, progress, folder, ray_address, watch)
        stack.callback(session.close)
        if folder is None:
            return _without_folder(session, config, watch)
        at_rest = opened_at_rest(folder, config, task)
        weights = "" if at_rest is None else at_rest.weights
        if at_rest is None and config.task.kind != "vector":
            # what a model cannot do is refused before a folder is made; a crowd of vectors has been checked
            weights = session.prepare()
        if given is not None:
            check_kept(given, folder)
        fingerprint = stack.enter_context(open_run(folder, config, task, accept_changes, weights))
        tidy(folder)
        if given is not None:
            keep(given, folder)
        start = time.perf_counter()
        outcome = None if at_rest is None else kept_outcome(folder, config, at_rest, task.ids, fingerprint)
        was_there = outcome is not None
        if outcome is not None:
            write_run(folder, outcome, fingerprint)
            timing = _timing_of(folder)
            seconds = float(timing.get("seconds", nan))
            write_timing(folder, timing)
        else:
            record = stack.enter_context(RunLog(folder, fingerprint, config.runs * config.crowd.n_workers))
            watch.start(folder, config.recorded(folder))
            outcome = session.outcome(record)
            session.close()
            check_not_removed(folder)
            progress("report", 0, 2, "tables")
            write_run(folder, outcome, fingerprint)
            rmtree(_half_tuned(folder), ignore_errors=True)
            seconds = time.perf_counter() - start
            # apart from the summary, which is equal for equal runs
            write_timing(folder, {"seconds": seconds, "ray_address": ray_address})
        _draw(folder, progress)
        if not was_there:
            _told(watch, outcome, (folder / "report.html", folder / "config.yaml"))
    return Finished(folder, outcome, seconds, was_there)


def _half_tuned(folder: Path) -> Path:
    """Where candidates are kept while they are tuned."""
    return folder / "checkpoints" / "tuning"


def _draw(folder: Path, progress: Progress) -> None:
    from crowd_sim.report import write_report  # drawing has no part in how soon the first round starts

    progress("report", 1, 2, "figures and page")
    write_report(folder)
    progress("report", 2, 2)


def _without_folder(session: _Session, config: RunConfig, watch: Watch) -> Finished:
    start = time.perf_counter()
    watch.start(None, config.model_dump(mode="json"))
    outcome = session.outcome(None)
    _told(watch, outcome, ())
    return Finished(None, outcome, time.perf_counter() - start)


def _told(watch: Watch, outcome: Outcome, files: Sequence[Path]) -> None:
    """Tell trackers of the distances that they have not heard of, means over the runs, and of all metrics, the task's too."""
    from crowd_sim.tasks.tables import tables_of  # of pandas, which would delay a run's start

    metrics = tables_of(outcome.config.task.kind).run_metrics(outcome)
    watch.distances(lambda first: [float(row.mean()) for row in outcome.history.distances[first:]], over=True)
    watch.finish({name: mean_and_error(sample)[0] for name, sample in metrics.items()}, files)


def _timing_of(folder: Path) -> dict[str, Any]:
    """What is known of how long a finished run took."""
    try:
        return read_json(folder / "timing.json")
    except (OSError, InputError):
        return {}


class _Session(Protocol):
    """Where a run is simulated."""

    def prepare(self) -> str:
        """Start what the task needs; the digest of its models' files."""

    def outcome(self, record: RunLog | None) -> Outcome:
        """The run's outcome; `record` keeps log, status and checkpoints."""

    def close(self) -> None:
        """Stop what was started."""


def _session(
    config: RunConfig, task: Task, progress: Progress, folder: Path | None, ray_address: str | None, watch: Watch
) -> _Session:
    if ray_address == IN_PROCESS:
        return _InProcess(config, task, progress, watch)
    return _OnRay(config, task, progress, folder.name if folder else "run", ray_address, watch)


class _InProcess:
    """In the process that asks."""

    def __init__(self, config: RunConfig, task: Task, progress: Progress, watch: Watch) -> None:
        self._config, self._task, self._progress, self._watch = config, task, progress, watch
        self._stack, self._host = ExitStack(), InProcess(self._tell)
        self._opened: OpenTask | None = None
        self._record: RunLog | None = None

    def prepare(self) -> str:
        """See `_Session`."""
        return self._open().weights

    def outcome(self, record: RunLog | None) -> Outcome:
        """See `_Session`."""
        opened, ids = self._open(), self._task.ids
        if record is None:
            return simulate_opened([self._config], opened, ids, self._host, self._progress)[0]
        self._record = record

        def show(log: TournamentLog) -> None:
            self._watch.distances(lambda first: log.mean_distances(first, log.state.round))

        schedule = self._config.actors.checkpoints
        checkpointer = Checkpointer(record.checkpoints(), schedule, record.save, record.event, show)

        def both(stage: str, done: int, total: int, note: str = "", /) -> None:
            self._progress(stage, done, total, note)
            record.progress(stage, done, total, note)

        return simulate_opened([self._config], opened, ids, self._host, both, checkpointer)[0]

    def close(self) -> None:
        """See `_Session`."""
        self._stack.close()

    def _tell(self, event: str, **details: Any) -> None:
        if self._record is not None:
            self._record.event(event, **details)

    def _open(self) -> OpenTask:
        if self._opened is None:
            self._progress("start", 0, 0, "the learner")
            self._opened = self._stack.enter_context(self._task.open([self._config], self._host))
        return self._opened


class _OnRay:
    """On the actors of a cluster."""

    def __init__(
        self, config: RunConfig, task: Task, progress: Progress, name: str, address: str | None, watch: Watch
    ) -> None:
        self._config, self._task, self._progress, self._watch = config, task, progress, watch
        self._name, self._address = name, address
        self._stack = ExitStack()
        self._supervisor: Supervisor | None = None

    def prepare(self) -> str:
        """See `_Session`."""
        return self._start(None).prepare()

    def outcome(self, record: RunLog | None) -> Outcome:
        """See `_Session`."""
        if self._supervisor is None:
            return self._start(record).outcome()
        return self._supervisor.outcome(record)

    def close(self) -> None:
        """See `_Session`."""
        self._stack.close()

    def _start(self, record: RunLog | None) -> Supervisor:
        self._progress("start", 0, 0, "Ray")
        from crowd_sim.actors.cluster import connected
        from crowd_sim.actors.placement import actors_of, required_by_run, reserved
        from crowd_sim.actors.round_manager import Supervisor

        required = required_by_run(actors_of(self._config), with_crowd=self._config.task.kind == "vector")
        self._stack.enter_context(connected(self._address, required))
        group = self._stack.enter_context(reserved(required))
        self._progress("start", 0, 0, "the actors")
        supervisor = Supervisor(
            self._config, self._task, self._progress, self._name, group, record, self._watch.distances
        )
        self._supervisor = self._stack.enter_context(closing(supervisor))
        return supervisor
