"""The games of a simulation, each valued once.

A run's game depends on its people, its target and its score, not on how the tournament is played: configurations that differ
in groupings, say, share their games, and the scores of one run share the coalitions drawn for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from crowd_sim.config import RunConfig, ValuationConfig
from crowd_sim.host import Evaluators
from crowd_sim.progress import Progress
from crowd_sim.tasks.base import OpenTask
from crowd_sim.valuation import AveragingGame, Game, ShapleyResult, shapley_many
from crowd_sim.valuation.request import ListEvaluate


@dataclass(frozen=True)
class GameSet:
    """The games of one run: one per score that the configurations ask for.

    Attributes:
        seed, run: the key of the draws.
        valuation: how to value them.
        scores: names of the scores, one per game.
        numbers: the games' numbers among all games.
    """

    seed: int
    run: int
    valuation: ValuationConfig
    scores: tuple[str, ...]
    numbers: range


@dataclass(frozen=True)
class Valued:
    """What one run's workers were worth.

    Attributes:
        accurate: by the configuration's method.
        kernel_shap: the paper's estimate, or None where its budget is 0.
    """

    accurate: ShapleyResult
    kernel_shap: ShapleyResult | None


_Key = tuple[str, str, int, int]


@dataclass(frozen=True)
class GamePlan:
    """All different games of some configurations."""

    games: list[Game]
    sets: dict[_Key, GameSet]


def plan_games(configs: Sequence[RunConfig], task: OpenTask) -> GamePlan:
    """Find the different games; none for configurations whose method is `none`."""
    wanted: dict[_Key, dict[str, RunConfig]] = {}
    for config in configs:
        if config.valuation.method != "none":
            for run in range(config.runs):
                scores = wanted.setdefault(_key(config, run), {})
                scores.setdefault(config.tournament.score, config)
    players = {}
    for config in sorted(configs, key=lambda c: c.runs):  # the one with most runs has the others' players too
        players[_key(config, 0)] = task.players(config)
    games: list[Game] = []
    sets: dict[_Key, GameSet] = {}
    for key, scores in wanted.items():
        run, first = key[-1], next(iter(scores.values()))
        numbers = range(len(games), len(games) + len(scores))
        games += [task.game(players[_key(first, 0)], run, config) for config in scores.values()]
        sets[key] = GameSet(first.seed, run, first.valuation, tuple(scores), numbers)
    return GamePlan(games, sets)


Values = dict[tuple[_Key, str], Valued]


def value_games(plan: GamePlan, evaluators: Evaluators, progress: Progress) -> Values:
    """Value every game of a plan; progress is told the mean relative error of the games so far, where it is known."""
    values: Values = {}
    errors: list[float] = []
    for done, (key, games) in enumerate(plan.sets.items()):
        value = partial(
            shapley_many,
            [plan.games[number] for number in games.numbers],
            seed=games.seed,
            run=games.run,
            evaluate=ListEvaluate(partial(evaluators.utilities, games.numbers)),
        )
        accurate = value(method=games.valuation.method, budget=games.valuation.budget)
        # the paper's estimate is of its averaging games; another game is too dear to be valued twice
        averages = all(isinstance(plan.games[number], AveragingGame) for number in games.numbers)
        budget = games.valuation.kernel_shap_budget if averages else 0
        paper = value(method="kernel_shap", budget=budget) if budget else [None] * len(accurate)
        for score, a, p in zip(games.scores, accurate, paper, strict=True):
            values[key, score] = Valued(a, p)
        errors += [error for result in accurate if math.isfinite(error := result.relative_error)]
        note = f"error about {sum(errors) / len(errors):.2g} of the values' spread" if errors else ""
        progress("games", done + 1, len(plan.sets), note)
    return values


def values_of(config: RunConfig, values: Values) -> list[Valued]:
    """The values of a configuration's runs, in their order; empty where its method is `none`."""
    if config.valuation.method == "none":
        return []
    return [values[_key(config, run), config.tournament.score] for run in range(config.runs)]


def _key(config: RunConfig, run: int) -> _Key:
    crowd = config.crowd.model_dump_json()
    # what is learned by retraining depends on how it is trained, and the section `task` says that
    learned = "" if config.task.kind == "vector" else config.task.model_dump_json()
    return crowd + learned, config.valuation.model_dump_json(), config.seed, run
