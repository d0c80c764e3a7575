"""A run that is complete, read from its folder: nothing is played, tuned or evaluated, and no model is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.engine import simulate_opened
from crowd_sim.errors import InputError
from crowd_sim.host import Evaluators, InProcess
from crowd_sim.integrity import read_json
from crowd_sim.outcome import Outcome
from crowd_sim.paths import exists
from crowd_sim.store.checkpoint import Checkpoints
from crowd_sim.store.checkpointer import Checkpointer
from crowd_sim.store.run_log import read_status
from crowd_sim.tasks.base import OpenTask, Task
from crowd_sim.tournament.log import TournamentLog
from crowd_sim.tournament.rules import Rules
from crowd_sim.valuation import Game
from crowd_sim.valuation.request import Chunk


def opened_at_rest(folder: Path, config: RunConfig, task: Task) -> OpenTask | None:
    """The task of a run that has finished in this folder, as far as its outcome needs it; nothing is started.

    None where no run has finished there, or where its models are not on this machine, so that nobody can say here whether
    they are still the same.
    """
    try:
        if read_status(folder).state != "finished":
            return None
        summary = read_json(folder / "summary.json")
        return task.at_rest(config, summary)
    except (OSError, ValueError, TypeError, KeyError, InputError):
        return None


def kept_outcome(
    folder: Path, config: RunConfig, task: OpenTask, ids: Sequence[str], fingerprint: str
) -> Outcome | None:
    """The outcome of a finished run, of its checkpoints alone; None where they do not hold all of it.

    Args:
        folder: of the run, which nobody else may change meanwhile.
        config: of the run.
        task: from `opened_at_rest`.
        ids: names of the workers.
        fingerprint: the run's fingerprint.
    """
    if not exists(folder / "summary.json"):  # it was, and is to go on with a changed configuration
        return None
    kept = tuple(Checkpoints(folder, fingerprint).read())
    saving = _Whole(kept, config.actors.checkpoints, _nothing, _nothing)
    try:
        return simulate_opened([config], task, ids, _AtRest(), saving=saving)[0]
    except _NotKept:
        return None


class _NotKept(Exception):  # noqa: N818 it never leaves this module
    """Something would have to be done again."""


class _Whole(Checkpointer):
    """Only of a tournament that is over."""

    def last(self, rules: Rules, n_workers: int) -> TournamentLog:
        """See `crowd_sim.engine.Saving`."""
        log = super().last(rules, n_workers)
        if log is None or not log.is_complete:
            raise _NotKept
        return log


class _AtRest(InProcess):
    """A host that evaluates nothing."""

    def evaluators(self, games: Sequence[Game]) -> AbstractContextManager[Evaluators]:
        """See `crowd_sim.host.Host`."""
        del games
        return nullcontext(self)

    def utilities(self, games: Sequence[int], chunks: Iterable[Chunk]) -> Iterator[NDArray[np.float64]]:
        """Those that are asked for are not kept."""
        del games, chunks
        raise _NotKept


def _nothing(*_: object, **__: object) -> None:
    """Keeps nothing, and tells nobody."""
