"""What `crowd-sim value` does: the Shapley values of a finished run's crowd, or of a file of vectors and a target."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from crowd_sim.actors.cluster import connected
from crowd_sim.actors.host import RayHost
from crowd_sim.actors.placement import required_by_evaluators
from crowd_sim.cli.progress import shown
from crowd_sim.cli.run import IN_PROCESS
from crowd_sim.cli.signals import stoppable
from crowd_sim.config import ActorsConfig
from crowd_sim.config.io import load_config
from crowd_sim.crowd.population import Population
from crowd_sim.crowd.sources.vectors import load_vectors
from crowd_sim.errors import InputError, StorageError
from crowd_sim.files import fingerprint, read_config, read_facts, write_table
from crowd_sim.host import Host, InProcess
from crowd_sim.participants import load_population, participants_of
from crowd_sim.registry import resolve
from crowd_sim.report.labels import visible
from crowd_sim.report.style import png, write_atomically
from crowd_sim.report.value_figure import values_with_errors
from crowd_sim.valuation import AveragingGame, Progress, Rule, ShapleyResult, TargetError, shapley
from crowd_sim.valuation.request import Chunk, ListEvaluate

_TABLE = "values.parquet"
_SHOWN = 5
"""Workers at the top and at the bottom of the printed table."""


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
        return fingerprint(asked, [self.game.vectors.tobytes(), self.game.target.tobytes()])


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
    if run >= config.runs:
        raise InputError("--run", run, f"must be below {config.runs}, the number of runs in {folder}")
    population = load_population(config.crowd)
    if fingerprint(config.determinants(), population.identity()) != recorded:
        raise InputError("source", str(folder), "the people its configuration names are not those of the run any more")
    workers, targets = participants_of([config.model_copy(update={"runs": run + 1})], population)
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


def of_vectors(path: Path, target: str | None, score: str, seed: int) -> Question:
    """A crowd from a file of vectors; the target is one of its workers, or the only row of another file.

    Raises:
        InputError: a file that cannot be read, no such worker, or a target of other features.
    """
    if target is None:
        raise InputError("--target", None, "is needed: a worker of the file by name, or a file with one row")
    people = load_vectors(path)
    if target in people.ids:
        row = people.ids.index(target)
        others = np.delete(np.arange(people.n_workers), row)
        if not len(others):
            raise InputError("--target", target, "is the only worker of the file: there is nobody left to value")
        vectors, goal = people.vectors[others], people.vectors[row]
        ids = tuple(people.ids[i] for i in others)
    elif Path(target).is_file():
        vectors, goal, ids = people.vectors, _target_of(load_vectors(Path(target)), people, target), people.ids
    else:
        raise InputError("--target", target, f"must be a worker of {path} by name, or a file with one row")
    return Question(_game(vectors, goal, score), ids, path.stem, score, target, seed, 0)


def _target_of(found: Population, people: Population, path: str) -> NDArray[np.float64]:
    if found.features != people.features:
        raise InputError("--target", path, f"must have the crowd's features: {', '.join(people.features)}")
    if found.n_workers != 1:
        raise InputError("--target", path, f"must have one row, not {found.n_workers}")
    return found.vectors[0]


def _game(vectors: NDArray[np.float64], target: NDArray[np.float64], score: str) -> AveragingGame:
    return AveragingGame(vectors, target, score=resolve("score", score) if ":" in score else score)


@dataclass(frozen=True)
class _Shown(Rule):
    """Never stops anything: shows the error after each stage."""

    console: Console

    def met(self, progress: Progress) -> bool:
        """See `Rule`."""
        error = progress.results[-1].relative_error
        line = f"{progress.evaluations:,} evaluations: error about {error:.2g} of the values' spread"
        self.console.print(line, highlight=False)
        return False

    def converged(self, progress: Progress) -> bool:
        """See `Rule`; asked besides `met`, it shows nothing."""
        del progress
        return False


def value(
    question: Question,
    method: str,
    budget: int,
    target_error: float | None,
    ray_address: str | None,
    console: Console,
) -> ShapleyResult:
    """Value the crowd, on the evaluators of a cluster or in this process.

    With a target error the valuation goes in stages of doubling budgets, shows the error after each, and ends at the first
    whose error, over the spread of the values, is at most that.

    Raises:
        InputError: a method or budget that does not fit the game.
        ClusterError: no cluster, or one that is too small.
    """
    with stoppable(), ExitStack() as stack:
        host: Host = InProcess()
        if ray_address != IN_PROCESS:
            actors = ActorsConfig()
            stack.enter_context(connected(ray_address, required_by_evaluators(actors)))
            host = RayHost(actors)
        evaluators = stack.enter_context(host.evaluators([question.game]))
        progress = stack.enter_context(shown(console))
        evaluate = ListEvaluate(partial(evaluators.utilities, [0]))
        return shapley(
            question.game,
            method=method,
            budget=budget,
            seed=question.seed,
            run=question.run,
            evaluate=_counted(evaluate, lambda done: progress("evaluations", min(done, budget), budget)),
            stop=None if target_error is None else _Shown(console) | TargetError(relative=target_error),
        )


def _counted(evaluate: ListEvaluate, report: Callable[[int], None]) -> ListEvaluate:
    """The same evaluator, saying after each chunk how many utilities there are."""
    done = 0

    def counting(chunks: Iterable[Chunk]) -> Iterator[NDArray[np.float64]]:
        nonlocal done
        for utilities in evaluate(chunks):
            done += utilities.shape[1]
            report(done)
            yield utilities

    return ListEvaluate(counting)


def check_folder(folder: Path, question: Question) -> None:
    """See that the folder holds no values of other workers, another target or another score.

    Raises:
        InputError: it does, or values that do not say of what they are.
    """
    path = folder / _TABLE
    if not path.exists():
        return
    facts = read_facts(path)
    if facts is None:
        raise InputError("--out", str(folder), f"must be another folder: it is not known what its {_TABLE} is of")
    if facts.get("digest") != question.digest:
        shown = f"score {facts.get('score')}, target {facts.get('target')}, {facts.get('workers')} workers"
        raise InputError("--out", str(folder), f"must be another folder: it holds the values of another game ({shown})")


def write(folder: Path, question: Question, result: ShapleyResult, budget: int) -> pd.DataFrame:
    """Write values.parquet, which says in its metadata of what it is, and values.png; the table, best worker first.

    Raises:
        InputError: the folder cannot be written, or holds the values of another game.
    """
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
    table = result.to_frame().drop(columns="player").assign(worker=question.ids)
    table = table[["worker", *(name for name in table.columns if name != "worker")]]
    table = table.sort_values("value", ascending=False, kind="stable", ignore_index=True)
    try:
        write_table(folder / _TABLE, table, facts)
        write_atomically(folder / "values.png", png(values_with_errors(table)))
    except (OSError, StorageError) as error:
        reason = error.reason if isinstance(error, StorageError) else error.strerror
        raise InputError("--out", str(folder), f"must be a folder that can be written ({reason})") from None
    return table


def values_table(table: pd.DataFrame, result: ShapleyResult) -> Table:
    """The workers at the top and at the bottom, with 95 % intervals."""
    missed = "" if result.converged in (None, True) else "; the target error was not reached"
    view = Table(title=f"Shapley values by {result.method}, {result.n_evaluations:,} evaluations{missed}")
    for name in ("rank", "worker", "value", "95 % interval"):
        view.add_column(name, justify="left" if name == "worker" else "right")
    shown_rows = sorted({*range(min(_SHOWN, len(table))), *range(max(0, len(table) - _SHOWN), len(table))})
    last = -1
    for row in shown_rows:
        if row != last + 1:
            view.add_row("…", "", "", "")
        worker, number, low, high = (table.loc[row, name] for name in ("worker", "value", "lower", "upper"))
        interval = "exact" if low == high else "unknown" if np.isnan(low) else f"{low:.4g} to {high:.4g}"
        view.add_row(str(row + 1), Text(visible(str(worker))), f"{number:.4g}", interval)
        last = row
    return view
