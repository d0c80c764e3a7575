"""What a command would do, on what, and for about how long: `--dry-run`. Nothing is written and no cluster is joined."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from crowd_sim.commands import IN_PROCESS
from crowd_sim.config import RunConfig
from crowd_sim.config.tournament import DEFENCES, TournamentConfig
from crowd_sim.engine import simulate
from crowd_sim.host import InProcess
from crowd_sim.participants import check_participants
from crowd_sim.paths import exists
from crowd_sim.searches.plan import Search
from crowd_sim.searches.study import check_installed
from crowd_sim.store.run_folder import run_fingerprint
from crowd_sim.sweeps.parts import count_points
from crowd_sim.sweeps.plan import Sweep
from crowd_sim.tasks.base import Task
from crowd_sim.tasks.choose.task import ChoiceTask
from crowd_sim.tasks.load import load_task
from crowd_sim.tasks.vector import VectorTask

_ROUNDS = 10
_EVALUATIONS = 5_000
_MOST_WORKERS = 100_000
"""A rehearsal with more would take longer than anyone waits for an estimate."""


def of_run(config: RunConfig, name: str, out: Path | None, ray_address: str | None) -> Iterator[str]:
    """What `crowd-sim run` would do, a line each.

    Raises:
        InputError: people, or a base model, that cannot be used.
    """
    task = load_task(config)
    _check_model(config)
    if isinstance(task, VectorTask):
        check_participants(config, task.population)
    folder = out or Path("runs") / f"{name}-{run_fingerprint(config, task)[:8]}"
    yield f"would run: {_work(config)}"
    yield f"on: {_crowd(config)}; {_place(config, ray_address)}"
    yield f"into: {folder} ({_state(folder)})"
    yield f"how long: {_seconds(config, task, 1)}"
    yield from task.crowd.remarks if isinstance(task, ChoiceTask) else ()


def of_sweep(plan: Sweep, name: str, out: Path | None, ray_address: str | None) -> Iterator[str]:
    """What `crowd-sim sweep` would do, a line each.

    Raises:
        InputError: people, or a base model, that cannot be used.
    """
    # with it comes pandas, which a run's first line does not need
    from crowd_sim.commands.sweep import fingerprint_of_sweep

    folder = out or Path("runs") / f"{name}-{fingerprint_of_sweep(plan)[:8]}"
    first, n_points = plan.points[0].config, plan.n_points
    _check_model(first)
    done, failed = count_points(folder)
    fields = ", ".join(f"{field} ({len(values)})" for field, values in plan.fields.items())
    yield f"would run: {n_points:,} points ({fields}), the first: {_work(first)}"
    yield f"on: {_crowd(first)}; {_place(first, ray_address, swept=True)}"
    yield f"into: {folder} ({done:,} points are there, {failed:,} failed)"
    left = n_points - done - failed
    yield f"how long: {_seconds(first, load_task(first), left)}" + (
        f", all {left:,} points like the first" if left else ""
    )


def of_search(plan: Search, name: str, out: Path | None, ray_address: str | None) -> Iterator[str]:
    """What `crowd-sim search` would do, a line each.

    Raises:
        InputError: people, or a base model, that cannot be used, or Optuna is not installed.
    """
    check_installed()
    from crowd_sim.commands.search import fingerprint_of_search

    folder = out or Path("runs") / f"{name}-{fingerprint_of_search(plan)[:8]}"
    own, options = plan.own, plan.options
    _check_model(own)
    yield (
        f"would run: {options.trials:,} trials of {', '.join(plan.space)} ({options.direction} {options.metric}), "
        f"{options.held_out} held-out seeds; the own setting: {_work(own)}"
    )
    yield f"on: {_crowd(own)}; {_place(own, ray_address, swept=True)}"
    yield f"into: {folder} ({_state(folder)})"
    n_points = options.trials + 2 * options.held_out
    yield f"how long: {_seconds(own, load_task(own), n_points)}, all trials like the own setting and none pruned"


def _check_model(config: RunConfig) -> None:
    if config.task.kind != "vector":
        from crowd_sim.models.language_model import check_base

        check_base(config.task.model)


def _work(config: RunConfig) -> str:
    tournament, valuation = config.tournament, config.valuation
    runs = f"{config.runs:,} run{'s' * (config.runs != 1)} of {tournament.rounds:,} rounds"
    values = "no values"
    if valuation.method != "none":
        most = "all" if valuation.method == "exact" else "at most"
        values = f"values by {valuation.method}, {most} {_evaluations(config):,} coalitions a game"
    groups = f"{config.crowd.n_workers:,} workers in {tournament.n_groups} groups"
    return f"{runs}, {groups} (task {config.task.kind}, reward {tournament.reward}), {values}"


def _evaluations(config: RunConfig) -> int:
    """Coalitions of a game that are evaluated, at most: there are 2^n, and the exact method asks for all."""
    n, budget = config.crowd.n_workers, config.valuation.budget
    everyone = 2**n if n < budget.bit_length() + 1 or config.valuation.method == "exact" else budget
    return everyone if config.valuation.method == "exact" else min(budget, everyone)


def _crowd(config: RunConfig) -> str:
    path = f" from {config.crowd.path}" if config.crowd.path else ""
    bad = "".join(f", {group.share:.3g} of them {group.behaviour}" for group in config.crowd.bad_groups)
    defences = "".join(
        f", {name} {getattr(config.tournament, name)}"
        for name in DEFENCES
        if getattr(config.tournament, name)
        != TournamentConfig.model_fields[name].get_default(call_default_factory=True)
    )
    screens = f", screens {config.screens.action}" if config.screens else ""
    paid = f", paid by {config.payment.rule}" if config.payment else ""
    return f"crowd {config.crowd.source}{path}{bad}{defences}{screens}{paid}"


def _place(config: RunConfig, ray_address: str | None, *, swept: bool = False) -> str:
    if ray_address == IN_PROCESS:
        return "in this process"
    from crowd_sim.actors.placement import actors_of, required_by_run, required_by_sweep

    vectors = config.task.kind == "vector"
    if swept and vectors:
        need = required_by_sweep(config.actors)
    else:
        need = required_by_run(actors_of(config), with_crowd=vectors and not swept)
    amounts = " and ".join(f"{amount:g} {name}" for name, amount in sorted(need.totals.items())) or "no CPUs of its own"
    return f"{ray_address or 'RAY_ADDRESS, else a local Ray'} with {amounts} at least"


def _state(folder: Path) -> str:
    if exists(folder / "summary.json"):
        return "complete: its outcome would be read"
    return "begun: would be gone on with" if exists(folder / "config.yaml") else "new"


def _seconds(config: RunConfig, task: Task, n_points: int) -> str:
    """An estimate from a rehearsal of a few rounds and evaluations of one run, on one core."""
    if config.task.kind != "vector":
        runs = config.runs * n_points
        work = [f"{runs * config.tournament.rounds * config.tournament.n_groups:,} candidates to tune"]
        singles = len(config.task.single_sizes) + config.task.equal_tokens if config.task.kind == "imitate" else 0
        if baselines := runs * (len(config.task.baselines) + singles):
            work.append(f"{baselines:,} single models beside them")
        if config.valuation.method != "none":
            most = "" if config.valuation.method == "exact" else "at most "
            work.append(f"{most}{runs * _evaluations(config):,} coalitions to tune a model for")
        said = ", ".join(work)
        return f"{said}; `crowd-sim status` tells the time left once the model is loaded"
    if config.crowd.n_workers > _MOST_WORKERS:
        return "not rehearsed: the crowd is large; `crowd-sim status` tells the rate once it runs"
    rounds = min(config.tournament.rounds, _ROUNDS)
    play = _played(config, task, rounds, 0) / rounds * config.tournament.rounds
    budget = config.valuation.budget if config.valuation.method != "none" else 0
    value = 0.0
    if budget:
        tried = min(budget, _EVALUATIONS)
        value = _played(config, task, 1, tried) / tried * (budget + config.valuation.kernel_shap_budget)
    total = (play + value) * config.runs * n_points
    return f"at most about {timedelta(seconds=max(1, round(total)))} on one core, besides the start and the figures"


def _played(config: RunConfig, task: Task, rounds: int, budget: int) -> float:
    """Seconds of one run; the second of two, since the first compiles."""
    content: dict[str, Any] = config.model_dump()
    content["runs"] = 1
    content["tournament"]["rounds"] = rounds
    content["payment"], content["screens"] = None, None
    content["valuation"] |= {"budget": budget, "kernel_shap_budget": 0} if budget else {"method": "none"}
    short = RunConfig.parse(content)
    took = 0.0
    for _ in range(2):
        start = time.perf_counter()
        simulate([short], task, InProcess())
        took = time.perf_counter() - start
    return took
