"""`crowd_sim.value`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from crowd_sim.api.arguments import (
    as_arguments,
    check_address,
    folder_of,
    reporting,
)
from crowd_sim.api.shown import html_of, text_of
from crowd_sim.commands import IN_PROCESS
from crowd_sim.paths import is_folder
from crowd_sim.progress import Progress
from crowd_sim.valuation import Rule, ShapleyResult
from crowd_sim.valuation.validation import integer

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike


@dataclass(frozen=True, eq=False)
class CrowdValues:
    """What workers are worth; printed, it is a table, best worker first.

    Attributes:
        table: a row per worker, best first: `worker`, `value`, `stderr`, and the 95 % interval's `lower` and `upper`.
        result: the valuation, its players in the crowd's order.
    """

    table: pd.DataFrame
    result: ShapleyResult

    def to_frame(self) -> pd.DataFrame:
        """`table`."""
        return self.table

    def plot(self) -> Any:
        """Values with their intervals; see `ShapleyResult.plot`."""
        return self.result.plot()

    def _repr_html_(self) -> str:
        head = f"Shapley values by {self.result.method}, {self.result.n_evaluations:,} evaluations"
        return f"<p><b>{escape(head)}</b></p>{html_of(self.table)}"

    def __str__(self) -> str:
        """The method, and the workers."""
        head = f"Shapley values by {self.result.method}, {self.result.n_evaluations:,} evaluations"
        return f"{head}\n{text_of(self.table)}"


@as_arguments
def value(
    crowd: str | Path | ArrayLike | pd.DataFrame,
    target: str | Path | ArrayLike | None = None,
    out: str | Path | None = None,
    *,
    score: str = "l2",
    run: int = 0,
    method: str = "auto",
    budget: int = 10_000,
    stop: Rule | None = None,
    seed: int = 0,
    ray_address: str | None = IN_PROCESS,
    progress: Progress | bool | None = None,
    trust: bool = False,
) -> CrowdValues:
    """The Shapley values of a finished run's crowd, or of vectors and a target.

    A coalition's utility is the score of the mean of its members' vectors against the target.

    Args:
        crowd: a run's folder; a CSV or Parquet file, a row per worker; an array [n, d]; or a DataFrame, as for `run`.
        target: not for a folder, which has its own: a worker of the crowd by name, who is then not valued, a file with one
            row, or a vector [d].
        out: the folder for values.parquet and values.png; given again after an interruption, the same call goes on there, and
            reads them where they are complete (`result.evaluated` is then None); None: none.
        score: not for a folder: l2, l1, dot, squared_l2, or package.module:Name.
        run: of a folder, which of its runs.
        method: as for `crowd_sim.shapley`.
        budget: utility evaluations it may spend, as for `crowd_sim.shapley`.
        stop: a rule by which it may end earlier, as for `crowd_sim.shapley`.
        seed: not for a folder: the key of the draws.
        ray_address: as for `run`.
        progress: called with ("evaluations", done, budget, note); True: a bar on a terminal, lines elsewhere.
        trust: load the user-defined source and score, too, that a run's folder names.

    Raises:
        InputError: a crowd, target, score, method or budget that cannot be used, or a folder with other values.
        StorageError: the folder cannot be written any more.
        StrategyError: user-defined code raised.
        ClusterError: no cluster, or one that is too small.
    """
    from crowd_sim.commands.question import Asked
    from crowd_sim.commands.value import check_no_run, check_own, load_people, of_people, of_run
    from crowd_sim.commands.value import value as value_asked
    from crowd_sim.commands.values_folder import table_of
    from crowd_sim.crowd.sources.given import population_of

    check_address(ray_address)
    folder = folder_of(out)
    if isinstance(crowd, str | os.PathLike) and is_folder(Path(crowd)):
        check_own(target, score, seed)
        question = of_run(Path(crowd), integer("run", run, 0), trust)
    else:
        is_file = isinstance(crowd, str | os.PathLike)
        check_no_run(run)
        people = load_people(Path(cast("str", crowd)), "crowd") if is_file else population_of(crowd)
        goal: Any = str(target) if isinstance(target, os.PathLike) else target
        question = of_people(people, goal, score, seed, str(crowd) if is_file else "the crowd")
    asked = Asked(question, method, budget, stop)
    with reporting(progress) as report:
        result = value_asked(asked, ray_address, report, folder).result
    return CrowdValues(table_of(question, result), result)
