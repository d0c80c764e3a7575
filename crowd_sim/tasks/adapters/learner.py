"""What learners of texts share: LoRA candidates, tuned on each group's examples. Source: Crowd-SFT (arXiv 2506.04063)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.crowd.texts import Example, TextCrowd
from crowd_sim.models.adapters import Adapter
from crowd_sim.models.lora import TuneJob
from crowd_sim.models.merging import merge
from crowd_sim.models.tuning import Key
from crowd_sim.tasks.adapters.settings import training_of
from crowd_sim.tasks.adapters.trainers import TextTrainers
from crowd_sim.tournament.learner import Candidates, Part
from crowd_sim.tournament.request import RoundRequest
from crowd_sim.tournament.state import Scores


@dataclass(frozen=True, eq=False)
class AdapterLearner(ABC):
    """See `crowd_sim.tournament.learner.Learner`. Models are B adapters; how they are judged is the task's.

    Attributes:
        config: of all B runs.
        crowd: who takes part.
        trainers: who tunes and judges.
    """

    config: RunConfig
    crowd: TextCrowd
    trainers: TextTrainers
    _starts: dict[int, Adapter] = field(default_factory=dict, init=False, repr=False)

    def initial(self) -> tuple[Adapter, ...]:
        """Adapters that change nothing yet."""
        return tuple(self._start(run) for run in range(self.config.runs))

    def weights(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """A worker weighs as much as it has examples."""
        counts = np.array([float(len(examples)) for examples in self.crowd.examples])
        return np.broadcast_to(counts, points.shape)

    def tune(self, asked: RoundRequest, part: Part | None = None, before: Candidates | None = None) -> Candidates:
        """Tune on the examples of each group; optimisers start anew with each part, in another order of the examples."""
        epochs, n_groups = self.config.task.epochs, asked.n_groups
        trained = np.zeros((self.config.runs, n_groups), dtype=np.int64) if before is None else before.trained.copy()
        models: list[list[Adapter]] = []
        for run, groups in enumerate(self._groups(asked)):
            starts = [asked.models[run]] * n_groups if before is None else list(before.models[run])
            going: list[int] = list(range(n_groups))
            tokens, number = None, 0
            if part is not None:
                going = np.flatnonzero(part.alive[run]).tolist()
                number = part.number << 16
                share = epochs * sum(self.trainers.count(groups)) // part.of
                tokens = share // max(len(going), 1)
            keys = [self._key(run, asked.round, k + number) for k in going]
            training = training_of(self.config)
            jobs = [TuneJob(starts[k], groups[k], key, training, tokens) for k, key in zip(going, keys, strict=True)]
            for k, tuned in zip(going, self.trainers.tune(jobs) if jobs else (), strict=True):
                starts[k] = tuned.adapter
                trained[run, k] += tuned.n_tokens
            models.append(starts)
        return Candidates(models, trained)

    def score(
        self,
        asked: RoundRequest,
        candidates: Candidates | None,
        numbers: Sequence[int] = (),
        alive: NDArray[np.bool_] | None = None,
        *,
        incumbents: bool = True,
    ) -> Scores:
        """Mean scores, of incumbents and candidates together."""
        n_runs = self.config.runs
        found = np.full((n_runs, len(numbers) + 1), np.nan)
        errors, generated = found.copy(), np.zeros(n_runs, dtype=np.int64)
        for run in range(n_runs):
            going = [k for k in range(len(numbers)) if alive is None or alive[run, k]]
            own = [candidates.models[run][k] for k in going] if candidates is not None else []
            keys = [numbers[k] for k in going]
            if incumbents:
                own, keys, going = [*own, asked.models[run]], [*keys, asked.n_groups], [*going, len(numbers)]
            judged = self._judged(own, [self._key(run, asked.round, number) for number in keys])
            for k, (mean, error, n_tokens) in zip(going, judged, strict=True):
                found[run, k], errors[run, k] = mean, error
                generated[run] += n_tokens
        return Scores(found[:, -1], errors[:, -1], found[:, :-1], errors[:, :-1], generated)

    @abstractmethod
    def _judged(self, adapters: Sequence[Adapter], keys: Sequence[Key]) -> list[tuple[float, float, int]]:
        """Of each adapter of one run its mean score, the standard error, and the tokens that were generated for it."""

    def combine(self, candidates: Candidates, weights: NDArray[np.float64]) -> Candidates:
        """The adapter nearest to the weighted sum of the candidates' products; of a run without weights its first."""
        merged = []
        for own, shares in zip(candidates.models, weights, strict=True):
            there = np.flatnonzero(~np.isnan(shares)).tolist()
            merged.append([merge([own[k] for k in there], shares[there].tolist()) if there else own[0]])
        return Candidates(merged, np.zeros((len(merged), 1), dtype=np.int64))

    def adopt(
        self,
        models: Sequence[Adapter],
        candidates: Candidates,
        merged: Candidates | None,
        winners: NDArray[np.int64],
    ) -> tuple[Adapter, ...]:
        """B adapters."""
        after = []
        for run, winner in enumerate(winners.tolist()):
            own = candidates.models[run]
            if winner == len(own) and merged is not None:
                own = [*own, *merged.models[run]]
            after.append(own[winner] if winner >= 0 else models[run])
        return tuple(after)

    def _start(self, run: int) -> Adapter:
        # not a `cached_property`: before Python 3.12 all learners' would wait for the one that is being made
        if run not in self._starts:
            self._starts[run] = self.trainers.initial(self.config.seed, run)
        return self._starts[run]

    def _groups(self, asked: RoundRequest) -> Iterator[list[tuple[Example, ...]]]:
        """The examples of each group, for every run."""
        assignment = np.where(asked.weights > 0, asked.groups.of_everyone(), -1)
        for own in assignment:
            yield [
                tuple(e for worker in np.flatnonzero(own == k) for e in self.crowd.examples[worker])
                for k in range(asked.n_groups)
            ]

    def _key(self, run: int, number: int, candidate: int) -> Key:
        return Key(self.config.seed, run, number, candidate)
