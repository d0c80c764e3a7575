"""Outcomes of `verify` as tables: those of all runs, and a row per item of the report."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowd_sim import tables
from crowd_sim.metrics import summarise
from crowd_sim.outcome import Outcome
from crowd_sim.tasks.adapters.card import figures_of_items


def items_table(outcome: Outcome) -> pd.DataFrame:
    """One row per run and item of the report: the answer, and what the model said before the first round and in the end."""
    details = outcome.details
    rows: list[dict[str, Any]] = []
    for run, (texts, rewards) in enumerate(zip(details.texts, details.rewards, strict=True)):
        for i, item in enumerate(details.crowd.report):
            row = {"run": run, "item": i, "prompt": item.prompt, "answer": item.choices[0]}
            for name in ("before", "after"):
                row |= {f"output_{name}": texts[name][i], f"reward_{name}": float(rewards[name][i])}
            rows.append(row)
    return pd.DataFrame(rows)


def verify_metrics(outcome: Outcome) -> dict[str, NDArray[np.float64]]:
    """float64[B] by name, of the model ``before`` and ``after`` the rounds and of each baseline.

    ``reward`` is the mean, ``accuracy`` the share of items whose reward is at least a half, ``distinct`` that of different
    outputs, ``floor`` the highest mean reward of one output to all items; ``tokens`` those trained.
    """
    details = outcome.details
    found: dict[str, NDArray[np.float64]] = {}
    for name in details.rewards[0]:
        rewards = [own[name] for own in details.rewards]
        texts = [own[name] for own in details.texts]
        found |= {
            f"accuracy_{name}": np.array([float((own >= 0.5).mean()) for own in rewards]),
            f"reward_{name}": np.array([float(own.mean()) for own in rewards]),
            f"distinct_{name}": np.array([len(set(own)) / len(own) for own in texts]),
        }
    return found | {
        "floor": np.full(outcome.config.runs, details.floor),
        "tokens": details.tokens.sum(axis=1).astype(np.float64),
    }


def summary(outcome: Outcome, fingerprint: str) -> dict[str, Any]:
    """What summary.json holds: that of all runs, with the facts of the learner and the metrics of outputs."""
    own = tables.summary(outcome, fingerprint) | {"learner": asdict(outcome.details.info)}
    return own | {"verified": summarise(verify_metrics(outcome))}


def card_figures(outcome: Outcome, run: int) -> list[str]:
    """Lines of a model card: the metrics of the report's items, and who won each round."""
    return figures_of_items(outcome, run, verify_metrics(outcome))


def runs_table(outcome: Outcome) -> pd.DataFrame:
    """One row per run and every metric, so that folders can be compared."""
    return pd.DataFrame({"run": np.arange(outcome.config.runs), **run_metrics(outcome)})


def run_metrics(outcome: Outcome) -> dict[str, NDArray[np.float64]]:
    """What a sweep keeps of every run: float64[B] by name."""
    return tables.run_metrics(outcome) | verify_metrics(outcome)


TABLES = {**tables.TABLES, "runs": runs_table, "items": items_table}
"""Of a run's folder, by name."""
