"""What `crowd-sim sweep` shows: how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from crowd_sim.cli.signals import stoppable
from crowd_sim.commands.progress import shown
from crowd_sim.commands.sweep import Swept
from crowd_sim.commands.sweep import sweep as run_sweep
from crowd_sim.sweeps.partition import WHOLE, Shard
from crowd_sim.sweeps.plan import Sweep
from crowd_sim.trackers import Named


def sweep(
    plan: Sweep,
    name: str,
    out: Path | None,
    ray_address: str | None,
    console: Console,
    *,
    shard: Shard = WHOLE,
    retry_failed: bool = False,
    tables: Sequence[str] = (),
    trackers: Sequence[Named] = (),
) -> Swept:
    """See `crowd_sim.commands.sweep.sweep`; progress is shown on the console."""
    say = partial(console.print, highlight=False)
    with stoppable(), shown(console) as progress:
        return run_sweep(
            plan,
            out,
            name,
            ray_address,
            progress,
            say,
            shard=shard,
            retry_failed=retry_failed,
            tables=tables,
            trackers=trackers,
        )
