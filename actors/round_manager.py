"""RoundManager: drives a run's rounds and valuation against the actors' services."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.placement_group import PlacementGroup

from crowd_sim.actors.failure import POLL
from crowd_sim.actors.host import RayHost
from crowd_sim.actors.placement import actors_of, inside
from crowd_sim.actors.pool import Pool, Work
from crowd_sim.actors.run_metrics import Event, RunMetrics
from crowd_sim.config import RunConfig
from crowd_sim.engine import simulate_opened
from crowd_sim.errors import StorageError
from crowd_sim.outcome import Outcome
from crowd_sim.progress import Progress, quiet
from crowd_sim.store.checkpoint import Checkpoint
from crowd_sim.store.checkpointer import Checkpointer
from crowd_sim.store.run_log import RunLog
from crowd_sim.tasks.base import OpenTask, Task
from crowd_sim.tournament.log import TournamentLog

_LAST_WORDS = 15.0
"""Seconds for a manager to hand over its last checkpoint, on a busy machine."""


@dataclass(frozen=True)
class Update:
    """How far a manager is.

    Attributes:
        stage: what is being done, how much of it is done, how much there is, and a note.
        events: for the log, since the last news.
        failures: actors of the run that failed so far, by kind.
        checkpoints: of each stage the latest one that has not been handed over.
        signs: of life, see `RunMetrics`: answering is none, as that is another thread's.
    """

    stage: tuple[str, int, int, str]
    events: list[Event]
    failures: Counter[str]
    checkpoints: tuple[Checkpoint, ...]
    signs: int


class RoundManager:
    """Hosts one simulation; answers how far it is while it runs."""

    def __init__(self, config: RunConfig, task: Task, name: str, earlier: tuple[Checkpoint, ...]) -> None:
        self._config, self._task = config, task
        self._services = ExitStack()
        self._opened: OpenTask | None = None
        self._measures = RunMetrics(name)
        self._stage = ("start", 0, 0, "the actors")
        self._checkpoints: dict[str, Checkpoint] = {}
        self._earlier = earlier
        self._log: tuple[TournamentLog, int] | None = None
        self._host = RayHost(actors_of(config), self._measures)

    def prepare(self) -> str:
        """Start what the task needs, and see that all of it can be done; the digest of its models' files.

        Raises:
            InputError: it cannot.
        """
        if self._opened is None:
            self._opened = self._services.enter_context(self._task.open([self._config], self._host))
        return self._opened.weights

    def resume(self, earlier: tuple[Checkpoint, ...]) -> None:
        """Go on with these, the latest first."""
        self._earlier = earlier

    def run(self) -> Outcome:
        """Simulate and value the configuration's runs, from the latest checkpoint on."""
        config, measures = self._config, self._measures
        checkpointer = Checkpointer(self._earlier, config.actors.checkpoints, self._keep, measures.tell, self._show)
        self.prepare()
        assert self._opened is not None  # noqa: S101 - it is prepared
        with self._services:
            opened, ids = self._opened, self._task.ids
            (outcome,) = simulate_opened([config], opened, ids, self._host, self._report, checkpointer)
        return outcome

    def news(self) -> Update:
        """What there is to tell since the last call."""
        checkpoints, self._checkpoints = tuple(self._checkpoints.values()), {}
        return Update(
            self._stage, self._measures.take_events(), self._measures.failures, checkpoints, self._measures.signs
        )

    def distances(self, first: int) -> list[float]:
        """The mean over the runs after every round from this one on; 0 is before the first."""
        return [] if self._log is None else self._log[0].mean_distances(first, self._log[1])

    def _show(self, log: TournamentLog) -> None:
        self._log = log, log.state.round  # the row of a round that goes on is not there yet

    def _keep(self, checkpoint: Checkpoint) -> None:
        # the folder is where the driver is; an older one that it has not fetched is of no more use
        self._checkpoints[checkpoint.stage] = checkpoint

    def _report(self, stage: str, done: int, total: int, note: str = "", /) -> None:
        (before, played, _, _), self._stage = self._stage, (stage, done, total, note)
        self._measures.lives()
        if stage == "rounds" and done > (played if before == stage else 0):
            self._measures.played(1, self._config.runs * self._config.crowd.n_workers)


class Supervisor:
    """Watches over the manager from the driver: fetches its news, and builds it anew from the last checkpoint on disk."""

    def __init__(
        self,
        config: RunConfig,
        task: Task,
        progress: Progress = quiet,
        name: str = "",
        group: PlacementGroup | None = None,
        record: RunLog | None = None,
        show: Callable[[Callable[[int], Sequence[float]]], object] = lambda _: None,
    ) -> None:
        """Start a manager.

        Args:
            config: the runs.
            task: what is learned, and from whom.
            progress: told how far it is.
            name: of the run, in Ray's metrics.
            group: the reserved places that all actors live in.
            record: keeps log, status and checkpoints; a manager that dies, and a run begun anew, go on with them.
            show: told what gives the distances from a round on, whenever there may be more.
        """
        self._places = inside(group)
        self._config, self._task, self._progress, self._record = config, task, progress, record
        self._name, self._show = name, show
        self._measures = RunMetrics(name)  # of the manager's own deaths
        self._signs: int | None = None
        self._pool = Pool("round manager", self._make, 1, config.actors.failures, self._measures, self._look)

    def prepare(self) -> str:
        """See `RoundManager.prepare`."""
        return self._pool.answer(self._pool.submit(Work(0, "prepare", (), "the start", may_kill=False)))

    def outcome(self, record: RunLog | None = None) -> Outcome:
        """The run's outcome; `record` is that of a folder which was opened after the manager had started.

        Raises:
            InputError: what the configuration asks for cannot be done with the crowd's data.
            StrategyError: a user-defined strategy raised.
            ClusterError: no room for the actors, or more has failed than may.
            RayTaskError: an error in the code that ran, with its traceback.
            StorageError: a checkpoint cannot be written.
        """
        if record is not None:
            self._record = record
            resume = Work(0, "resume", (record.checkpoints(),), "the start", may_kill=False)
            self._pool.answer(self._pool.submit(resume))
        try:
            return self._pool.answer(self._pool.submit(Work(0, "run", (), "the run", may_kill=False)))
        finally:
            if not isinstance(sys.exception(), StorageError | KeyboardInterrupt):
                self._look(_LAST_WORDS)  # the last checkpoint, also of a run that failed
            self._tell(self._measures.take_events())

    def close(self) -> None:
        """Give the manager's resources back, and with it those of all its actors."""
        self._pool.close()

    def _make(self, _: int) -> Any:
        # no CPU of its own, as it waits for others; a second thread answers questions
        host = ray.remote(RoundManager).options(num_cpus=0, max_concurrency=2, **self._places)
        earlier = self._record.checkpoints() if self._record else ()
        return host.remote(self._config, self._task, self._name, earlier)

    def _look(self, patience: float = POLL) -> None:
        """Ask for news; a manager that has none to give is the pool's affair."""
        try:
            news = ray.get(self._pool.actors[0].news.remote(), timeout=patience)
        except RayError:
            return
        if news.signs != self._signs:
            self._signs = news.signs
            self._pool.is_alive(0)
        self._progress(*news.stage)
        self._show(self._distances)
        if not self._record:
            return
        self._record.progress(*news.stage)
        self._tell(self._measures.take_events() + news.events)
        self._record.failed(news.failures + self._measures.failures)
        for checkpoint in news.checkpoints:
            self._record.save(checkpoint)
            self._pool.has_progressed(0)

    def _distances(self, first: int) -> list[float]:
        try:
            return ray.get(self._pool.actors[0].distances.remote(first), timeout=POLL)
        except RayError:
            return []

    def _tell(self, events: list[Event]) -> None:
        for event in events if self._record else ():
            self._record.event(event.name, at=event.time, **event.details)  # type: ignore[union-attr]
