"""A search's folder: settings tried generation by generation, every one on disk as it ends, none tried twice."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf

from crowd_sim.commands import IN_PROCESS
from crowd_sim.commands.batches import RunBatches, batch_runner
from crowd_sim.config import RunConfig
from crowd_sim.errors import InputError
from crowd_sim.files import fingerprint_of, open_folder, write_config, write_sealed, write_table, write_text
from crowd_sim.host import InProcess
from crowd_sim.integrity import FILES, digests_of, read_json, sealed_yaml
from crowd_sim.metrics import mean_and_error
from crowd_sim.participants import check_participants
from crowd_sim.paths import exists
from crowd_sim.progress import Progress, quiet
from crowd_sim.searches.journal import Journal
from crowd_sim.searches.plan import Search
from crowd_sim.searches.study import asked, check_installed, importances, is_worse
from crowd_sim.searches.trial import Trial, best_of
from crowd_sim.searches.trials import HeldOut, Settings, trials_table
from crowd_sim.store.lock import RUN, exclusive
from crowd_sim.store.run_folder import write_timing
from crowd_sim.store.run_log import RunLog
from crowd_sim.store.tidying import tidy
from crowd_sim.sweeps.batch import CACHE, UNFINISHED, BatchResult, Workplace, unfinished
from crowd_sim.tasks.load import load_task
from crowd_sim.tasks.vector import VectorTask
from crowd_sim.trackers import Named, Watch

BEST = "best.yaml"
"""The best setting, as `crowd-sim run` takes it."""

_FEWEST = 5
"""Runs on which a trial may be ended: with fewer, no sample is clear."""
_ON_HELD_OUT = 1_000_000_000
"""Numbers of settings on held-out seeds begin here."""


@dataclass(frozen=True)
class Searched:
    """What a search has come to.

    Attributes:
        folder: of the search.
        plan: the search.
        trials: in order.
        best: the best of those that were completed; None where all failed.
        importance: share of the metric's variance by field, the most important first; empty where it is not known.
        held_out: the best setting and the own on held-out seeds; None where none were asked for, or the best is the own.
        was_there: whether it had finished before, and was read.
    """

    folder: Path
    plan: Search
    trials: tuple[Trial, ...]
    best: Trial | None
    importance: dict[str, float]
    held_out: HeldOut | None
    was_there: bool = False

    def count(self, state: str) -> int:
        """How many trials have ended so."""
        return sum(trial.state == state for trial in self.trials)

    @property
    def best_config(self) -> RunConfig:
        """The configuration with the best setting."""
        assert self.best is not None  # noqa: S101 - whoever asks has looked
        return self.plan.config(self.best.values)


def search(
    plan: Search,
    out: Path | None,
    name: str,
    ray_address: str | None = IN_PROCESS,
    progress: Progress = quiet,
    say: Callable[[str], object] = lambda _: None,
    trackers: Sequence[Named] = (),
) -> Searched:
    """Try what is left of a search's trials, compare the best on held-out seeds, write tables, figures and report.

    Args:
        plan: the search.
        out: its folder; None: runs/<name>-<fingerprint>.
        name: of its file; names the folder where `out` does not.
        ray_address: see `crowd_sim.actors.cluster.connected`; ``none`` tries one setting after the other in this process.
        progress: told how many trials are over.
        say: told in a line what an earlier command has left to do.
        trackers: told of every trial's value and the best so far, and of what the best is worth.

    Raises:
        InputError: Optuna is not installed, or people or folder cannot be used, or no trial has the metric.
        ClusterError: no cluster, or one that is too small.
        StorageError: results cannot be written.
    """
    check_installed()
    fingerprint = fingerprint_of_search(plan)
    folder = out or Path("runs") / f"{name}-{fingerprint[:8]}"
    with exclusive(folder / RUN, partial(open_folder, folder, fingerprint)):
        tidy(folder)
        write_config(folder, plan.recorded(folder), fingerprint)
        with RunLog(folder, fingerprint, 0) as record, Watch(trackers) as watch, ExitStack() as stack:
            start = time.perf_counter()
            progress = watch.over(progress)

            def both(stage: str, done: int, total: int, note: str = "", /) -> None:
                progress(stage, done, total, note)
                record.progress(stage, done, total, note)

            work = _Work(plan, Journal(folder), folder, stack, ray_address, both, watch)
            if not work.is_over():
                watch.start(folder, plan.recorded(folder))
            there = sum(number < plan.options.trials for number in work.journal.trials)
            if 0 < there < plan.options.trials:
                say(f"{there:,} of {plan.options.trials:,} trials are there; {plan.options.trials - there:,} to go")
            trials = work.trials()
            best = best_of(trials, plan.options.direction or "")
            held_out = work.held_out(best) if best is not None else None
            found = Searched(folder, plan, tuple(trials), best, importances(plan, trials), held_out)
            if best is None:
                (folder / "summary.json").unlink(missing_ok=True)
                write_table(folder / "trials.parquet", trials_table(plan, trials))
                first = next(trial for trial in trials if trial.state == "failed")
                raise InputError("search", None, f"all {len(trials)} trials failed; the first: {first.error}")
            summary = _summary(found, fingerprint)
            if not work.has_worked and _says(folder, summary):
                return replace(found, was_there=True)
            _write(found, summary, time.perf_counter() - start, anew=work.has_worked)
            gain = {} if held_out is None else {"held_out_gain": float(held_out.gains.mean())}
            watch.finish({f"best_{plan.options.metric}": best.value, **gain}, (folder / "report.html", folder / BEST))
    return found


@dataclass
class _Work:
    """A search on its way."""

    plan: Search
    journal: Journal
    folder: Path
    stack: ExitStack
    ray_address: str | None
    progress: Progress
    watch: Watch
    has_worked: bool = False
    _runner: RunBatches | None = field(default=None)

    def trials(self) -> list[Trial]:
        """All trials, in order; those that are not over are tried."""
        options = self.plan.options
        before: list[Trial] = []
        for first in range(0, options.trials, options.at_once):
            self._tell(before)
            numbers = range(first, min(first + options.at_once, options.trials))
            missing = [number for number in numbers if number not in self.journal.chosen]
            if missing:
                values = dict(zip(numbers, asked(self.plan, before, numbers), strict=True))
                self.journal.choose(missing, [values[number] for number in missing])
            self._try(before, [number for number in numbers if number not in self.journal.trials])
            before += [self.journal.trials[number] for number in numbers]
        self._tell(before)
        return before

    def is_over(self) -> bool:
        """Whether nothing is left to try."""
        known = [self.journal.trials.get(number) for number in range(self.plan.options.trials)]
        trials = [trial for trial in known if trial is not None]
        best = best_of(trials, self.plan.options.direction or "")
        return len(trials) == len(known) and (best is None or not self._left(self._on_held_out(best)))

    def _on_held_out(self, best: Trial) -> list[tuple[str, int]]:
        """Settings and held-out seeds that are wanted; none where there is nothing to compare."""
        if best.values == self.plan.own_values:
            return []
        seeds = [(self.plan.own.seed + 1 + i) % 2**63 for i in range(self.plan.options.held_out)]
        return [(name, seed) for name in ("own", f"trial {best.number}") for seed in seeds]

    def _left(self, wanted: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        return [key for key in wanted if self.journal.held_out(*key) is None]

    def held_out(self, best: Trial) -> HeldOut | None:
        """The best and the own setting on held-out seeds."""
        plan, wanted = self.plan, self._on_held_out(best)
        if not wanted:
            return None
        seeds = list(dict.fromkeys(seed for _, seed in wanted))
        settings: dict[str, Mapping[str, Any]] = {"own": {}, f"trial {best.number}": best.values}
        left = self._left(wanted)
        self.has_worked |= bool(left)
        configs = {_ON_HELD_OUT + i: plan.config(settings[name], seed=seed) for i, (name, seed) in enumerate(left)}
        for number, result in self._run(configs):
            if result.failures:
                raise InputError("search.held_out", None, f"a held-out run failed: {result.failures[0].error}")
            name, seed = left[number - _ON_HELD_OUT]
            self.journal.hold_out(name, seed, self._sample(result, configs[number]))
            done = sum(self.journal.held_out(*key) is not None for key in wanted)
            self.progress("held-out runs", done, len(wanted))
        samples = {name: np.array([self.journal.held_out(name, seed) for seed in seeds]) for name in settings}
        own, others = samples.values()
        return HeldOut(tuple(seeds), own, others, plan.options.direction or "")

    def _try(self, before: Sequence[Trial], numbers: Sequence[int]) -> None:
        """Try settings of one generation; every one is written down as it ends."""
        configs: dict[int, RunConfig] = {}
        for number in numbers:
            try:
                configs[number] = config = self.plan.config(self.journal.chosen[number])
                _check(config)
            except InputError as error:  # values that are not allowed together
                configs.pop(number, None)
                self._finish(self._failed(number, str(error), ""), before)
        few = max(_FEWEST, -(-self.plan.own.runs // 4))
        if self.plan.options.prune and 2 * few <= self.plan.own.runs and any(t.state == "complete" for t in before):
            short = {2 * number: self.plan.config(self.journal.chosen[number], runs=few) for number in configs}
            for index, result in self._run(short):
                number = index // 2
                trial = self._trial(number, result, short[index], "pruned")
                if trial.state == "failed" or is_worse(self.plan, before, trial.sample):
                    del configs[number]
                    self._finish(trial, before)
        whole = {2 * number + 1: config for number, config in configs.items()}
        for index, result in self._run(whole):
            self._finish(self._trial(index // 2, result, whole[index], "complete"), before)

    def _finish(self, trial: Trial, before: Sequence[Trial]) -> None:
        self.has_worked = True
        self.journal.finish(trial)
        best = best_of([*before, trial], self.plan.options.direction or "")
        told = {} if best is None else {f"best/{self.plan.options.metric}": best.value}
        self.watch.log(trial.number, {self.plan.options.metric: trial.value, **told})
        self._tell(before)

    def _tell(self, before: Sequence[Trial]) -> None:
        best = best_of(before, self.plan.options.direction or "")
        note = "" if best is None else f"best {self.plan.options.metric} {best.value:.4g}"
        done = sum(number < self.plan.options.trials for number in self.journal.trials)
        self.progress("trials", done, self.plan.options.trials, note)

    def _run(self, configs: Mapping[int, RunConfig]) -> Iterator[tuple[int, BatchResult]]:
        """Results of configurations by number, each a batch, as they come."""
        if not configs:
            return
        if self._runner is None:  # whoever has nothing to do starts no Ray
            place = Workplace(InProcess(), self.folder, self.journal.weights)
            runner = batch_runner(self.plan.own, place, self.ray_address, with_workers=False)
            self._runner = self.stack.enter_context(runner)
        settings = Settings.of(self.plan, configs)
        for results, _ in self._runner(settings, (np.array([number]) for number in configs)):
            for result in results:
                over: list[int] = result.points.tolist()
                (number,) = over + [failure.point for failure in result.failures]
                self.journal.use(result.weights)
                yield number, result
                shutil.rmtree(unfinished(self.folder, number), ignore_errors=True)

    def _trial(self, number: int, result: BatchResult, config: RunConfig, state: Any) -> Trial:
        if result.failures:
            return self._failed(number, result.failures[0].error, result.failures[0].traceback)
        sample = self._sample(result, config)
        if np.isnan(sample).all():
            return self._failed(number, f"no run has the metric {self.plan.options.metric}", "")
        metrics = {name: None if np.isnan(values[0]) else float(values[0]) for name, values in result.metrics.items()}
        return Trial(number, self.journal.chosen[number], state, sample, metrics)

    def _failed(self, number: int, error: str, trace: str) -> Trial:
        return Trial(number, self.journal.chosen[number], "failed", np.empty(0), {}, error, trace)

    def _sample(self, result: BatchResult, config: RunConfig) -> NDArray[np.float64]:
        """The metric of every run; a run that never came within the convergence distance counts as one round too many."""
        metric = self.plan.options.metric
        if metric not in result.runs:
            known = ", ".join(name for name in result.runs if name not in ("point", "run", "seed"))
            raise InputError("search.metric", metric, f"must be one of {known}")
        sample = result.runs[metric].astype(np.float64)
        if metric == "rounds_to_converge":
            return np.where(np.isnan(sample), config.tournament.rounds + 1.0, sample)
        return sample


def _check(config: RunConfig) -> None:
    """See that the crowd is large enough for a trial.

    Raises:
        InputError: it is not.
    """
    task = load_task(config)
    if isinstance(task, VectorTask):
        check_participants(config, task.population)


def fingerprint_of_search(plan: Search) -> str:
    """Of the search and of the people it meets, who are checked here, before anything starts."""
    identities = []
    for config in plan.crowds():
        task = load_task(config)
        if isinstance(task, VectorTask):
            check_participants(config, task.population)
        identities.append(fingerprint_of({}, task.identity()))
    return fingerprint_of({**plan.determinants(), "people": list(dict.fromkeys(identities))})


def _summary(found: Searched, fingerprint: str) -> dict[str, Any]:
    """What a search has come to."""
    plan, best = found.plan, found.best
    assert best is not None  # noqa: S101 - else there is nothing to sum up
    own = next((trial for trial in found.trials if trial.values == plan.own_values), None)
    return {
        "fingerprint": fingerprint,
        "metric": plan.options.metric,
        "direction": plan.options.direction,
        "trials": {state: found.count(state) for state in ("complete", "pruned", "failed")},
        "best": _told(best),
        "own": None if own is None else _told(own),
        "importance": found.importance,
        "held_out": None if found.held_out is None else found.held_out.summary(),
    }


def _says(folder: Path, summary: Mapping[str, Any]) -> bool:
    """Whether a folder has this summary, and all that belongs to it as it was written."""
    from crowd_sim.commands.verify import verify  # only here: it knows every kind of folder

    try:
        there = read_json(folder / "summary.json")
    except (OSError, InputError):
        return False
    there.pop(FILES, None)
    whole = not any(checked.state in ("damaged", "missing") for checked in verify(folder))
    return there == json.loads(json.dumps(summary)) and whole and exists(folder / "report.html")


def _write(found: Searched, summary: Mapping[str, Any], seconds: float, *, anew: bool) -> None:
    """Write tables, figures and report; the summary, with the tables' digests, comes last."""
    folder, plan = found.folder, found.plan
    (folder / "summary.json").unlink(missing_ok=True)  # the tables' digests are not these any more
    write_table(folder / "trials.parquet", trials_table(plan, found.trials))
    tables = [folder / "trials.parquet"]
    if found.held_out is not None:
        write_table(folder / "held_out.parquet", found.held_out.table())
        tables.append(folder / "held_out.parquet")
    content = found.best_config.recorded(folder)
    write_text(folder / BEST, sealed_yaml(OmegaConf.to_yaml(OmegaConf.create(content))))
    tables.append(folder / BEST)
    shutil.rmtree(folder / CACHE, ignore_errors=True)
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
    if anew or not exists(folder / "timing.json"):
        write_timing(folder, {"seconds": seconds})
    write_sealed(folder / "summary.json", {**summary, FILES: digests_of(folder, tables)})
    from crowd_sim.report import write_report

    write_report(folder)


def _told(trial: Trial) -> dict[str, Any]:
    mean, error, _ = mean_and_error(trial.sample)
    known = {"value": mean, "se": error}
    return {"trial": trial.number, "values": dict(trial.values)} | {
        name: None if np.isnan(number) else number for name, number in known.items()
    }
