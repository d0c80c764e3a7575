"""The Shapley values of a finished run's crowd, or of vectors and a target."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.commands import IN_PROCESS
from crowd_sim.commands.question import Asked, Question
from crowd_sim.commands.unfinished import go_on
from crowd_sim.commands.values_folder import check_open, complete, kept, write
from crowd_sim.config import ActorsConfig
from crowd_sim.config.io import load_config
from crowd_sim.crowd.population import Population
from crowd_sim.crowd.sources.vectors import load_vectors
from crowd_sim.errors import InputError
from crowd_sim.files import fingerprint_of, read_config
from crowd_sim.host import Host, InProcess
from crowd_sim.integrity import DamagedError
from crowd_sim.participants import load_population, participants_of
from crowd_sim.paths import exists, is_file
from crowd_sim.progress import Progress, quiet
from crowd_sim.registry import resolve
from crowd_sim.scores import SCORES
from crowd_sim.valuation import AveragingGame, Rule, ShapleyResult, shapley
from crowd_sim.valuation.request import Evaluate, ListEvaluate


def of_run(folder: Path, run: int, trust: bool = False) -> Question:
    """The crowd of one of a finished run's replicates, with the score it was played for.

    Args:
        folder: of the run.
        run: the replicate.
        trust: whether the user-defined source and score that the folder may name are loaded.

    Raises:
        InputError: not a run's folder, one that names code and is not trusted, no such replicate, or people who are not
            those of the run any more.
    """
    try:
        content = read_config(folder)
    except DamagedError:
        raise
    except InputError:  # it is said of the folders of runs and sweeps
        raise InputError(
            "source", str(folder), "must be a run's folder: it has no config.yaml that can be read"
        ) from None
    if "sweep" in content:
        raise InputError("source", str(folder), "must be a run's folder; this is a sweep's")
    recorded = content.get("fingerprint")
    needed = ("crowd.source", "tournament.score")
    config = load_config(folder / "config.yaml", handed_over=True, trust=trust, fields=needed)
    if config.task.kind != "vector":
        allowed = "must be a vector run: what the workers of a text run are worth is in its workers.parquet"
        raise InputError("source", str(folder), allowed)
    if config.crowd.bad_groups:
        allowed = "must be a run without crowd.bad: what its workers contributed is not in its folder; their values are"
        raise InputError("source", str(folder), f"{allowed} in its workers.parquet where valuation.method is not none")
    if run >= config.runs:
        raise InputError("--run", run, f"must be below {config.runs}, the number of runs in {folder}")
    population = load_population(config.crowd)
    if fingerprint_of(config.determinants(), population.identity()) != recorded:
        raise InputError("source", str(folder), "the people its configuration names are not those of the run any more")
    ((workers, targets),) = participants_of([config.model_copy(update={"runs": run + 1})], population)
    score, target = config.tournament.score, targets[run]
    return Question(
        game=_game(population.vectors[workers[run]], population.vectors[target], score),
        ids=tuple(population.ids[row] for row in workers[run]),
        name=f"{folder.name}-run{run}",
        score=score,
        target=str(population.ids[target]),
        seed=config.seed,
        run=run,
    )


def check_own(target: object, score: str, seed: int) -> None:
    """Refuse what a run's folder says itself, and would be passed over.

    Raises:
        InputError: one of these is given.
    """
    for field, given, default in (("--target", target, None), ("--score", score, "l2"), ("--seed", seed, 0)):
        if given is not None and (default is None or given != default):
            raise InputError(field, given, "must be left out with a run's folder, which has its own")


def check_no_run(run: int) -> None:
    """Refuse the number of a run where no run's folder is valued.

    Raises:
        InputError: it is given.
    """
    if run:
        raise InputError("--run", run, "must be left out with a file or an array: it is for a run's folder")


def load_people(path: Path, field: str) -> Population:
    """Vectors from a file; what is wrong with its name is told of `field`.

    Raises:
        InputError: as `load_vectors`.
    """
    try:
        return load_vectors(path)
    except InputError as error:
        if error.field != "crowd.path":
            raise
        if field != "--target" and not exists(path):
            raise InputError(field, error.value, "must be a file that exists, or a run's folder") from None
        raise InputError(field, error.value, error.allowed) from None


def of_people(
    people: Population, target: str | NDArray[np.float64] | None, score: str, seed: int, name: str
) -> Question:
    """A crowd of vectors; the target is one of its workers, the only row of a file, or a vector float64[d].

    Args:
        people: the workers, and the target where it is one of them.
        target: a worker by name, the path of a file, or a vector.
        score: by name.
        seed: of the draws.
        name: what the people are called.

    Raises:
        InputError: a file that cannot be read, no such worker, or a target of other features.
    """
    if target is None:
        raise InputError("--target", None, "is needed: a worker of the crowd by name, a file with one row, or a vector")
    vectors, ids = people.vectors, people.ids
    if not isinstance(target, str):
        goal = _goal(target, people.n_features)
    elif target in ids:
        row = ids.index(target)
        others = np.delete(np.arange(people.n_workers), row)
        if not len(others):
            raise InputError("--target", target, "is the only worker of the crowd: there is nobody left to value")
        vectors, goal, ids = vectors[others], vectors[row], tuple(ids[i] for i in others)
    elif is_file(Path(target)):
        goal = _target_of(load_people(Path(target), "--target"), people, target)
    else:
        raise InputError("--target", target, f"must be a worker of {name} by name, or a file with one row")
    _check_score(score)
    named = target if isinstance(target, str) else "a vector"
    return Question(_game(vectors, goal, score), ids, Path(name).stem, str(score), named, seed, 0)


def _check_score(score: object) -> None:
    """Refuse what is no score by name, as the command's option and not as a game's or a configuration's."""
    if not isinstance(score, str) or score in SCORES:
        return
    if ":" not in score:
        allowed = f"must be one of {', '.join(SCORES)}, or user-defined as package.module:Name"
        raise InputError("--score", score, allowed)
    try:
        resolve("score", score)
    except InputError as error:
        raise InputError("--score", score, error.allowed) from None


def _goal(target: Any, n_features: int) -> NDArray[np.float64]:
    goal = target if isinstance(target, np.ma.MaskedArray) else np.asarray(target)
    if (
        np.ma.is_masked(goal)
        or goal.dtype.kind not in "iuf"
        or goal.shape != (n_features,)
        or not np.isfinite(goal).all()
    ):
        raise InputError(
            "target", target, f"must be a worker by name, a file, or a vector of {n_features} finite numbers"
        )
    return goal.astype(np.float64)


def _target_of(found: Population, people: Population, path: str) -> NDArray[np.float64]:
    if sorted(found.features) != sorted(people.features):
        raise InputError("--target", path, f"must have the crowd's features: {', '.join(people.features)}")
    if found.n_workers != 1:
        raise InputError("--target", path, f"must have one row, not {found.n_workers}")
    return found.vectors[0, [found.features.index(name) for name in people.features]]


def _game(vectors: NDArray[np.float64], target: NDArray[np.float64], score: str) -> AveragingGame:
    return AveragingGame(vectors, target, score=resolve("score", score) if ":" in str(score) else score)


@dataclass(frozen=True, eq=False)
class Answer:
    """The values that were asked for.

    Attributes:
        result: players in the question's order.
        was_there: whether they were read from the folder, and nothing was evaluated.
    """

    result: ShapleyResult
    was_there: bool = False


def value(
    asked: Asked,
    ray_address: str | None = IN_PROCESS,
    progress: Progress = quiet,
    folder: Path | None = None,
    watched: Rule | None = None,
) -> Answer:
    """Read the values from the folder, or value the crowd and write them there.

    Args:
        asked: the crowd, and how it is to be valued.
        ray_address: see `crowd_sim.actors.cluster.connected`; ``none`` evaluates in this process.
        progress: told how many evaluations are done.
        folder: for the values: what a call with the same arguments that was stopped has evaluated is there, and is not
            evaluated again; ``None``: nothing is kept.
        watched: a rule that says the same as that of `asked`, and shows besides how it goes on.

    Raises:
        InputError: a method or budget that does not fit the game, or a folder with other values or in which another process
            is at work.
        StorageError: the folder cannot be written any more.
        ClusterError: no cluster, or one that is too small.
    """
    if folder is None:
        return Answer(_evaluated(asked, ray_address, progress, None, watched))
    if (there := kept(folder, asked)) is None:
        return Answer(_evaluated(asked, ray_address, progress, folder, watched))
    complete(folder, asked, there)
    return Answer(there, was_there=True)


def _evaluated(
    asked: Asked, ray_address: str | None, progress: Progress, folder: Path | None, watched: Rule | None
) -> ShapleyResult:
    """See `value`; on the evaluators of a cluster or in this process."""
    question = asked.question
    with ExitStack() as stack:
        host: Host = InProcess()
        if ray_address != IN_PROCESS:
            from crowd_sim.actors.cluster import connected

            progress("start", 0, 0, "Ray")
            from crowd_sim.actors.host import RayHost
            from crowd_sim.actors.placement import required_by_evaluators

            actors = ActorsConfig()
            stack.enter_context(connected(ray_address, required_by_evaluators(actors)))
            host = RayHost(actors)
        evaluators = stack.enter_context(host.evaluators([question.game]))
        evaluate = partial(evaluators.utilities, [0])

        def by(evaluate: Evaluate) -> list[ShapleyResult]:
            return [
                shapley(
                    question.game,
                    method=asked.method,
                    budget=asked.budget,
                    seed=question.seed,
                    run=question.run,
                    evaluate=evaluate,
                    stop=asked.stop if watched is None else watched,
                    progress=progress,
                )
            ]

        if folder is None:
            return by(ListEvaluate(evaluate))[0]
        finish = partial(write, folder, asked)
        if (digest := question.utilities_digest) is None:
            result = by(ListEvaluate(evaluate))[0]
            finish(result)
            return result
        check = partial(check_open, folder, asked)
        return go_on(folder, digest, asked.budget, by, evaluate, check, finish)
