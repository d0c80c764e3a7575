"""The games of a simulation, each valued once.

A run's game depends on its people, its target and its score, not on how the tournament is played: configurations that differ
in groupings, say, share their games, and the scores of one run share the coalitions drawn for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig, ValuationConfig
from crowd_sim.host import Evaluators
from crowd_sim.participants import Participants
from crowd_sim.payment.rules import GAME_RULES, game_scores
from crowd_sim.progress import Progress
from crowd_sim.tasks.base import OpenTask
from crowd_sim.tournament.state import Memory
from crowd_sim.valuation import AveragingGame, Game, ShapleyResult, shapley_many
from crowd_sim.valuation.log import ValuationLog
from crowd_sim.valuation.request import Evaluate, ListEvaluate
from crowd_sim.valuation.values import AllUtilities


@dataclass(frozen=True)
class GameSet:
    """The games of one run: one per score that the configurations ask for.

    Attributes:
        seed, run: the key of the draws.
        valuation: how to value them.
        scores: names of the scores, one per game.
        numbers: the games' numbers among all games.
        payments: rules that pay for games which are valued by all their coalitions, and too dear to be evaluated again.
    """

    seed: int
    run: int
    valuation: ValuationConfig
    scores: tuple[str, ...]
    numbers: range
    payments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Valued:
    """What one run's workers were worth.

    Attributes:
        accurate: by the configuration's method.
        kernel_shap: the paper's estimate, or None where its budget is 0.
        scores: float64[n] by rule, of `GameSet.payments`.
    """

    accurate: ShapleyResult
    kernel_shap: ShapleyResult | None
    scores: Mapping[str, NDArray[np.float64]]


_Key = tuple[str, str, int, int]


@dataclass(frozen=True)
class GamePlan:
    """All different games of some configurations."""

    games: list[Game]
    sets: dict[_Key, GameSet]


def plan_games(
    configs: Sequence[RunConfig], participants: Sequence[Participants], task: OpenTask, evidence: Sequence[Memory]
) -> GamePlan:
    """Find the different games; none for configurations whose method is `none`.

    Args:
        configs: what is simulated.
        participants: of each configuration.
        task: whose games they are.
        evidence: of each configuration, what its workers contributed; empty where it was not kept.
    """
    wanted: dict[_Key, dict[str, tuple[RunConfig, Participants, Memory]]] = {}
    payments: dict[_Key, set[str]] = {}
    for config, present, kept in zip(configs, participants, evidence, strict=True):
        if config.valuation.method != "none":
            for run in range(config.runs):
                scores = wanted.setdefault(_key(config, run), {})
                scores.setdefault(config.tournament.score, (config, present, kept))
                payments.setdefault(_key(config, run), set()).update(_payments(config))
    games: list[Game] = []
    sets: dict[_Key, GameSet] = {}
    for key, scores in wanted.items():
        run, (first, _, _) = key[-1], next(iter(scores.values()))
        numbers = range(len(games), len(games) + len(scores))
        games += [task.game(present, run, config, kept) for config, present, kept in scores.values()]
        sets[key] = GameSet(first.seed, run, first.valuation, tuple(scores), numbers, tuple(sorted(payments[key])))
    return GamePlan(games, sets)


class SavingValues(Protocol):
    """Where a valuation leaves what it has come to, and finds it again."""

    def last_values(self) -> ValuationLog:
        """The log to go on with."""

    def after_evaluations(self, log: ValuationLog, *, over: bool = False) -> None:
        """Told after every piece of work: may keep the log; keeps it where the valuation is over."""

    def stopped_valuing(self, log: ValuationLog) -> None:
        """Told where it went no further, for an error or an interruption: keeps the log."""


Values = dict[tuple[_Key, str], Valued]


def value_games(
    plan: GamePlan, evaluators: Evaluators, progress: Progress, saving: SavingValues | None = None
) -> Values:
    """Value every game of a plan; progress is told the mean relative error of the games so far, where it is known.

    What `saving` has kept is not evaluated again.
    """
    if saving is None or not plan.sets:
        return _valued(plan, evaluators, progress, None, lambda: None)
    log = saving.last_values()
    try:
        values = _valued(plan, evaluators, progress, log, lambda: saving.after_evaluations(log))
    except BaseException:
        saving.stopped_valuing(log)
        raise
    saving.after_evaluations(log, over=True)
    return values


def _valued(
    plan: GamePlan, evaluators: Evaluators, progress: Progress, log: ValuationLog | None, after: Callable[[], object]
) -> Values:
    values: Values = {}
    errors: list[float] = []
    for done, (key, games) in enumerate(plan.sets.items()):
        evaluate = _told(partial(evaluators.utilities, games.numbers), progress, done, len(plan.sets))
        players = [plan.games[number] for number in games.numbers]

        def value(
            method: str, budget: int, games: GameSet = games, players: list[Game] = players, evaluate: Any = evaluate
        ) -> list[ShapleyResult]:
            def by(evaluate: Evaluate) -> list[ShapleyResult]:
                paying = games.payments if method == games.valuation.method else ()
                tables: list[NDArray[np.float64]] = []
                found = shapley_many(
                    players,
                    method=method,
                    budget=budget,
                    seed=games.seed,
                    run=games.run,
                    evaluate=_recorded(evaluate, tables) if paying else evaluate,
                )
                for rule in paying:
                    for table in np.concatenate(tables, axis=1):
                        game = AllUtilities(players[0].n_players, table)
                        scores = game_scores(rule, game, len(table), games.seed, games.run)
                        found.append(ShapleyResult(scores, np.zeros_like(scores), 0, rule))
                return found

            return by(ListEvaluate(evaluate)) if log is None else log.result(by, evaluate, after)

        found = value(games.valuation.method, games.valuation.budget)
        accurate, paid = found[: len(players)], found[len(players) :]
        # the paper's estimate is of its averaging games; another game is too dear to be valued twice
        averages = all(isinstance(game, AveragingGame) for game in players)
        budget = games.valuation.kernel_shap_budget if averages else 0
        paper = value("kernel_shap", budget) if budget else [None] * len(accurate)
        for g, (score, a, p) in enumerate(zip(games.scores, accurate, paper, strict=True)):
            scores = {result.method: result.values for result in paid[g :: len(players)]}
            values[key, score] = Valued(a, p, scores)
        errors += [error for result in accurate if math.isfinite(error := result.relative_error)]
        note = f"error about {sum(errors) / len(errors):.2g} of the values' spread" if errors else ""
        progress("games", done + 1, len(plan.sets), note)
    return values


_Utilities = Callable[[Iterable[Any]], Iterator[NDArray[np.float64]]]


def _told(evaluate: _Utilities, progress: Progress, done: int, total: int) -> _Utilities:
    """The same evaluator; progress hears of every piece: of texts a single game may last for hours."""

    def evaluated(chunks: Iterable[Any]) -> Iterator[NDArray[np.float64]]:
        count = 0
        for utilities in evaluate(chunks):
            count += utilities.shape[1]
            progress("games", done, total, f"{count:,} coalitions of game {done + 1:,}")
            yield utilities

    return evaluated


def _recorded(evaluate: Evaluate, tables: list[NDArray[np.float64]]) -> Evaluate:
    """The same evaluator, which notes its utilities; enumeration asks for all coalitions in the order of their numbers."""

    def noted(chunks: Any) -> Iterator[NDArray[np.float64]]:
        for utilities in evaluate(chunks):
            tables.append(utilities)
            yield utilities

    return noted


def values_of(config: RunConfig, values: Values) -> list[Valued]:
    """The values of a configuration's runs, in their order; empty where its method is `none`."""
    if config.valuation.method == "none":
        return []
    return [values[_key(config, run), config.tournament.score] for run in range(config.runs)]


def _key(config: RunConfig, run: int) -> _Key:
    crowd = config.crowd.model_dump_json()
    # what is learned by retraining depends on how it is trained, and the section `task` says that
    learned = "" if config.task.kind == "vector" else config.task.model_dump_json()
    if config.screens is not None:  # which take part of the examples, or steer the models that workers see
        learned += config.screens.model_dump_json()
    if config.needs_evidence:  # what is contributed depends on the models that workers see
        learned += config.tournament.model_dump_json() + str(config.runs)
    return crowd + learned, config.valuation.model_dump_json(), config.seed, run


def _payments(config: RunConfig) -> set[str]:
    rule = config.payment.rule if config.payment else ""
    return {rule} & set(GAME_RULES) if config.task.kind != "vector" else set()
