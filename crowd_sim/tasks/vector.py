"""The task `vector`: a model is a point, and a candidate one that moved towards what its group contributes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.crowd.aggregation import Aggregation, aggregations, mean
from crowd_sim.crowd.bad import bounds_of
from crowd_sim.crowd.cohort import Cohort
from crowd_sim.crowd.facts import informed
from crowd_sim.crowd.population import Population
from crowd_sim.crowd.protocol import Crowd
from crowd_sim.crowd.reduction import split_evenly
from crowd_sim.crowd.screens import Screened
from crowd_sim.crowd.screens.screening import screened_runs
from crowd_sim.crowd.shard import Key
from crowd_sim.elementary import power
from crowd_sim.host import Host, InProcess, Trainers
from crowd_sim.participants import Participants, check_participants, participants_of, roles
from crowd_sim.random import Purpose
from crowd_sim.registry import resolve
from crowd_sim.scores import Score, l2
from crowd_sim.tasks.base import Batch, OpenTask
from crowd_sim.tournament.learner import Candidates, Learner, Note, Part
from crowd_sim.tournament.log import History
from crowd_sim.tournament.request import RoundRequest
from crowd_sim.tournament.state import Memory, Round, Scores, State
from crowd_sim.tournament.streams import RoundStreams
from crowd_sim.valuation import AveragingGame, Game

T = TypeVar("T")


class VectorTuner:
    """The device work of the vector task."""

    def tune(
        self, models: NDArray[np.float64], group_sums: NDArray[np.float64], step: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `tune`."""
        return tune(models, group_sums, step)


def tune(
    models: NDArray[np.float64], group_sums: NDArray[np.float64], step: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Move each group's candidate from the model towards the group's weighted centroid. Source: arXiv 2506.04063.

    A group without weight keeps the model.

    Args:
        models: float64[B, d].
        group_sums: float64[B, K, d + 1], weighted sums of contributions and, last, of weights.
        step: float64[B], δ.

    Returns:
        candidates float64[B, K, d], model + δ (centroid − model).
    """
    candidates = np.empty((*group_sums.shape[:2], models.shape[1]))
    _move(models, group_sums, step, candidates)
    return candidates


# compiled, as in small batches the calls of NumPy cost more than the numbers
@numba.njit(cache=True)
def _move(
    models: NDArray[np.float64], sums: NDArray[np.float64], step: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    d = models.shape[1]
    for b in range(sums.shape[0]):
        for k in range(sums.shape[1]):
            weight = sums[b, k, d]
            for j in range(d):
                centroid = sums[b, k, j] / weight if weight > 0 else models[b, j]
                out[b, k, j] = models[b, j] + step[b] * (centroid - models[b, j])


@numba.njit(cache=True)
def _replace(
    models: NDArray[np.float64], candidates: NDArray[np.float64], winners: NDArray[np.int64], out: NDArray[np.float64]
) -> None:
    for b in range(len(models)):
        out[b] = candidates[b, winners[b]] if winners[b] >= 0 else models[b]


@dataclass(frozen=True, eq=False)
class VectorLearner:
    """See `crowd_sim.tournament.learner.Learner`. Models are float64[B, d].

    Attributes:
        crowd, trainers: who contributes, and who makes candidates.
        step: float64[B], δ.
        score: of points float64[…, d] against targets.
        targets: float64[B, d].
        streams: of the start.
        initial_range: a model starts uniform in [low, high]^d.
        weight_power: a worker weighs this power of its points.
        aggregation: what a group's candidate moves towards.
    """

    crowd: Crowd
    trainers: Trainers
    step: NDArray[np.float64]
    scoring: Score
    targets: NDArray[np.float64]
    streams: RoundStreams
    initial_range: tuple[float, float]
    weight_power: int = 2
    aggregation: Aggregation = mean

    def initial(self) -> NDArray[np.float64]:
        """Uniform in the initial range."""
        low, high = self.initial_range
        return low + (high - low) * self.streams.uniforms(Purpose.INITIAL_MODEL, self.targets.shape[1])

    def weights(self, points: NDArray[np.float64], *, exploits: bool = False) -> NDArray[np.float64]:
        """Points squared (source: arXiv 2506.04063), or another power of their part of the largest, which cannot overflow."""
        del exploits
        return points**2 if self.weight_power == 2 else power(points, self.weight_power)

    def contributions(self, asked: RoundRequest) -> NDArray[np.float64]:
        """Of the crowd, in order of place."""
        n_runs, n_workers = asked.weights.shape
        return self.crowd.contributions(asked, np.tile(np.arange(n_workers), (n_runs, 1)))

    def tune(self, asked: RoundRequest, part: Part | None = None, before: Candidates | None = None) -> Candidates:
        """One step towards each group's centroid, or what stands for it; there are no parts of it."""
        del part, before
        sums = self.aggregation(self.crowd, asked)
        parts = split_evenly(asked.n_groups, self.trainers.number)
        calls = [(asked.models, sums[:, first:stop], self.step) for first, stop in parts]
        names = [f"candidates {first} to {stop - 1}" for first, stop in parts]
        answers = self.trainers.gather("tune", calls, names)
        made = answers[0] if len(answers) == 1 else np.concatenate(answers, axis=1)
        return Candidates(made, np.zeros(made.shape[:2], dtype=np.int64))

    def score(
        self,
        asked: RoundRequest,
        candidates: Candidates | None,
        numbers: Sequence[int] = (),
        alive: NDArray[np.bool_] | None = None,
        *,
        incumbents: bool = True,
    ) -> Scores:
        """Scores are exact, so they need no draws."""
        del numbers, alive
        n_runs = len(self.targets)
        old = self.scoring(asked.models, self.targets) if incumbents else np.full(n_runs, np.nan)
        new = np.empty((n_runs, 0)) if candidates is None else self.scoring(candidates.models, self.targets[:, None, :])
        return Scores(old, np.zeros(n_runs), new, np.zeros(new.shape), np.zeros(n_runs, dtype=np.int64))

    def audit(self, asked: RoundRequest, workers: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of steps towards what each contributes."""
        models = asked.models[:, None, :]
        made = models + self.step[:, None, None] * (self.crowd.contributions(asked, workers) - models)
        return self.scoring(made, self.targets[:, None, :])

    def combine(self, candidates: Candidates, weights: NDArray[np.float64]) -> Candidates:
        """Their weighted mean."""
        shares = weights[:, :, None]
        parts = np.where(np.isnan(shares), 0.0, shares * candidates.models)
        merged = parts.sum(axis=1, keepdims=True)
        return Candidates(merged, np.zeros((len(merged), 1), dtype=np.int64))

    def carried(self, merged: Candidates, asked: RoundRequest) -> Candidates:
        """By the difference of the points."""
        moved = merged.models + asked.momentum * (asked.models - asked.before)[:, None, :]
        return Candidates(moved, merged.trained)

    def adopt(
        self,
        models: NDArray[np.float64],
        candidates: Candidates,
        merged: Candidates | None,
        winners: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """float64[B, d]."""
        new = candidates.models if merged is None else np.concatenate([candidates.models, merged.models], axis=1)
        adopted = np.empty_like(models)
        _replace(models, new, winners, adopted)
        return adopted

    def notes(self, state: State, rounds: int, notes: Sequence[Note]) -> Sequence[Note]:
        """A point says nothing."""
        del state, rounds, notes
        return ()

    def describe(self, played: Round, seconds: float) -> Sequence[Note]:
        """All that there is to know of a round stands in its numbers."""
        del played, seconds
        return ()

    def measure(self, state: State, notes: Sequence[Note]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Distance ‖model − target‖₂ and score."""
        del notes
        return -l2(state.models, self.targets), self.scoring(state.models, self.targets)


@dataclass(frozen=True, eq=False)
class VectorTask:
    """See `crowd_sim.tasks.base.Task`.

    Attributes:
        population: whom workers and targets are chosen from.
        chosen: who takes part; None: chosen as a configuration says.
    """

    population: Population
    chosen: Participants | None = None

    @property
    def ids(self) -> Sequence[str]:
        """Of the population."""
        return self.population.ids

    def identity(self) -> Iterator[bytes]:
        """The population's."""
        return iter(self.population.identity())

    @contextmanager
    def open(self, configs: Sequence[RunConfig], host: Host) -> Iterator[OpenTask]:
        """Nothing is needed yet.

        Raises:
            InputError: the population is too small.
        """
        for config in configs:
            check_participants(config, self.population)
        yield _OpenVectorTask(self.population, host, self.chosen)

    def at_rest(self, config: RunConfig, summary: Mapping[str, Any]) -> OpenTask:
        """All that there is to know of the crowd is here."""
        del config, summary
        return _OpenVectorTask(self.population, InProcess(), self.chosen)


@dataclass(frozen=True, eq=False)
class _OpenVectorTask:
    """See `crowd_sim.tasks.base.OpenTask`."""

    population: Population
    host: Host
    chosen: Participants | None = None
    weights: str = ""

    def together(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """One after the other: runs that share something are one batch."""
        return [work() for work in works]

    @contextmanager
    def learner(self, batch: Batch) -> Iterator[Learner]:
        """A learner on the host's crowd and trainers."""
        first = batch.configs[0]
        workers = np.concatenate([present.workers for present in batch.participants])
        targets = np.concatenate([present.targets for present in batch.participants])
        tournament = first.tournament
        by_name = aggregations(tournament.assumed_bad, tournament.clipping_radius)
        cohort, targets = self._cohort(batch, workers), self.population.rows(targets)
        with self.host.crowd(cohort) as crowd, self.host.trainers(VectorTuner) as trainers:
            yield VectorLearner(
                crowd=informed(crowd, cohort, targets),
                trainers=trainers,
                step=batch.step,
                scoring=batch.score,
                targets=targets,
                streams=RoundStreams(batch.seeds, batch.runs, 0),
                initial_range=tournament.initial_range,
                weight_power=tournament.weight_power,
                aggregation=by_name[tournament.aggregation],
            )

    def _cohort(self, batch: Batch, workers: NDArray[np.int64]) -> Cohort:
        config, present = batch.configs[0], roles(batch.configs)
        crowd = config.crowd
        key = Key(crowd.behaviour, batch.seeds, batch.runs, config.tournament.bounds)
        if present is not None:
            n_bad = bounds_of(crowd.bad_groups, crowd.n_workers)[-1]
            key = replace(key, bad=crowd.bad_groups, n_workers=crowd.n_workers, n_bad=n_bad)
            workers = present.data(workers)
        return Cohort(self.population, workers, crowd.chunk_size, key, present)

    def participants(self, configs: Sequence[RunConfig]) -> Sequence[Participants]:
        """Chosen from the population."""
        return [self.chosen] * len(configs) if self.chosen else participants_of(configs, self.population)

    def game(self, participants: Participants, run: int, config: RunConfig, evidence: Memory) -> Game:
        """The score of the mean of a coalition's vectors, or of its mean contributions where evidence was kept."""
        name = config.tournament.score
        score = resolve("score", name) if ":" in name else name
        vectors = self.population.vectors
        workers, target = participants.workers[run], participants.targets[run]
        contributed = evidence["mean"][run] if evidence else vectors[workers]
        return AveragingGame(contributed, vectors[target], score=score)

    def screened(self, config: RunConfig, history: History) -> Screened:
        """By the evidence of all rounds."""
        return screened_runs(history.evidence, config.screens.use if config.screens else ())

    def details(self, config: RunConfig, history: History) -> None:
        """Nothing more."""
        del config, history
