"""What `crowd-sim search` shows: how far it is, and the best setting."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from crowd_sim.characters import visible
from crowd_sim.cli.signals import stoppable
from crowd_sim.commands.progress import shown
from crowd_sim.commands.search import Searched
from crowd_sim.commands.search import search as run_search
from crowd_sim.report.labels import mean_and_error, three_digits
from crowd_sim.searches.plan import Search
from crowd_sim.trackers import Named

_SHOWN = 5


def search(
    plan: Search,
    name: str,
    out: Path | None,
    ray_address: str | None,
    console: Console,
    trackers: Sequence[Named] = (),
) -> Searched:
    """See `crowd_sim.commands.search.search`; progress is shown on the console."""
    with stoppable(), shown(console) as progress:
        say = partial(console.print, highlight=False)
        return run_search(plan, out, name, ray_address, progress, say, trackers)


def best_table(found: Searched) -> Table:
    """The best trials and, where it was tried, the configuration's own setting: fields, runs, the metric with its error."""
    plan, options = found.plan, found.plan.options
    sign = 1.0 if options.direction == "minimize" else -1.0
    done = sorted((t for t in found.trials if t.state == "complete"), key=lambda t: (sign * t.value, t.number))
    shown = done[:_SHOWN]
    own = next((trial for trial in done if trial.values == plan.own_values), None)
    table = Table(title=f"The best trials ({options.direction} {options.metric})", box=box.SIMPLE_HEAD)
    for head in ("trial", *plan.space, f"{options.metric} ± s.e."):
        table.add_column(Text(visible(head)), justify="right", overflow="fold")
    for trial in [*shown, *([own] if own is not None and own not in shown else [])]:
        cells = [_words(trial.values[field]) for field in plan.space]
        error = trial.metrics.get(f"{options.metric}_se")
        name = f"{trial.number} (own)" if trial is own else str(trial.number)
        table.add_row(name, *cells, mean_and_error(trial.value, error))
    return table


def conclusion(found: Searched) -> str:
    """What the best setting is worth on held-out seeds."""
    if found.held_out is None:
        is_own = found.best is not None and found.best.values == found.plan.own_values
        return "no trial is better than the configuration's own setting" if is_own else "no held-out seeds"
    told = found.held_out.summary()
    between = "" if told["low"] is None else f" (95 %: {three_digits(told['low'])} to {three_digits(told['high'])})"
    return (
        f"on {len(told['seeds'])} held-out seeds: best {three_digits(told['best'])}, own {three_digits(told['own'])}, "
        f"better by {three_digits(told['gain'])}{between}"
    )


def _words(value: object) -> str:
    return three_digits(value) if isinstance(value, float) else visible(str(value))
