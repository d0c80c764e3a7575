"""What `crowd-sim value` shows: how far it is, and the workers at the top and at the bottom."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from crowd_sim.characters import visible
from crowd_sim.cli.signals import stoppable
from crowd_sim.commands.progress import shown
from crowd_sim.commands.question import Asked
from crowd_sim.commands.value import Answer
from crowd_sim.commands.value import value as value_asked
from crowd_sim.valuation import Progress, Rule, ShapleyResult

_SHOWN = 5
"""Workers at the top and at the bottom of the printed table."""


def value(asked: Asked, ray_address: str | None, console: Console, folder: Path) -> Answer:
    """See `crowd_sim.commands.value.value`; progress and, with a target error, the error of each stage are shown."""
    watched = None if asked.stop is None else _Shown(console) | asked.stop
    with stoppable(), shown(console) as progress:
        return value_asked(asked, ray_address, progress, folder, watched)


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
        interval = "exact" if low == high else "unknown" if np.isnan(low) else f"{_figures(low)} to {_figures(high)}"
        view.add_row(str(row + 1), Text(visible(str(worker))), _figures(number), interval)
        last = row
    return view


def _figures(number: float) -> str:
    """With four significant digits, of which zeros at the end are some."""
    return f"{number:#.4g}".removesuffix(".")
