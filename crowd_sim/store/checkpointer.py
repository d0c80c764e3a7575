"""A simulation's state, kept as it goes on: what `crowd_sim.engine.Saving` asks for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from crowd_sim.config import CheckpointConfig
from crowd_sim.errors import StorageError
from crowd_sim.store.checkpoint import Checkpoint, CheckpointSchedule, Stage
from crowd_sim.tournament.log import TournamentLog
from crowd_sim.tournament.rules import Rules
from crowd_sim.valuation.log import ValuationLog


class Checkpointer:
    """Goes on with the latest checkpoint that can be used; hands new ones on when they are due."""

    def __init__(
        self,
        earlier: Sequence[Checkpoint],
        config: CheckpointConfig,
        keep: Callable[[Checkpoint], None],
        tell: Callable[..., Any],
        show: Callable[[TournamentLog], object] = lambda _: None,
    ) -> None:
        """See the class.

        Args:
            earlier: the latest first.
            config: when they are due.
            keep: where new ones go.
            tell: what to call with events for the log.
            show: told after every round, whether or not one is due.
        """
        self._earlier, self._keep, self._tell, self._show = earlier, keep, tell, show
        self._cadence = CheckpointSchedule(config)
        self._kept = self._start = 0
        self._has_played = False

    def last(self, rules: Rules, n_workers: int) -> TournamentLog | None:
        """See `crowd_sim.engine.Saving`."""
        for checkpoint in self._of("round"):
            try:
                log = TournamentLog.unpack(checkpoint.content, rules, n_workers)
            except ValueError as error:  # of another version, say
                self._tell("checkpoint unusable", round=checkpoint.round, reason=repr(error))
            else:
                self._tell("resumed", round=log.state.round)
                self._kept, self._start = log.progress, log.state.round
                return log
        return None

    def after(self, log: TournamentLog) -> None:
        """See `crowd_sim.engine.Saving`."""
        if not self._has_played and log.state.round > self._start:  # how long a start, or going on, has taken
            self._has_played = True
            self._tell("first round", round=log.state.round)
        self._show(log)
        if log.progress > self._kept and self._cadence.is_due(log.state.round, log.rules.rounds):
            self._write(log)

    def stopped(self, log: TournamentLog) -> None:
        """See `crowd_sim.engine.Saving`."""
        if log.progress > self._kept:
            with suppress(StorageError):  # why it stopped is what counts, and may be just that
                self._write(log)

    def last_values(self) -> ValuationLog:
        """See `crowd_sim.engine.Saving`."""
        for checkpoint in self._of("values"):
            try:
                log = ValuationLog.unpack(checkpoint.content)
            except ValueError as error:
                self._tell("checkpoint unusable", round=checkpoint.round, stage="values", reason=repr(error))
            else:
                self._tell("values resumed", evaluations=log.n_evaluated)
                return log
        return ValuationLog()

    def after_evaluations(self, log: ValuationLog, *, over: bool = False) -> None:
        """See `crowd_sim.engine.Saving`."""
        if not over and not self._cadence.has_paused():
            return
        start = time.perf_counter()
        self._keep(Checkpoint(log.n_evaluated, log.pack(), "values"))
        self._cadence.took(time.perf_counter() - start)

    def stopped_valuing(self, log: ValuationLog) -> None:
        """See `crowd_sim.engine.Saving`."""
        with suppress(StorageError):
            self.after_evaluations(log, over=True)

    def _of(self, stage: Stage) -> list[Checkpoint]:
        return [checkpoint for checkpoint in self._earlier if checkpoint.stage == stage]

    def _write(self, log: TournamentLog) -> None:
        start = time.perf_counter()
        checkpoint = Checkpoint(log.state.round, log.pack())
        self._keep(checkpoint)
        seconds = time.perf_counter() - start
        self._kept = log.progress
        self._cadence.took(seconds)
        self._tell("checkpoint", round=checkpoint.round, bytes=len(checkpoint.content), seconds=round(seconds, 4))
