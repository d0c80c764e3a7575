"""The task `imitate`: a language model learns to answer as the target's texts do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.crowd.texts import TextCrowd
from crowd_sim.host import Host
from crowd_sim.models.adapters import Adapter
from crowd_sim.models.lora import LearnerInfo, LearnerSpec, shared_learner, weights_of
from crowd_sim.participants import Participants
from crowd_sim.tasks.base import Batch, OpenTask
from crowd_sim.tasks.imitate.game import RetrainingGame
from crowd_sim.tasks.imitate.learner import ImitateLearner, baselines
from crowd_sim.tasks.imitate.output_scoring import OutputScorer, make_scorer, prompts_of
from crowd_sim.tasks.imitate.participants import learner_spec
from crowd_sim.tasks.imitate.records import CandidateRound, Report, report_of, round_of
from crowd_sim.tasks.imitate.trainers import TextTrainers
from crowd_sim.tournament.learner import Learner
from crowd_sim.tournament.log import History
from crowd_sim.valuation import CachedGame, Game


@dataclass(frozen=True, eq=False)
class TextDetails:
    """What there is to say of a text outcome beyond what all outcomes have.

    Attributes:
        crowd: the workers that took part.
        info: of the learner.
        rounds: of all runs, in order.
        reports: of all models of all runs, in order.
        models: the final adapter of each run.
        first_order: float64[B, n], see `crowd_sim.models.in_run_shapley`, in nats; None with method `none`.
    """

    crowd: TextCrowd
    info: LearnerInfo
    rounds: tuple[CandidateRound, ...]
    reports: tuple[Report, ...]
    models: tuple[Adapter, ...]
    first_order: NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class ImitateTask:
    """See `crowd_sim.tasks.base.Task`.

    Attributes:
        crowd: the workers that take part.
        utilities: a folder in which the utilities of coalitions are kept, with the key of this run's; None: nowhere.
    """

    crowd: TextCrowd
    utilities: tuple[Path, str] | None = field(default=None)

    @property
    def ids(self) -> Sequence[str]:
        """The workers' names."""
        return self.crowd.ids

    def identity(self) -> Iterator[bytes]:
        """Everyone's texts."""
        yield json.dumps(asdict(self.crowd), sort_keys=True).encode()

    @contextmanager
    def open(self, configs: Sequence[RunConfig], host: Host) -> Iterator[OpenTask]:
        """Trainers of the learner that these configurations share, once it has seen that the texts are fit for it.

        Raises:
            InputError: a text or a prompt that the learner cannot take, or that its Φ was fitted to.
        """
        done: dict[LearnerSpec, dict[str, Any]] | None = {} if len(configs) > 1 else None
        with ExitStack() as services:
            opened: dict[LearnerSpec, TextTrainers] = {}
            for spec in dict.fromkeys(learner_spec(config) for config in configs):
                hosted = services.enter_context(host.trainers(partial(shared_learner, spec)))
                opened[spec] = TextTrainers(hosted, None if done is None else done.setdefault(spec, {}))
            infos = {spec: _checked(configs, spec, self.crowd, trainers) for spec, trainers in opened.items()}
            targets = {spec: trainers.embed(self.crowd.target_texts) for spec, trainers in opened.items()}
            yield _OpenImitateTask(self, opened, infos, targets)

    def at_rest(self, config: RunConfig, summary: Mapping[str, Any]) -> OpenTask:
        """The summary says what is recorded of the learner; its models are looked at, not loaded."""
        spec = learner_spec(config)
        info = replace(LearnerInfo(**summary["learner"]), weights=weights_of(spec))
        return _OpenImitateTask(self, {}, {spec: info}, {spec: np.full((1, info.n_dimensions), np.nan)})


@dataclass(frozen=True, eq=False)
class _OpenImitateTask:
    """See `crowd_sim.tasks.base.OpenTask`."""

    task: ImitateTask
    trainers: Mapping[LearnerSpec, TextTrainers]
    infos: Mapping[LearnerSpec, LearnerInfo]
    targets: Mapping[LearnerSpec, NDArray[np.float64]]

    @property
    def weights(self) -> str:
        """A model's folder may hold other weights tomorrow."""
        return next(iter(self.infos.values())).weights

    @contextmanager
    def learner(self, batch: Batch) -> Iterator[Learner]:
        """The learner of a configuration's runs."""
        (config,) = batch.configs
        yield ImitateLearner(config, self.task.crowd, self._scorer(config), self.trainers[learner_spec(config)])

    def participants(self, configs: Sequence[RunConfig]) -> Sequence[Participants]:
        """Everyone, in every run; the target is no worker."""
        everyone = np.arange(self.task.crowd.n_workers)
        runs = [config.runs for config in configs]
        return [Participants(np.tile(everyone, (n_runs, 1)), np.full(n_runs, -1)) for n_runs in runs]

    def game(self, participants: Participants, run: int, config: RunConfig) -> Game:
        """Retraining."""
        del participants
        game = RetrainingGame(learner_spec(config), self.task.crowd, self._scorer(config), config.seed, run)
        if self.task.utilities is None:
            return game
        folder, key = self.task.utilities
        return CachedGame(game, folder, f"{key}-{run}")

    def details(self, config: RunConfig, history: History) -> TextDetails:
        """From the learner's notes."""
        notes = history.notes
        order = [*baselines(config), *(f"round_{number}" for number in range(1, config.tournament.rounds + 1))]
        order.sort(key=lambda name: (name == "single_equal_tokens", name.startswith("round_")))
        reports = [report_of(note) for note in notes if note["kind"] == "report"]
        rounds = [round_of(note) for note in notes if note["kind"] == "round"]
        first = sorted((note["run"], note["values"]) for note in notes if note["kind"] == "first_order")
        return TextDetails(
            crowd=self.task.crowd,
            info=self.infos[learner_spec(config)],
            rounds=tuple(sorted(rounds, key=lambda record: (record.run, record.round))),
            reports=tuple(sorted(reports, key=lambda report: (report.run, order.index(report.name)))),
            models=tuple(history.models),
            first_order=np.array([values for _, values in first]) if first else None,
        )

    def _scorer(self, config: RunConfig) -> OutputScorer:
        return make_scorer(config, self.task.crowd, self.targets[learner_spec(config)])


def _checked(configs: Sequence[RunConfig], spec: LearnerSpec, crowd: TextCrowd, trainers: TextTrainers) -> LearnerInfo:
    """Refuse what would fail later, in the middle of the work; what a run records of its learner."""
    own = [config for config in configs if learner_spec(config) == spec]
    prompts = dict.fromkeys(p for config in own for both in prompts_of(config, crowd) for p in both)
    # first-order values look at the target's texts, too
    validation = crowd.validation() if any(config.valuation.method != "none" for config in own) else ()
    return trainers.facts(crowd, tuple(prompts), validation)
