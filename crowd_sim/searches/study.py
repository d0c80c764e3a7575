"""Which settings a search tries: asked of Optuna, which is told of all trials anew whenever it is asked.

A trial is chosen by a sampler of its own, keyed by the search's seed and the trial's number, that knows of the trials of
earlier generations (`at_once` trials each) and which settings its own generation has so far. So a choice depends on numbers and
not on when trials end, where they are played, or whether the search was stopped in between.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.random import Purpose, generator
from crowd_sim.searches.plan import Search
from crowd_sim.searches.space import Axis, Range
from crowd_sim.searches.trial import Trial

if TYPE_CHECKING:
    import optuna

_RANDOM = 10
"""Trials before Optuna's sampler begins to learn."""

_SURE = 0.1
"""Of a test on which a trial is ended."""

_F = TypeVar("_F", bound=Callable[..., Any])


def check_installed() -> None:
    """See that the extra `search` is there.

    Raises:
        InputError: it is not.
    """
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise InputError("search", None, "needs Optuna: pip install 'crowd-sim[search]'") from None


@contextmanager
def _silent() -> Iterator[None]:
    """Optuna's own lines are kept to itself: it warns of what is new, and tells of every trial."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def _quietly(function: _F) -> _F:
    @wraps(function)
    def quiet(*arguments: Any) -> Any:
        with _silent():
            return function(*arguments)

    return cast("_F", quiet)


@_quietly
def study_of(plan: Search, trials: Sequence[Trial]) -> optuna.Study:
    """An Optuna study in memory that has been told of these trials, those with the lowest numbers.

    A choice of a list is told by its place in the list. A pruned trial counts with the mean of the runs it has, as Optuna
    advises for its test.
    """
    import optuna

    space = _distributions(plan)
    study = optuna.create_study(direction=plan.options.direction)
    for trial in trials:
        failed = trial.state == "failed"
        study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.COMPLETE,
                params={field: _told(plan.space[field], value) for field, value in trial.values.items()},
                distributions=space,
                value=None if failed else trial.value,
                intermediate_values=_by_run(trial.sample),
            )
        )
    return study


@_quietly
def asked(plan: Search, before: Sequence[Trial], numbers: range) -> list[dict[str, Any]]:
    """The settings of a generation of trials: values by field.

    Args:
        plan: the search. Its own setting, where it is in the space, is trial 0.
        before: all trials of earlier generations.
        numbers: those of this one.
    """
    study, space = study_of(plan, before), _distributions(plan)
    found = []
    for number in numbers:
        study.sampler = _sampler(plan.own.seed, number)
        if number == 0 and plan.own_values is not None:
            study.enqueue_trial({field: _told(plan.space[field], value) for field, value in plan.own_values.items()})
        params = study.ask(space).params
        found.append({field: _of_axis(axis, params[field]) for field, axis in plan.space.items()})
    return found


@_quietly
def is_worse(plan: Search, before: Sequence[Trial], sample: NDArray[np.float64]) -> bool:
    """Whether the first runs of a trial, float64[m], say that it is worse than the best of earlier generations.

    Wilcoxon's signed-rank test, run by run: all trials have the same workers, targets and draws.
    """
    import optuna

    study = study_of(plan, [trial for trial in before if trial.state != "pruned"])
    study.pruner = optuna.pruners.WilcoxonPruner(p_threshold=_SURE)
    trial = study.ask()
    for run, value in _by_run(sample).items():
        trial.report(value, run)
    return trial.should_prune()


@_quietly
def importances(plan: Search, trials: Sequence[Trial]) -> dict[str, float]:
    """How much of the metric's variance over the space every field explains (fANOVA), the most important first.

    Empty where too few trials, or trials that are all alike, tell nothing.
    """
    import optuna

    known = [trial for trial in trials if trial.state != "failed"]
    if len(known) < 2 or np.ptp([trial.value for trial in known]) == 0.0:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=_key(plan.own.seed, 0))
    numbered = [Trial(i, t.values, t.state, t.sample) for i, t in enumerate(known)]
    try:
        found = optuna.importance.get_param_importances(study_of(plan, numbered), evaluator=evaluator)
    except (RuntimeError, ValueError):  # nothing varies
        return {}
    return {field: float(share) for field, share in found.items()}


def _sampler(seed: int, number: int) -> optuna.samplers.TPESampler:
    import optuna

    key = _key(seed, number)
    return optuna.samplers.TPESampler(seed=key, n_startup_trials=_RANDOM, multivariate=True, constant_liar=True)


def _key(seed: int, number: int) -> int:
    return int(generator(seed, number, Purpose.SEARCH).integers(2**32))


def _by_run(sample: NDArray[np.float64]) -> dict[int, float]:
    return {run: value for run, value in enumerate(sample.tolist()) if not np.isnan(value)}


def _distributions(plan: Search) -> dict[str, optuna.distributions.BaseDistribution]:
    return {field: _distribution(axis) for field, axis in plan.space.items()}


def _distribution(axis: Axis) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not isinstance(axis, Range):
        return CategoricalDistribution(tuple(range(len(axis.values))))
    if axis.whole:
        return IntDistribution(int(axis.low), int(axis.high), log=axis.log, step=int(axis.step or 1))
    return FloatDistribution(axis.low, axis.high, log=axis.log, step=axis.step)


def _told(axis: Axis, value: Any) -> Any:
    """A value as Optuna has it."""
    return value if isinstance(axis, Range) else axis.values.index(value)


def _of_axis(axis: Axis, told: Any) -> Any:
    """A value of Optuna's as the configuration has it."""
    return told if isinstance(axis, Range) else axis.values[told]
