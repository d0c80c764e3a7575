"""What `crowd-sim equilibrium` shows: where effort settles, and what leaving it would gain."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from crowd_sim.cli.signals import stoppable
from crowd_sim.commands.equilibrium import Errors, Settled
from crowd_sim.commands.equilibrium import equilibrium as play
from crowd_sim.commands.progress import shown
from crowd_sim.config import RunConfig


def equilibrium(config: RunConfig, cost: float, noise: float, n_levels: int, errors: str, console: Console) -> Settled:
    """See `crowd_sim.commands.equilibrium.equilibrium`; progress is shown."""
    with stoppable(), shown(console) as progress:
        return play(config, cost, noise, n_levels, Errors(errors), progress)


def effort_table(settled: Settled, rule: str) -> Table:
    """A row per effort that all make: a worker's best response, what it gains, the distance, whether effort stays there."""
    game = settled.game
    gain, error = game.gains
    view = Table(title=f"Effort under payment.rule={rule}, full effort at {game.cost:g} of the mean pay")
    for name in ("effort of all", "best response", "gains", "± s.e.", "distance", "equilibrium"):
        view.add_column(name, justify="right")
    stays = set(game.equilibria.tolist())
    for number, level in enumerate(game.levels):
        best = int(game.best[number])
        row = (f"{level:.3g}", f"{game.levels[best]:.3g}", f"{gain[number, best]:.3f}", f"{error[number, best]:.3f}")
        view.add_row(*row, f"{settled.distances[number].mean():.3f}", "yes" if number in stays else "")
    return view


def conclusion(settled: Settled) -> str:
    """Where effort settles, and the regret of full effort."""
    game = settled.game
    ends = []
    for name, start in (("full effort", len(game.levels) - 1), ("none", 0)):
        cycle = [f"{game.levels[number]:.3g}" for number in game.settles(start)]
        ends.append(
            f"from {name} effort "
            + (f"settles at {cycle[0]}" if len(cycle) == 1 else f"settles between {' and '.join(cycle)}")
        )
    regret, error = game.regret
    return f"{'; '.join(ends)}; regret of full effort {max(regret, 0.0):.3f} ± {error:.3f} of the mean pay"
