"""What learners of texts share: LoRA candidates, tuned on each group's examples. Source: Crowd-SFT (arXiv 2506.04063)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.crowd.texts import Example, TextCrowd
from crowd_sim.elementary import power
from crowd_sim.models.adapters import Adapter
from crowd_sim.models.jobs import TuneJob
from crowd_sim.models.merging import merge
from crowd_sim.models.training import Key
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

    def weights(self, points: NDArray[np.float64], *, exploits: bool = False) -> NDArray[np.float64]:
        """A worker weighs as much as it has examples; where points are exploited, times their power."""
        counts = np.array([float(len(examples)) for examples in self.crowd.examples])
        if exploits:
            return counts * power(points, self.config.tournament.weight_power)
        return np.broadcast_to(counts, points.shape)

    def tune(self, asked: RoundRequest, part: Part | None = None, before: Candidates | None = None) -> Candidates:
        """Tune on the examples of each group; optimisers start anew with each part, in another order of the examples.

        The candidate of a group without examples is the model itself.
        """
        task, n_groups = self.config.task, asked.n_groups
        trained = np.zeros((self.config.runs, n_groups), dtype=np.int64) if before is None else before.trained.copy()
        models: list[list[Adapter]] = []
        for run, groups in enumerate(self._groups(asked)):
            starts = [asked.models[run]] * n_groups if before is None else list(before.models[run])
            going: list[int] = [k for k in range(n_groups) if groups[k]]
            tokens, number = None, 0
            if part is not None:
                going = [k for k in going if part.alive[run, k]]
                number = part.number << 16
            if part is not None or task.tokens_per_round is not None:
                share = (task.tokens_per_round or task.epochs * sum(self.trainers.count(groups))) // (
                    part.of if part else 1
                )
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
        """Mean scores, of incumbents and candidates together; one that is the model itself has the model's."""
        n_runs = self.config.runs
        found = np.full((n_runs, len(numbers) + 1), np.nan)
        errors, generated = found.copy(), np.zeros(n_runs, dtype=np.int64)
        for run in range(n_runs):
            going = [k for k in range(len(numbers)) if alive is None or alive[run, k]]
            same = [k for k in going if incumbents and candidates and candidates.models[run][k] is asked.models[run]]
            going = [k for k in going if k not in same]
            own = [candidates.models[run][k] for k in going] if candidates is not None else []
            keys = [numbers[k] for k in going]
            if incumbents:
                own, keys, going = [*own, asked.models[run]], [*keys, asked.n_groups], [*going, len(numbers)]
            judged = self._judged(own, [self._key(run, asked.round, number) for number in keys])
            for k, (mean, error, n_tokens) in zip(going, judged, strict=True):
                found[run, k], errors[run, k] = mean, error
                generated[run] += n_tokens
            found[run, same], errors[run, same] = found[run, -1], errors[run, -1]
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

    def carried(self, merged: Candidates, asked: RoundRequest) -> Candidates:
        """The adapters nearest to the products moved on by the difference of the models' products."""
        shares = [1.0, asked.momentum, -asked.momentum]
        ways = zip(merged.models, asked.models, asked.before, strict=True)
        return Candidates([[merge([*own, now, was], shares)] for own, now, was in ways], merged.trained)

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
        every = self.config.tournament.exploit_every
        if every and asked.round % every == 0:
            for weights in asked.weights:
                yield [mixed(self.crowd.examples, weights), *[()] * (asked.n_groups - 1)]
            return
        assignment = np.where(asked.weights > 0, asked.groups.of_everyone(), -1)
        for own in assignment:
            yield [
                tuple(e for worker in np.flatnonzero(own == k) for e in self.crowd.examples[worker])
                for k in range(asked.n_groups)
            ]

    def _key(self, run: int, number: int, candidate: int) -> Key:
        return Key(self.config.seed, run, number, candidate)


def mixed(examples: Sequence[Sequence[Example]], weights: NDArray[np.float64]) -> tuple[Example, ...]:
    """As many examples as there are, each worker's share that of its weight, its own over and over where that is more.

    Args:
        examples: of n workers.
        weights: float64[n], at least 0; of nobody's, as of all alike, everyone has its own.
    """
    counts = np.array([len(own) for own in examples])
    if not weights.any():
        weights = counts.astype(np.float64)
    wanted = weights * (counts > 0) / (weights * (counts > 0)).sum() * counts.sum()
    passes = np.floor(wanted).astype(np.int64)
    largest = np.argsort(passes - wanted, kind="stable")[: counts.sum() - passes.sum()]
    passes[largest] += 1
    return tuple(own[i % len(own)] for own, n in zip(examples, passes.tolist(), strict=True) for i in range(n))
