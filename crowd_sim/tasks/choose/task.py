"""The tasks `classify`, `prefer` and `verify`: a language model learns what is right, as the crowd says it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from crowd_sim.config import RunConfig
from crowd_sim.crowd.screens import Screened
from crowd_sim.crowd.texts import Example
from crowd_sim.files import fingerprint_of
from crowd_sim.host import Host
from crowd_sim.models.jobs import LearnerInfo
from crowd_sim.models.lora import shared_learner, weights_of
from crowd_sim.participants import Participants
from crowd_sim.tasks.adapters.screened_crowd import ScreenedCrowd, screened_of
from crowd_sim.tasks.adapters.settings import everyone, learner_spec, training_of, tuning_folder
from crowd_sim.tasks.adapters.trainers import TextTrainers
from crowd_sim.tasks.base import Batch, OpenTask
from crowd_sim.tasks.choose.crowd import ChoiceCrowd
from crowd_sim.tasks.choose.game import ChoiceGame
from crowd_sim.tasks.choose.learner import ChoiceLearner
from crowd_sim.tasks.choose.records import details_of
from crowd_sim.tasks.choose.screening import screen
from crowd_sim.tournament.learner import Learner
from crowd_sim.tournament.log import History
from crowd_sim.tournament.state import Memory
from crowd_sim.valuation import CachedGame, Game

T = TypeVar("T")


@dataclass(frozen=True)
class Means:
    """What the items of a task are judged by.

    Attributes:
        learner: (configuration, crowd, trainers, items, note of screens if there are any) → the learner.
        game: (configuration, items, run) → the game by retraining.
        details: (items, notes, models, facts of the learner) → what an outcome has beyond all others.
    """

    learner: Callable[..., Learner]
    game: Callable[[RunConfig, ChoiceCrowd, int], Game]
    details: Callable[..., Any]


CHOICES = Means(ChoiceLearner, ChoiceGame, details_of)
"""Of `classify` and `prefer`."""


@dataclass(frozen=True, eq=False)
class ChoiceTask:
    """See `crowd_sim.tasks.base.Task`.

    Attributes:
        crowd: the workers that take part, and the items.
        utilities: a folder in which the utilities of coalitions are kept, by content; None: nowhere.
        means: what the items are judged by.
        tuning: a folder for candidates that are being tuned; None: none.
    """

    crowd: ChoiceCrowd
    utilities: Path | None = None
    means: Means = CHOICES
    tuning: Path | None = None

    @property
    def ids(self) -> Sequence[str]:
        """The workers' names."""
        return self.crowd.texts.ids

    def identity(self) -> Iterator[bytes]:
        """Everyone's examples, and the items."""
        return self.crowd.identity()

    @contextmanager
    def open(self, configs: Sequence[RunConfig], host: Host) -> Iterator[OpenTask]:
        """Trainers of the learner that these configurations share, once it has seen that all texts are fit for it.

        Raises:
            InputError: a text that the learner cannot take.
        """
        (spec,) = {learner_spec(config) for config in configs}
        texts, items = self.crowd.texts, (*self.crowd.selection, *self.crowd.report)
        rivals = tuple(tuple(replace(e, response=e.rival or e.response) for e in own) for own in texts.examples)
        trusted = replace(texts, ids=("expert",), examples=(self.crowd.expert,), screened=True)
        choices = tuple(Example(item.prompt, choice, item.before) for item in items for choice in item.choices)
        make = partial(shared_learner, spec)
        with host.trainers(make) as hosted, host.generators(make) as generators:
            trainers = TextTrainers(hosted)
            draws = any(config.task.kind == "verify" or config.task.asks_rewards for config in configs)
            prompts = (*texts.in_turn(), *self.crowd.expert, *choices) if draws else ()
            longest = max(config.task.generation.max_new_tokens for config in configs)
            for crowd in (trusted, replace(texts, examples=rivals), texts):
                info = trainers.facts(crowd, prompts, choices, longest)
            own = replace(spec, model="", device="auto", dtype="auto", adapter=None, recomputes=False)
            told = (own, info.device, info.dtype, info.weights)
            trainers = TextTrainers(hosted, None, tuning_folder(self.tuning, configs, repr(told)), generators)
            opened = _OpenChoiceTask(self, trainers, info, repr(told))
            for config in configs:  # before tournaments go on side by side
                opened.screened_crowd(config)
            yield opened

    def at_rest(self, config: RunConfig, summary: Mapping[str, Any]) -> OpenTask:
        """The summary says what is recorded of the learner; its models are looked at, not loaded."""
        info = replace(LearnerInfo(**summary["learner"]), weights=weights_of(learner_spec(config)))
        return _OpenChoiceTask(self, None, info)


@dataclass(frozen=True, eq=False)
class _OpenChoiceTask:
    """See `crowd_sim.tasks.base.OpenTask`."""

    task: ChoiceTask
    trainers: TextTrainers | None
    info: LearnerInfo
    content: str = ""
    screens: dict[str, ScreenedCrowd] = field(default_factory=dict)

    @property
    def crowd(self) -> ChoiceCrowd:
        """The workers that take part, and the items."""
        return self.task.crowd

    @property
    def weights(self) -> str:
        """A model's folder may hold other weights tomorrow."""
        return self.info.weights

    def together(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """Side by side, their candidates on one model."""
        return self.trainers.together(works) if self.trainers and len(works) > 1 else [work() for work in works]

    @contextmanager
    def learner(self, batch: Batch) -> Iterator[Learner]:
        """The learner of a configuration's runs."""
        assert self.trainers is not None  # noqa: S101 - of a run that is over nobody asks for a learner
        (config,) = batch.configs
        found = self.screened_crowd(config)
        texts, said = (self.crowd.texts, None) if found is None else (found.crowd, found.note())
        yield self.task.means.learner(config, texts, self.trainers, self.crowd, *([] if said is None else [said]))

    def participants(self, configs: Sequence[RunConfig]) -> Sequence[Participants]:
        """Everyone, in every run; the target is no worker."""
        return everyone(self.crowd.texts.n_workers, configs)

    def game(self, participants: Participants, run: int, config: RunConfig, evidence: Memory) -> Game:
        """Retraining."""
        del participants, evidence
        found = self.screened_crowd(config)
        crowd = self.crowd if found is None else replace(self.crowd, texts=found.crowd)
        game = self.task.means.game(config, crowd, run)
        if self.task.utilities is None:
            return game
        told = {"learner": self.content, "how": repr(training_of(config)), "seed": config.seed, "run": run}
        if config.task.kind == "verify":
            told["judged"] = repr((config.task.verifier, config.task.generation.max_new_tokens))
        return CachedGame(game, self.task.utilities, fingerprint_of(told, crowd.identity()))

    def screened(self, config: RunConfig, history: History) -> Screened:
        """From the learner's note."""
        return screened_of(next(note for note in history.notes if note["kind"] == "screens"), config.runs)

    def screened_crowd(self, config: RunConfig) -> ScreenedCrowd | None:
        """The crowd after a configuration's screens; None without any, and for a run that is over, whose notes say it."""
        if config.screens is None or self.trainers is None:
            return None
        how = repr((config.seed, config.screens, config.task))
        if how not in self.screens:
            # done before the run has a folder to keep anything in
            self.screens[how] = screen(config, self.crowd, replace(self.trainers, tuning=None))
        return self.screens[how]

    def details(self, config: RunConfig, history: History) -> Any:
        """From the learner's notes."""
        del config
        return self.task.means.details(self.crowd, history.notes, history.models, self.info)
