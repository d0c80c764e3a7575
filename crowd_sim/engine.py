"""One way through the house: rounds, values, metrics, for every task. A run is a batch of one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache, partial
from itertools import groupby
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from crowd_sim.config import RunConfig
from crowd_sim.config.tournament import CalibrationConfig, TournamentConfig
from crowd_sim.crowd.screens import Screened
from crowd_sim.crowd.screens.metrics import screen_metrics
from crowd_sim.crowd.screens.screening import Screening
from crowd_sim.host import Evaluators, Host, LocalEvaluators
from crowd_sim.metrics import METRICS, detection, pearson, rounds_to_converge, spearman
from crowd_sim.outcome import Outcome
from crowd_sim.participants import Participants, roles, run_keys
from crowd_sim.paying import Payment, paid
from crowd_sim.payment.fairness import figures
from crowd_sim.progress import Progress, quiet
from crowd_sim.registry import resolve
from crowd_sim.scores import Score
from crowd_sim.tasks.base import Batch, OpenTask, Task
from crowd_sim.tournament.calibrated import Calibration, calibrated
from crowd_sim.tournament.grouping import Grouping
from crowd_sim.tournament.groups import Groups
from crowd_sim.tournament.learner import Learner
from crowd_sim.tournament.log import History, TournamentLog
from crowd_sim.tournament.round import play
from crowd_sim.tournament.rules import Rules, start
from crowd_sim.tournament.search import SEARCHES
from crowd_sim.tournament.state import Memory, Reward
from crowd_sim.tournament.streams import RoundStreams
from crowd_sim.valuing import GamePlan, SavingValues, Valued, plan_games, value_games, values_of


class Saving(SavingValues, Protocol):
    """Where a simulation leaves its state, and finds it again."""

    def last(self, rules: Rules, n_workers: int) -> TournamentLog | None:
        """The log to go on with; None: from the start."""

    def after(self, log: TournamentLog) -> None:
        """Told after every round, and after everything that a learner notes: may keep the log."""

    def stopped(self, log: TournamentLog) -> None:
        """Told where the log went no further than this, for an error or an interruption: keeps it."""


def simulate(
    configs: Sequence[RunConfig],
    task: Task,
    host: Host,
    progress: Progress = quiet,
    saving: Saving | None = None,
) -> list[Outcome]:
    """Simulate and value configurations that share one crowd, each with all its replicates.

    Configurations that play by the same rules run as one batch; runs that are the same game are valued once. Neither
    changes a result. What `saving` kept of the rounds is gone on with; it is for a single configuration.

    Raises:
        InputError: what a configuration asks for cannot be done with the crowd's data.
        StrategyError: a user-defined strategy raised.
    """
    with task.open(configs, host) as opened:
        return simulate_opened(configs, opened, task.ids, host, progress, saving)


def simulate_opened(
    configs: Sequence[RunConfig],
    task: OpenTask,
    ids: Sequence[str],
    host: Host,
    progress: Progress = quiet,
    saving: Saving | None = None,
    *,
    each: Sequence[Saving] = (),
) -> list[Outcome]:
    """See `simulate`; of a task that is open already. `each` keeps the rounds of every configuration in place of `saving`."""
    batches = [([configs[i] for i in members], members) for members in _by_rules(configs)]
    participants: dict[int, Participants] = {}
    for batched, members in batches:
        participants |= dict(zip(members, task.participants(batched), strict=True))
    # games of what workers contributed are known only after the rounds
    waits, evidence = any(config.needs_evidence for config in configs), dict[int, Memory]()

    @cache
    def plan() -> GamePlan:
        numbers = range(len(configs))
        return plan_games(configs, [participants[i] for i in numbers], task, [evidence.get(i, {}) for i in numbers])

    # a BLAS that splits its sums over threads would make the bits depend on the machine
    with threadpool_limits(1), ExitStack() as services:

        @cache
        def evaluators() -> Evaluators:
            return services.enter_context(host.evaluators(plan().games)) if plan().games else LocalEvaluators([])

        turn = Lock()

        def on_idle() -> None:
            with turn:  # tournaments may go on side by side
                if not waits:
                    evaluators()

        def played(batched: list[RunConfig], members: list[int]) -> list[History]:
            batch = _batch(batched, [participants[i] for i in members])
            own = each[members[0]] if each else saving
            return list(_tournament(batch, task, on_idle, progress, own))

        found = task.together([partial(played, batched, members) for batched, members in batches])
        histories = {
            i: history
            for (_, members), own in zip(batches, found, strict=True)
            for i, history in zip(members, own, strict=True)
        }
        screens = {i: task.screened(one, histories[i]) for i, one in enumerate(configs) if one.screens is not None}
        excluded = {i: found.flagged for i, found in screens.items() if _excludes(configs[i])}
        histories |= {i: _without_points(histories[i], flagged) for i, flagged in excluded.items()}
        evidence |= {i: histories[i].evidence for i, config in enumerate(configs) if config.needs_evidence}
        values = value_games(plan(), evaluators(), progress, saving)
        valued = [values_of(config, values) for config in configs]
        payments = [
            paid(config, task, participants[i], histories[i], valued[i], excluded.get(i))
            for i, config in enumerate(configs)
        ]
    return [
        _outcome(config, task, ids, participants[i], histories[i], valued[i], payments[i], screens.get(i))
        for i, config in enumerate(configs)
    ]


def _by_rules(configs: Sequence[RunConfig]) -> Iterator[list[int]]:
    """Numbers of the configurations that can play as one batch: same crowd and shapes, same reward mechanism.

    Those with the same grouping and score stand together. Where workers leave, or models are no points, a batch is the runs
    of one configuration.
    """
    own = dict.fromkeys(("seed", "runs", "valuation", "actors", "payment"), True)
    apart = ("step", "mistake_probability", "convergence_distance", "grouping", "score")

    def shape(i: int) -> str:
        if configs[i].task.kind != "vector" or configs[i].tournament.drop_used:
            return str(i)
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
    parts: list[tuple[Grouping, slice]] = [(resolve("grouping", n), runs) for n, runs in _parts(names, repeats)]

    def grouping(points: NDArray[np.float64], n_groups: int, draws: RoundStreams, rounds: int) -> Groups:
        found = [part(points[runs], n_groups, draws.of(runs), rounds).of_everyone() for part, runs in parts]
        return Groups(np.concatenate(found))

    return parts[0][0] if len(parts) == 1 else grouping


def _score(names: Sequence[str], repeats: Sequence[int]) -> Score:
    """The score of a batch whose runs are scored in different ways."""
    parts: list[tuple[Score, slice]] = [(resolve("score", n), runs) for n, runs in _parts(names, repeats)]

    def score(x: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([part(x[runs], target[runs]) for part, runs in parts])

    return score


def _batch(configs: Sequence[RunConfig], participants: Sequence[Participants]) -> Batch:
    seeds, runs = run_keys(configs)
    repeats = [config.runs for config in configs]
    return Batch(
        configs=configs,
        participants=participants,
        seeds=seeds,
        runs=runs,
        step=np.repeat([config.tournament.step for config in configs], repeats),
        score=_score([config.tournament.score for config in configs], repeats),
    )


def _rules(batch: Batch) -> Rules:
    first, repeats = batch.configs[0], [config.runs for config in batch.configs]
    tournament = first.tournament
    return Rules(
        rounds=tournament.rounds,
        n_groups=tournament.n_groups,
        grouping=_grouping([config.tournament.grouping for config in batch.configs], repeats),
        search=SEARCHES[tournament.search],
        reward=_reward(tournament.reward, tournament),
        observers={name: _reward(name, tournament) for name in tournament.observe},
        incumbent=tournament.incumbent,
        drop_used=tournament.drop_used,
        evidence=any(config.needs_evidence for config in batch.configs),
        # a text's candidate is tuned to the end, not a step of the way
        step=batch.step if first.task.kind == "vector" else np.ones(len(batch.seeds)),
        mistake_probability=np.repeat([config.tournament.mistake_probability for config in batch.configs], repeats),
        seeds=batch.seeds,
        runs=batch.runs,
        measure_every=tournament.measure_every or 0,
        exploit_every=tournament.exploit_every or 0,
        audits=tournament.audits,
        screening=_screening(first),
        outer_momentum=tournament.outer_momentum,
    )


def _reward(name: str, tournament: TournamentConfig) -> Reward:
    found: Reward = resolve("reward", name)
    if name == "calibrated" and tournament.calibration != CalibrationConfig():
        return partial(calibrated, options=Calibration(**tournament.calibration.model_dump()))
    return found


def _screening(config: RunConfig) -> Callable[[NDArray[np.float64], Memory, int], NDArray[np.float64]] | None:
    screens = config.screens
    if screens is None or screens.action == "report" or config.task.kind != "vector":
        return None  # texts are screened before the first round
    return Screening(screens.action == "merge", screens.use, screens.from_round).weights


def _excludes(config: RunConfig) -> bool:
    return config.screens is not None and config.screens.action == "exclude"


def _without_points(history: History, flagged: NDArray[np.bool_]) -> History:
    """The history in which those whom screens exclude have earned nothing."""
    observed = {name: np.where(flagged, 0.0, points) for name, points in history.observed.items()}
    return replace(history, points=np.where(flagged, 0.0, history.points), observed=observed)


def _tournament(
    batch: Batch, task: OpenTask, on_idle: Callable[[], object], progress: Progress, saving: Saving | None
) -> Iterator[History]:
    """Play all rounds of configurations with the same rules; each one's history.

    `on_idle`, called after every round, starts what is needed after the last: processes that start together share the
    machine's cores, and the first round should not wait for those that it does not need.
    """
    rules, n_workers = _rules(batch), batch.configs[0].crowd.n_workers
    log = saving.last(rules, n_workers) if saving else None
    if log is None or not log.is_complete:
        with task.learner(batch) as learner:
            log = log or TournamentLog(rules, start(rules, learner, n_workers))
            with _stopping(saving, log):
                _finish(log, learner, on_idle, progress, saving)
    else:
        progress("rounds", rules.rounds, rules.rounds)
    history, stop = log.history(), 0
    for config in batch.configs:
        yield history.of(slice(stop, stop := stop + config.runs))


def _finish(
    log: TournamentLog,
    learner: Learner,
    on_idle: Callable[[], object],
    progress: Progress,
    saving: Saving | None,
) -> None:
    """Play what is left, and measure the model before the first round and after every one."""
    rules = log.rules
    progress("rounds", log.state.round, rules.rounds)  # the start is over
    while True:
        for note in learner.notes(log.state, rules.rounds, log.notes):
            log.notes.append(note)
            progress("rounds", log.state.round, rules.rounds, str(note.get("name", "")).replace("_", " "))
            if saving:
                saving.after(log)
        log.measured(*learner.measure(log.state, log.notes))
        if log.state.round:
            if saving:
                saving.after(log)
            progress("rounds", log.state.round, rules.rounds)
        if log.is_complete:
            return
        began = time.perf_counter()
        state, played = play(rules, log.state, learner)
        notes = learner.describe(played, time.perf_counter() - began)
        log.advance(state, played, notes)
        on_idle()
        if saving and notes:  # what is still to be noted of the new model may take as long as the round
            saving.after(log)


@contextmanager
def _stopping(saving: Saving | None, log: TournamentLog) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if saving:
            saving.stopped(log)
        raise


def _outcome(
    config: RunConfig,
    task: OpenTask,
    ids: Sequence[str],
    participants: Participants,
    history: History,
    values: Sequence[Valued],
    payment: Payment | None,
    screens: Screened | None,
) -> Outcome:
    accurate = np.stack([valued.accurate.values for valued in values]) if values else None
    stderr = np.stack([valued.accurate.stderr for valued in values]) if values else None
    paper = [valued.kernel_shap for valued in values if valued.kernel_shap]
    kernel_shap = np.stack([result.values for result in paper]) if paper else None
    metrics = {"final_distance": history.distances[-1]}
    if config.task.kind == "vector":  # of texts no distance counts as converged
        metrics["rounds_to_converge"] = rounds_to_converge(history.distances, config.tournament.convergence_distance)
    unknown = np.full(config.runs, np.nan)
    for label, estimate in (("kernel_shap", kernel_shap), ("accurate", accurate)):
        metrics[f"pearson_{label}"] = unknown if estimate is None else pearson(history.points, estimate)
        metrics[f"spearman_{label}"] = unknown if estimate is None else spearman(history.points, estimate)
    watched = {}
    for name, points in history.observed.items():
        watched[f"pearson_{name}"] = unknown if accurate is None else pearson(points, accurate)
        watched[f"spearman_{name}"] = unknown if accurate is None else spearman(points, accurate)
    found = roles([config])
    if found is not None:
        told = {"points": history.points, **history.observed} | ({} if accurate is None else {"values": accurate})
        watched |= detection(told, found.bad)
    if payment is not None:
        bad, owners = (found.bad, found.operators) if found else (None, None)
        watched |= {"pay_unpaid": payment.unpaid, **figures(payment.pay, accurate, bad, owners)}
    if screens is not None:
        watched |= screen_metrics(screens, None if found is None else found.bad)
    return Outcome(
        config=config,
        history=history,
        workers=participants.workers,
        targets=participants.targets,
        values=accurate,
        stderr=stderr,
        kernel_shap=kernel_shap,
        methods=tuple(valued.accurate.method for valued in values),
        n_evaluations={
            "accurate": sum(valued.accurate.n_evaluations for valued in values),
            "kernel_shap": sum(result.n_evaluations for result in paper),
        },
        metrics={name: metrics[name] for name in METRICS if name in metrics} | watched,
        ids=ids,
        details=task.details(config, history),
        pay=None if payment is None else payment.pay,
        clusters=None if payment is None else payment.clusters,
        screened=screens,
    )
