"""What a task brings: the crowd's data, a learner, and the game that says what its workers were worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.crowd.screens import Screened
from crowd_sim.host import Host
from crowd_sim.participants import Participants
from crowd_sim.scores import Score
from crowd_sim.tournament.learner import Learner
from crowd_sim.tournament.log import History
from crowd_sim.tournament.state import Memory
from crowd_sim.valuation import Game

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Batch:
    """Configurations that play by the same rules, as one batch of B runs.

    Attributes:
        configs: they share crowd and shapes; what each run has of its own stands below.
        participants: of each configuration's runs.
        seeds, runs: uint64[B], the keys of the runs' random streams.
        step: float64[B].
        score: of all runs.
    """

    configs: Sequence[RunConfig]
    participants: Sequence[Participants]
    seeds: NDArray[np.uint64]
    runs: NDArray[np.uint64]
    step: NDArray[np.float64]
    score: Score


class OpenTask(Protocol):
    """A task whose services are there, for as long as a simulation lasts."""

    @property
    def weights(self) -> str:
        """A digest of what would change results without changing the configuration: models' files; empty without any."""

    def together(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """What pieces of work return that have learners of this task; side by side, where that shares something."""

    def learner(self, batch: Batch) -> AbstractContextManager[Learner]:
        """The learner of a batch of runs."""

    def participants(self, configs: Sequence[RunConfig]) -> Sequence[Participants]:
        """Who takes part in the runs of each configuration of a batch; asked for once."""

    def game(self, participants: Participants, run: int, config: RunConfig, evidence: Memory) -> Game:
        """The game of one of a configuration's runs; with `evidence` of all its runs, of what workers contributed."""

    def screened(self, config: RunConfig, history: History) -> Screened:
        """What a configuration's screens say of its runs: scores float64[B, n], flagged bool[B, n]; asked for if it has any."""

    def details(self, config: RunConfig, history: History) -> Any:
        """What the task has to say of an outcome beyond what all tasks have."""


class Task(Protocol):
    """What is learned, and from whom."""

    @property
    def ids(self) -> Sequence[str]:
        """Names of the workers, by row."""

    def identity(self) -> Iterator[bytes]:
        """What tells this crowd from every other one, for the fingerprint."""

    def open(self, configs: Sequence[RunConfig], host: Host) -> AbstractContextManager[OpenTask]:
        """Start what all runs need.

        Raises:
            InputError: what these configurations ask for cannot be done with the crowd's data.
        """

    def at_rest(self, config: RunConfig, summary: Mapping[str, Any]) -> OpenTask:
        """The task of a finished run with this summary, of which no round is played and no coalition evaluated again.

        Raises:
            InputError: models that are not here to be compared with the run's.
            KeyError, TypeError: a summary that lacks something.
        """
