"""Several payments of the same rounds, as the tables of payment need them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.engine import simulate_opened
from crowd_sim.host import InProcess
from crowd_sim.outcome import Outcome
from crowd_sim.participants import Participants, load_population
from crowd_sim.paying import Payment, paid
from crowd_sim.tasks.base import OpenTask
from crowd_sim.tasks.vector import VectorTask
from crowd_sim.valuation import ShapleyResult
from crowd_sim.valuing import Valued

N, K, ROUNDS = 75, 4, 100


def setting(
    seed: int, runs: int, n_workers: int = N, bad: dict[str, Any] | None = None, **tournament: Any
) -> RunConfig:
    """The figures' setting: people of MovieLens drawn anew per run, random grouping, l2, 5 % mistakes, all values known."""
    return RunConfig.parse(
        {
            "seed": seed,
            "runs": runs,
            "crowd": {"source": "movielens", "n_workers": n_workers} | ({"bad": bad} if bad else {}),
            "tournament": {"rounds": ROUNDS, "n_groups": K, "observe": ["calibrated"], **tournament},
            "valuation": {"budget": 3000, "kernel_shap_budget": 0},
            "payment": {"rule": "equal", "identities": "merge"},  # keeps what is needed for any other
        }
    )


@dataclass(frozen=True, eq=False)
class Rounds:
    """Runs that were played, to be paid for by any rule."""

    outcome: Outcome
    task: OpenTask

    def paid(self, rule: str, power: float = 1.0, *, merge: bool = False) -> Payment:
        """By a rule, with or without merged identities."""
        outcome = self.outcome
        section = {"rule": rule, "power": power, "identities": "merge" if merge else "separate"}
        config = RunConfig.parse(outcome.config.model_dump() | {"payment": section})
        assert outcome.values is not None  # noqa: S101 - `setting` asks for them
        valued = [Valued(ShapleyResult(own, np.zeros_like(own), 0, "known"), None, {}) for own in outcome.values]
        found = paid(config, self.task, Participants(outcome.workers, outcome.targets), outcome.history, valued)
        assert found is not None  # noqa: S101 - it has a payment
        return found


@contextmanager
def played(config: RunConfig, chosen: Participants | None = None) -> Iterator[Rounds]:
    """Play a configuration's runs with who takes part in them by the configuration, or with these."""
    task = VectorTask(load_population(config.crowd), chosen)
    with task.open([config], InProcess()) as opened:
        (outcome,) = simulate_opened([config], opened, task.ids, InProcess())
        yield Rounds(outcome, opened)


def persons(rounds: Rounds, operators: NDArray[np.int64]) -> Participants:
    """Who takes part where everyone has one account: rows of the operators."""
    outcome = rounds.outcome
    firsts = operators == np.arange(operators.shape[1])
    rows = [own[first] for own, first in zip(outcome.workers, firsts, strict=True)]
    return Participants(np.stack(rows), outcome.targets)
