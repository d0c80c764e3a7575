"""One way through the house: people, rounds, values, metrics. A run is a batch of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from crowd_sim.config import RunConfig
from crowd_sim.crowd.cohort import Cohort
from crowd_sim.crowd.population import Population
from crowd_sim.crowd.shard import Key
from crowd_sim.host import Evaluators, Host, LocalEvaluators
from crowd_sim.metrics import METRICS, pearson, rounds_to_converge, spearman
from crowd_sim.participants import participants_of, run_keys
from crowd_sim.progress import Progress, quiet
from crowd_sim.registry import strategy
from crowd_sim.scores import Score
from crowd_sim.tournament.grouping import Grouping
from crowd_sim.tournament.groups import Groups
from crowd_sim.tournament.log import History, TournamentLog
from crowd_sim.tournament.round import Rules, play, start
from crowd_sim.tournament.streams import RoundStreams
from crowd_sim.valuing import SavingValues, Valued, plan_games, value_games, values_of


class Saving(SavingValues, Protocol):
    """Where a simulation leaves its state, and finds it again."""

    def last(self, rules: Rules) -> TournamentLog | None:
        """The tournament to go on with; None: from the start."""

    def after_round(self, log: TournamentLog) -> None:
        """Told after every round: may keep it."""

    def stopped(self, log: TournamentLog) -> None:
        """Told where the tournament went no further than this, for an error or an interruption: keeps it."""


@dataclass(frozen=True)
class Outcome:
    """A configuration's runs, simulated and valued.

    Attributes:
        config: the configuration.
        history: of its B = config.runs runs.
        workers: int64[B, n], rows of the population; targets: int64[B].
        values, stderr: float64[B, n], the accurate Shapley values and their standard errors; None with method `none`.
        kernel_shap: float64[B, n], the paper's estimate; None where its budget is 0 or the method `none`.
        methods: the estimator that made each run's `values`.
        n_evaluations: utility evaluations spent on `values` and on `kernel_shap`, all runs together.
        metrics: float64[B] by name (`METRICS`); NaN where there is nothing to measure.
    """

    config: RunConfig
    history: History
    workers: NDArray[np.int64]
    targets: NDArray[np.int64]
    values: NDArray[np.float64] | None
    stderr: NDArray[np.float64] | None
    kernel_shap: NDArray[np.float64] | None
    methods: tuple[str, ...]
    n_evaluations: dict[str, int]
    metrics: dict[str, NDArray[np.float64]]


def simulate(
    configs: Sequence[RunConfig],
    population: Population,
    host: Host,
    progress: Progress = quiet,
    saving: Saving | None = None,
) -> list[Outcome]:
    """Simulate and value configurations that share one population, each with all its replicates.

    Configurations that play by the same rules run as one batch; runs that are the same game are valued once. Neither
    changes a result. What `saving` kept of the rounds is gone on with; it is for a single configuration.

    Raises:
        InputError: the population is too small for a configuration.
        StrategyError: a strategy of one's own raised.
    """
    plan = plan_games(configs, population)
    # a BLAS that splits its sums over threads would make the bits depend on the machine
    with threadpool_limits(1), ExitStack() as services:

        @cache
        def evaluators() -> Evaluators:
            return services.enter_context(host.evaluators(plan.games)) if plan.games else LocalEvaluators([])

        histories: dict[int, History] = {}
        for members in _by_rules(configs):
            played = _tournament([configs[i] for i in members], population, host, evaluators, progress, saving)
            histories |= dict(zip(members, played, strict=True))
        values = value_games(plan, evaluators(), progress, saving)
    return [_outcome(config, population, histories[i], values_of(config, values)) for i, config in enumerate(configs)]


def _by_rules(configs: Sequence[RunConfig]) -> Iterator[list[int]]:
    """Numbers of the configurations that can play as one batch: same crowd and shapes, same reward mechanism.

    Those with the same grouping and score stand together.
    """
    own = dict.fromkeys(("seed", "runs", "valuation", "actors"), True)
    apart = ("step", "mistake_probability", "convergence_distance", "grouping", "score")

    def shape(i: int) -> str:
        return configs[i].model_dump_json(exclude={**own, "tournament": dict.fromkeys(apart, True)})

    def order(i: int) -> tuple[str, str, str]:
        return shape(i), configs[i].tournament.grouping, configs[i].tournament.score

    for _, members in groupby(sorted(range(len(configs)), key=order), key=shape):
        yield list(members)


def _parts(names: Sequence[str], repeats: Sequence[int]) -> list[tuple[str, slice]]:
    """Consecutive runs that share a name, for names that hold for that many runs each."""
    parts: list[tuple[str, slice]] = []
    stop = 0
    for name, members in groupby(zip(names, repeats, strict=True), key=lambda pair: pair[0]):
        first, stop = stop, stop + sum(n_runs for _, n_runs in members)
        parts.append((name, slice(first, stop)))
    return parts


def _grouping(names: Sequence[str], repeats: Sequence[int]) -> Grouping:
    """The grouping of a batch whose runs are grouped in different ways."""
    parts: list[tuple[Grouping, slice]] = [(strategy("grouping", n), runs) for n, runs in _parts(names, repeats)]

    def grouping(points: NDArray[np.float64], n_groups: int, draws: RoundStreams, rounds: int) -> Groups:
        found = [part(points[runs], n_groups, draws.of(runs), rounds).of_everyone() for part, runs in parts]
        return Groups(np.concatenate(found))

    return parts[0][0] if len(parts) == 1 else grouping


def _score(names: Sequence[str], repeats: Sequence[int]) -> Score:
    """The score of a batch whose runs are scored in different ways."""
    parts: list[tuple[Score, slice]] = [(strategy("score", n), runs) for n, runs in _parts(names, repeats)]

    def score(x: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([part(x[runs], target[runs]) for part, runs in parts])

    return score


def _tournament(
    batch: Sequence[RunConfig],
    population: Population,
    host: Host,
    on_idle: Callable[[], object],
    progress: Progress,
    saving: Saving | None,
) -> Iterator[History]:
    """Play all rounds of configurations with the same rules; each one's history.

    `on_idle`, called after every round, starts what is needed after the last: processes that start together share the
    machine's cores, and the first round should not wait for those that it does not need.
    """
    first = batch[0]
    seeds, runs = run_keys(batch)
    workers, targets = participants_of(batch, population)
    repeats = [config.runs for config in batch]
    rules = Rules(
        rounds=first.tournament.rounds,
        n_groups=first.tournament.n_groups,
        grouping=_grouping([config.tournament.grouping for config in batch], repeats),
        score=_score([config.tournament.score for config in batch], repeats),
        reward=strategy("reward", first.tournament.reward),
        step=np.repeat([config.tournament.step for config in batch], repeats),
        mistake_probability=np.repeat([config.tournament.mistake_probability for config in batch], repeats),
        seeds=seeds,
        runs=runs,
        targets=population.rows(targets),
        initial_range=first.tournament.initial_range,
    )
    cohort = Cohort(population, workers, first.crowd.chunk_size, Key(first.crowd.behaviour, seeds, runs))
    log = (saving.last(rules) if saving else None) or TournamentLog(rules, start(rules, workers.shape[1]))
    if log.state.round < rules.rounds:
        with host.crowd(cohort) as crowd, host.trainers() as trainers, _stopping(saving, log):
            while log.state.round < rules.rounds:
                log.advance(*play(rules, log.state, crowd.group_sums, trainers.tune))
                on_idle()
                if saving:
                    saving.after_round(log)
                progress("rounds", log.state.round, rules.rounds)
    history = log.history()
    stop = 0
    for n_runs in repeats:
        yield history.of(slice(stop, stop := stop + n_runs))


@contextmanager
def _stopping(saving: Saving | None, log: TournamentLog) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if saving:
            saving.stopped(log)
        raise


def _outcome(config: RunConfig, population: Population, history: History, values: Sequence[Valued]) -> Outcome:
    workers, targets = participants_of([config], population)
    accurate = np.stack([valued.accurate.values for valued in values]) if values else None
    stderr = np.stack([valued.accurate.stderr for valued in values]) if values else None
    paper = [valued.kernel_shap for valued in values if valued.kernel_shap]
    kernel_shap = np.stack([result.values for result in paper]) if paper else None
    metrics = {
        "final_distance": history.distances[-1],
        "rounds_to_converge": rounds_to_converge(history.distances, config.tournament.convergence_distance),
    }
    unknown = np.full(config.runs, np.nan)
    for label, estimate in (("kernel_shap", kernel_shap), ("accurate", accurate)):
        metrics[f"pearson_{label}"] = unknown if estimate is None else pearson(history.points, estimate)
        metrics[f"spearman_{label}"] = unknown if estimate is None else spearman(history.points, estimate)
    return Outcome(
        config=config,
        history=history,
        workers=workers,
        targets=targets,
        values=accurate,
        stderr=stderr,
        kernel_shap=kernel_shap,
        methods=tuple(valued.accurate.method for valued in values),
        n_evaluations={
            "accurate": sum(valued.accurate.n_evaluations for valued in values),
            "kernel_shap": sum(result.n_evaluations for result in paper),
        },
        metrics={name: metrics[name] for name in METRICS},
    )
