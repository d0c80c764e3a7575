"""Where effort settles under a configuration's payment, by runs of its tournament."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.crowd.population import Population
from crowd_sim.engine import simulate
from crowd_sim.errors import InputError, StorageError
from crowd_sim.files import write_table
from crowd_sim.host import InProcess
from crowd_sim.participants import Participants
from crowd_sim.paths import exists, is_folder
from crowd_sim.payment.effort import EffortGame
from crowd_sim.progress import Progress, quiet
from crowd_sim.random import Purpose, generator
from crowd_sim.tasks.load import load_task
from crowd_sim.tasks.vector import VectorTask


class Errors(StrEnum):
    """What a worker who makes no effort gets wrong."""

    OWN = "own"
    RANDOM = "random"


TABLE, FIGURE = "equilibrium.parquet", "equilibrium.png"


@dataclass(frozen=True, eq=False)
class Settled:
    """A game of effort, played.

    Attributes:
        game: the pays of a worker.
        distances: float64[L, m], from the last model to the target where everyone makes an effort.
    """

    game: EffortGame
    distances: NDArray[np.float64]

    def table(self) -> pd.DataFrame:
        """A row per effort of the others and effort of a worker: mean pay, utility, and what deviating gains."""
        game = self.game
        gain, error = game.gains
        n = len(game.levels)
        return pd.DataFrame(
            {
                "others": np.repeat(game.levels, n),
                "effort": np.tile(game.levels, n),
                "pay": game.pays.mean(axis=2).ravel(),
                "utility": game.utilities.ravel(),
                "gain": gain.ravel(),
                "gain_se": error.ravel(),
                "distance": np.repeat(self.distances.mean(axis=1), n),
            }
        )


def equilibrium(
    config: RunConfig,
    cost: float = 0.3,
    noise: float = 1.0,
    n_levels: int = 11,
    errors: Errors = Errors.OWN,
    progress: Progress = quiet,
) -> Settled:
    """Play a configuration's runs at all pairs of efforts, one worker's and all others'.

    With effort e a worker contributes its vector + `noise` (1 − e) × an error, the same in all rounds of a run: its own,
    vector − target, which it then does not correct; or a random one, standard normal in every coordinate. The first worker of
    each run is the one whose pay is looked at. Draws are shared between efforts.

    Args:
        config: of vectors, with a payment.
        cost: of full effort, over the mean pay.
        noise: times the error; of random ones the standard deviation without effort, in the crowd's units.
        n_levels: efforts from 0 to 1.
        errors: own or random.
        progress: told how many pairs are played.

    Raises:
        InputError: another task, no payment, a cost or noise below 0, fewer than two levels, or what a run refuses.
    """
    if config.task.kind != "vector":
        raise InputError("task.kind", config.task.kind, "must be vector, to choose an effort in")
    if config.payment is None:
        raise InputError("payment", None, "must be given, for example payment.rule=shapley")
    for name, given in (("--cost", cost), ("--noise", noise)):
        if not 0.0 <= given <= 1e6:
            raise InputError(name, given, "must be in [0, 1000000]")
    if not 2 <= n_levels <= 1000:
        raise InputError("--levels", n_levels, "must be in [2, 1000]")
    config = _without_what_nobody_asks(config)
    progress("start", 0, 0, "the crowd")
    task = load_task(config)
    assert isinstance(task, VectorTask)  # noqa: S101 - its kind says so
    with task.open([config], InProcess()) as opened:
        (present,) = opened.participants([config])
    vectors = task.population.vectors[present.workers]
    targets, features = task.population.vectors[present.targets], task.population.features
    wrong = vectors - targets[:, None, :]
    if errors is Errors.RANDOM:
        wrong = np.stack([_normal(config.seed, run, vectors.shape[1:]) for run in range(config.runs)])
    distances: dict[float, NDArray[np.float64]] = {}
    done = 0

    def pays(others: float, own: float) -> NDArray[np.float64]:
        nonlocal done
        left = np.full((1, config.crowd.n_workers, 1), 1.0 - others)
        left[:, 0] = 1.0 - own
        outcome = _played(config, vectors + noise * left * wrong, targets, features)
        if own == others:
            distances[others] = outcome[1]
        done += 1
        progress("pairs of efforts", done, n_levels**2)
        return outcome[0]

    game = EffortGame.of(pays, np.linspace(0.0, 1.0, n_levels), cost)
    return Settled(game, np.stack([distances[level] for level in game.levels.tolist()]))


def _without_what_nobody_asks(config: RunConfig) -> RunConfig:
    """The same without values that no pay depends on."""
    content = config.model_dump()
    content["valuation"]["kernel_shap_budget"] = 0
    if content["payment"]["rule"] != "shapley":
        content["valuation"]["method"] = "none"
    return RunConfig.parse(content)


def _normal(seed: int, run: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    return generator(seed, run, Purpose.EFFORT, 0).standard_normal(shape)


def _played(
    config: RunConfig, given: NDArray[np.float64], targets: NDArray[np.float64], features: tuple[str, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The first worker's pay over the mean pay, and the last distance: float64[B] each."""
    n_runs, n_workers, d = given.shape
    rows = np.concatenate([given.reshape(-1, d), targets])
    people = Population(rows, [str(row) for row in range(len(rows))], features)
    workers = np.arange(n_runs * n_workers).reshape(n_runs, n_workers)
    task = VectorTask(people, Participants(workers, n_runs * n_workers + np.arange(n_runs)))
    (outcome,) = simulate([config], task, InProcess())
    assert outcome.pay is not None  # noqa: S101 - the configuration has a payment
    return outcome.pay[:, 0] / outcome.pay.mean(axis=1), outcome.history.distances[-1]


def check_out(folder: Path) -> None:
    """Refuse a folder that is not for equilibria, before minutes are spent.

    Raises:
        InputError: it holds other files, or is none.
    """
    if exists(folder) and not is_folder(folder):
        raise InputError("--out", str(folder), "must be a folder, or not there")
    if is_folder(folder) and any(path.name not in (TABLE, FIGURE) for path in folder.iterdir()):
        allowed = "must be a new folder, an empty one, or one of an equilibrium: it holds other files"
        raise InputError("--out", str(folder), allowed)


def write(folder: Path, settled: Settled) -> None:
    """Write equilibrium.parquet and equilibrium.png.

    Raises:
        InputError: the folder cannot be written.
    """
    from crowd_sim.report.effort_figure import effort_curves
    from crowd_sim.report.style import png, write_atomically

    try:
        write_table(folder / TABLE, settled.table())
        write_atomically(folder / FIGURE, png(effort_curves(settled.game, settled.distances)))
    except (OSError, StorageError) as error:
        reason = error.reason if isinstance(error, StorageError) else error.strerror
        raise InputError("--out", str(folder), f"must be a folder that can be written ({reason})") from None
