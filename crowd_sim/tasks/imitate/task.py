"""The task `imitate`: a language model learns to answer as the target's texts do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.config.screens import ScreensConfig
from crowd_sim.crowd.screens import Screened
from crowd_sim.crowd.texts import TextCrowd
from crowd_sim.files import fingerprint_of
from crowd_sim.host import Host
from crowd_sim.models.adapters import Adapter
from crowd_sim.models.jobs import LearnerInfo, LearnerSpec
from crowd_sim.models.lora import shared_learner, weights_of
from crowd_sim.participants import Participants
from crowd_sim.tasks.adapters.output_cache import OutputCache
from crowd_sim.tasks.adapters.screened_crowd import ScreenedCrowd, screened_of
from crowd_sim.tasks.adapters.settings import everyone, learner_spec, sampling_of, training_of, tuning_folder
from crowd_sim.tasks.adapters.trainers import TextTrainers
from crowd_sim.tasks.base import Batch, OpenTask
from crowd_sim.tasks.imitate.game import RetrainingGame
from crowd_sim.tasks.imitate.honesty import Floor
from crowd_sim.tasks.imitate.learner import ImitateLearner, baselines
from crowd_sim.tasks.imitate.output_scoring import OutputScorer, make_scorer, prompts_of
from crowd_sim.tasks.imitate.records import CandidateRound, Report, report_of, round_of
from crowd_sim.tasks.imitate.screening import screen
from crowd_sim.tournament.learner import Learner
from crowd_sim.tournament.log import History
from crowd_sim.tournament.state import Memory
from crowd_sim.valuation import CachedGame, Game

T = TypeVar("T")


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
        floor: what the crowd's own texts come to; None of a run of an earlier version.
    """

    crowd: TextCrowd
    info: LearnerInfo
    rounds: tuple[CandidateRound, ...]
    reports: tuple[Report, ...]
    models: tuple[Adapter, ...]
    first_order: NDArray[np.float64] | None
    floor: Floor | None = None

    @property
    def tuned_on(self) -> TextCrowd:
        """Everyone's examples."""
        return self.crowd


@dataclass(frozen=True, eq=False)
class ImitateTask:
    """See `crowd_sim.tasks.base.Task`.

    Attributes:
        crowd: the workers that take part.
        utilities: a folder in which the utilities of coalitions are kept, by content; None: nowhere.
        outputs: one for the outputs of candidates.
        tuning: one for candidates that are being tuned.
    """

    crowd: TextCrowd
    utilities: Path | None = None
    outputs: Path | None = None
    tuning: Path | None = None

    @property
    def ids(self) -> Sequence[str]:
        """The workers' names."""
        return self.crowd.ids

    def identity(self) -> Iterator[bytes]:
        """Everyone's texts."""
        return self.crowd.identity()

    @contextmanager
    def open(self, configs: Sequence[RunConfig], host: Host) -> Iterator[OpenTask]:
        """Trainers of the learner that these configurations share, once it has seen that the texts are fit for it.

        Raises:
            InputError: a text or a prompt that the learner cannot take, or that its Φ was fitted to.
        """
        (spec,) = {learner_spec(config) for config in configs}
        make = partial(shared_learner, spec)
        with host.trainers(make) as hosted, host.generators(make) as generators:
            trainers = TextTrainers(hosted)
            info, target = _checked(configs, self.crowd, trainers), trainers.embed(self.crowd.target_texts)
            honest = trainers.embed(self.crowd.honest_texts) if self.crowd.held_out else target
            content, cache = _content(spec, info), None
            if self.outputs is not None or len(configs) > 1:
                folder = self.outputs and self.outputs / fingerprint_of({"learner": content})
                cache = OutputCache(folder)
            trainers = TextTrainers(hosted, cache, tuning_folder(self.tuning, configs, content), generators)
            opened = _OpenImitateTask(self, trainers, info, target, honest, content)
            for config in configs:  # before tournaments go on side by side
                opened.screened_crowd(config)
            yield opened

    def at_rest(self, config: RunConfig, summary: Mapping[str, Any]) -> OpenTask:
        """The summary says what is recorded of the learner; its models are looked at, not loaded."""
        spec = learner_spec(config)
        info = replace(LearnerInfo(**summary["learner"]), weights=weights_of(spec))
        return _OpenImitateTask(self, None, info, *(np.full((1, info.n_dimensions), np.nan),) * 2, _content(spec, info))


@dataclass(frozen=True, eq=False)
class _OpenImitateTask:
    """See `crowd_sim.tasks.base.OpenTask`."""

    task: ImitateTask
    trainers: TextTrainers | None
    info: LearnerInfo
    target: NDArray[np.float64]
    honest: NDArray[np.float64]
    content: str
    screens: dict[ScreensConfig, ScreenedCrowd] = field(default_factory=dict)

    @property
    def weights(self) -> str:
        """A model's folder may hold other weights tomorrow."""
        return self.info.weights

    def together(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """Side by side, their candidates on one model: tuned in one pass where the device does so, and equal ones once."""
        return self.trainers.together(works) if self.trainers and len(works) > 1 else [work() for work in works]

    @contextmanager
    def learner(self, batch: Batch) -> Iterator[Learner]:
        """The learner of a configuration's runs."""
        assert self.trainers is not None  # noqa: S101 - of a run that is over nobody asks for a learner
        (config,) = batch.configs
        found = self.screened_crowd(config)
        crowd, said = (self.task.crowd, None) if found is None else (found.crowd, found.note())
        yield ImitateLearner(config, crowd, self.trainers, self._scorer(config), said)

    def participants(self, configs: Sequence[RunConfig]) -> Sequence[Participants]:
        """Everyone, in every run; the target is no worker."""
        return everyone(self.task.crowd.n_workers, configs)

    def game(self, participants: Participants, run: int, config: RunConfig, evidence: Memory) -> Game:
        """Retraining."""
        del participants, evidence
        scorer = self._scorer(config)
        found = self.screened_crowd(config)
        crowd = self.task.crowd if found is None else found.crowd
        game = RetrainingGame(config, crowd, scorer, run)
        if self.task.utilities is None:
            return game
        how = (training_of(config), sampling_of(config), config.tournament.score, scorer.selection_prompts)
        told = {"learner": self.content, "how": repr(how), "seed": config.seed, "run": run}
        if config.task.judged_by == "likelihood":
            told["judged_by"] = config.task.judged_by
        return CachedGame(game, self.task.utilities, fingerprint_of(told, crowd.identity()))

    def screened(self, config: RunConfig, history: History) -> Screened:
        """From the learner's note."""
        return screened_of(next(note for note in history.notes if note["kind"] == "screens"), config.runs)

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
            info=self.info,
            rounds=tuple(sorted(rounds, key=lambda record: (record.run, record.round))),
            reports=tuple(sorted(reports, key=lambda report: (report.run, order.index(report.name)))),
            models=tuple(history.models),
            first_order=np.array([values for _, values in first]) if first else None,
            floor=next((Floor(**note) for note in notes if note["kind"] == "floor"), None),
        )

    def screened_crowd(self, config: RunConfig) -> ScreenedCrowd | None:
        """The crowd after a configuration's screens; None without any, and for a run that is over, whose notes say it."""
        screens = config.screens
        if screens is None or self.trainers is None:
            return None
        if screens not in self.screens:
            self.screens[screens] = screen(screens, self.task.crowd, self.trainers.embed, self.target.mean(axis=0))
        return self.screens[screens]

    def _scorer(self, config: RunConfig) -> OutputScorer:
        return make_scorer(config, self.task.crowd, self.target, self.honest)


def _checked(configs: Sequence[RunConfig], crowd: TextCrowd, trainers: TextTrainers) -> LearnerInfo:
    """Refuse what would fail later, in the middle of the work; what a run records of its learner."""
    prompts = dict.fromkeys(p for config in configs for both in prompts_of(config, crowd) for p in both)
    # first-order values look at the target's texts, too
    looks = any(config.valuation.method != "none" or config.task.judged_by == "likelihood" for config in configs)
    validation = crowd.validation() if looks else ()
    longest = max(config.task.generation.max_new_tokens for config in configs)
    return trainers.facts(crowd, tuple(prompts), validation, longest)


def _content(spec: LearnerSpec, info: LearnerInfo) -> str:
    """All of a learner that its answers depend on, wherever its files are."""
    own = replace(spec, model="", device="auto", dtype="auto", phi_model=None, adapter=None, recomputes=False)
    return repr((own, info.device, info.dtype, info.weights))
