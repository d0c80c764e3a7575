"""The Shapley values of a finished run's crowd, or of vectors and a target."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowd_sim.commands import IN_PROCESS
from crowd_sim.commands.unfinished import UNFINISHED, digest_of_code, go_on, remove
from crowd_sim.config import ActorsConfig
from crowd_sim.config.io import load_config
from crowd_sim.crowd.population import Population
from crowd_sim.crowd.sources.vectors import load_vectors
from crowd_sim.errors import InputError, StorageError
from crowd_sim.files import fingerprint_of, read_config, read_facts, write_sealed, write_table
from crowd_sim.host import Host, InProcess
from crowd_sim.integrity import FILES, digests_of
from crowd_sim.participants import load_population, participants_of
from crowd_sim.paths import exists, is_file, is_folder
from crowd_sim.progress import Progress, quiet
from crowd_sim.registry import resolve
from crowd_sim.valuation import AveragingGame, Rule, ShapleyResult, shapley
from crowd_sim.valuation.request import Evaluate, ListEvaluate

_TABLE, _FACTS = "values.parquet", "values.json"


@dataclass(frozen=True)
class Question:
    """A crowd to be valued.

    Attributes:
        game: its averaging game.
        ids: the workers' names, in the game's order.
        name: what the result is called where no folder is given.
        score, target: as they were named.
        seed, run: the key of the draws.
    """

    game: AveragingGame
    ids: tuple[str, ...]
    name: str
    score: str
    target: str
    seed: int
    run: int

    @property
    def digest(self) -> str:
        """SHA-256 of what the values are of: the workers by name, their vectors, target and score."""
        asked = {"score": self.score, "workers": self.ids, "shape": self.game.vectors.shape}
        return fingerprint_of(asked, [self.game.vectors.tobytes(), self.game.target.tobytes()])

    @property
    def utilities_digest(self) -> str | None:
        """SHA-256 of all that utilities depend on, a user's code too; ``None`` where that has no source to read."""
        if ":" not in self.score:
            return self.digest
        code = digest_of_code(self.score.partition(":")[0])
        return None if code is None else fingerprint_of({"digest": self.digest, "code": code})


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
    content = read_config(folder)
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
    named = target if isinstance(target, str) else "a vector"
    return Question(_game(vectors, goal, score), ids, Path(name).stem, str(score), named, seed, 0)


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


def value(
    question: Question,
    method: str,
    budget: int,
    stop: Rule | None = None,
    ray_address: str | None = IN_PROCESS,
    progress: Progress = quiet,
    folder: Path | None = None,
) -> ShapleyResult:
    """Value the crowd, on the evaluators of a cluster or in this process; arguments as of `crowd_sim.valuation.shapley`.

    Args:
        question: the crowd.
        method: the estimator.
        budget: utility evaluations it may spend.
        stop: where it may end earlier.
        ray_address: see `crowd_sim.actors.cluster.connected`; ``none`` evaluates in this process.
        progress: told how many evaluations are done.
        folder: for the values: what a call with the same arguments that was stopped has evaluated is there, and is not
            evaluated again; ``None``: nothing is kept.

    Raises:
        InputError: a method or budget that does not fit the game.
        StorageError: the folder cannot be written any more.
        ClusterError: no cluster, or one that is too small.
    """
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
                    method=method,
                    budget=budget,
                    seed=question.seed,
                    run=question.run,
                    evaluate=evaluate,
                    stop=stop,
                    progress=progress,
                )
            ]

        digest = None if folder is None else question.utilities_digest
        if folder is None or digest is None:
            return by(ListEvaluate(evaluate))[0]
        return go_on(folder, digest, by, evaluate)


def check_folder(folder: Path, question: Question) -> None:
    """See that the folder holds no values of other workers, another target or another score, and nothing else either.

    Raises:
        InputError: it does, or values that do not say of what they are; or it is no folder.
    """
    path = folder / _TABLE
    if not exists(path):
        if exists(folder) and not is_folder(folder):
            raise InputError("--out", str(folder), "must be a folder, or not there")
        if is_folder(folder) and not is_folder(folder / UNFINISHED) and any(folder.iterdir()):
            raise InputError(
                "--out", str(folder), "must be a new folder, an empty one, or one of values: it holds files"
            )
        return
    facts = read_facts(path)  # of the table itself: another may have been put in its place
    if facts is None:
        raise InputError("--out", str(folder), f"must be another folder: it is not known what its {_TABLE} is of")
    if facts.get("digest") != question.digest:
        shown = f"score {facts.get('score')}, target {facts.get('target')}, {facts.get('workers')} workers"
        raise InputError("--out", str(folder), f"must be another folder: it holds the values of another game ({shown})")


def table_of(question: Question, result: ShapleyResult) -> pd.DataFrame:
    """A row per worker, best first: `worker`, `value`, standard error and interval."""
    table = result.to_frame().drop(columns="player").assign(worker=question.ids)
    table = table[["worker", *(name for name in table.columns if name != "worker")]]
    return table.sort_values("value", ascending=False, kind="stable", ignore_index=True)


def write(folder: Path, question: Question, result: ShapleyResult, budget: int) -> pd.DataFrame:
    """Write values.parquet and values.json, which say of what they are, and values.png; the table, best worker first.

    Raises:
        InputError: the folder cannot be written, or holds the values of another game.
    """
    from crowd_sim.report.style import png, write_atomically  # a valuation that leaves no file draws nothing
    from crowd_sim.report.value_figure import values_with_errors

    check_folder(folder, question)
    facts = {
        "score": question.score,
        "target": question.target,
        "workers": len(question.ids),
        "method": result.method,
        "budget": budget,
        "evaluations": result.n_evaluations,
        "seed": question.seed,
        "run": question.run,
        "digest": question.digest,
    }
    table = table_of(question, result)
    try:
        write_table(folder / _TABLE, table, facts)
        figure = write_atomically(folder / "values.png", png(values_with_errors(table)))
        told = {"game" if name == "digest" else name: fact for name, fact in facts.items()}
        write_sealed(folder / _FACTS, {**told, FILES: digests_of(folder, [folder / _TABLE, figure])})
        remove(folder)
    except (OSError, StorageError) as error:
        reason = error.reason if isinstance(error, StorageError) else error.strerror
        raise InputError("--out", str(folder), f"must be a folder that can be written ({reason})") from None
    return table
