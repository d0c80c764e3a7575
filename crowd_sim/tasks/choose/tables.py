"""Outcomes of `classify` and `prefer` as tables: those of all runs, and a row per item of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowd_sim import tables
from crowd_sim.elementary import log
from crowd_sim.metrics import summarise
from crowd_sim.models.diversity import distinct, repetition
from crowd_sim.outcome import Outcome
from crowd_sim.tasks.adapters.card import figures_of_items
from crowd_sim.tasks.choose.crowd import names_of
from crowd_sim.tasks.choose.learner import accuracy, calibration_error


def items_table(outcome: Outcome) -> pd.DataFrame:
    """One row per run and item of the report: what is right, and what the model chose before the first round and in the end."""
    details = outcome.details
    rows = []
    for run, of_run in enumerate(details.probabilities):
        for i, item in enumerate(details.crowd.report):
            names = names_of(item, outcome.config.task.kind)
            row: dict[str, Any] = {"run": run, "item": i, "prompt": item.prompt, "right": names[item.right]}
            if names != item.choices:
                row["response"] = item.choices[0]
            for name, found in (("before", of_run[0, i]), ("after", of_run[-1, i])):
                row |= {
                    f"chosen_{name}": names[int(found.argmax())],
                    f"probability_{name}": float(found[item.right]),
                }
            for name, note in details.outputs[run].items() if details.outputs else ():
                row |= {f"output_{name}": note["texts"][i], f"reward_{name}": note["rewards"][i]}
            rows.append(row)
    return pd.DataFrame(rows)


def labels_table(outcome: Outcome) -> pd.DataFrame:
    """One row per run and right choice of a report's item: how many items, and which share the model gets right."""
    items = items_table(outcome)
    right = items.assign(before=items["chosen_before"] == items["right"], after=items["chosen_after"] == items["right"])
    found = right.groupby(["run", "right"], sort=True).agg(
        items=("item", "size"), accuracy_before=("before", "mean"), accuracy_after=("after", "mean")
    )
    return found.reset_index()


def choice_metrics(outcome: Outcome) -> dict[str, NDArray[np.float64]]:
    """float64[B] by name, of the model ``before`` and ``after`` the rounds and of each baseline.

    ``floor`` is the accuracy of one who always says what is right most often, of pairs a half; ``tokens`` those trained;
    with `prefer` ``margin_after`` by how much what is right is likelier than what is not, in nats.
    Where a baseline asks a reward model, `output_metrics` besides.
    """
    details, items = outcome.details, outcome.details.crowd.report
    found: dict[str, NDArray[np.float64]] = {}
    before, after = details.probabilities[:, 0], details.probabilities[:, -1]
    for name, own in {"before": before, "after": after, **details.baselines}.items():
        right = [probabilities[np.arange(len(items)), [item.right for item in items]] for probabilities in own]
        found |= {
            f"accuracy_{name}": np.array([accuracy(probabilities, items) for probabilities in own]),
            f"log_likelihood_{name}": np.array([float(log(p).mean()) for p in right]),
            f"calibration_error_{name}": np.array([calibration_error(probabilities, items) for probabilities in own]),
        }
    right_ones = np.array([item.right for item in items])
    floor = float(np.bincount(right_ones).max() / len(items))
    if outcome.config.task.kind == "prefer":
        of_items = np.arange(len(items))
        gaps = [log(p[-1, of_items, right_ones]) - log(p[-1, of_items, 1 - right_ones]) for p in details.probabilities]
        found["margin_after"] = np.array([float(gap.mean()) for gap in gaps]) / outcome.config.task.beta
        floor = 0.5 if len(items[0].choices) > 1 else floor
    return (
        found
        | {name: np.array(values) for name, values in output_metrics(details.outputs).items()}
        | {
            "floor": np.full(outcome.config.runs, floor),
            "tokens": details.tokens.sum(axis=1).astype(np.float64),
        }
    )


def output_metrics(outputs: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """A number per run by name, of models' outputs to the report's prompts.

    ``win_rate_<model>`` is the share of prompts at which the judge prefers its output to that of the model before, a tie half;
    ``repetition`` the share of an output's 3-grams that have come before in it, ``distinct`` that of different outputs.
    ``reward_accuracy`` is the share of the report's pairs that the crowd's reward model orders rightly, ``judge_accuracy`` that
    of the selection's pairs that the judge does, which is fitted to the report's.
    """
    found: dict[str, list[float]] = {}
    for name in outputs[0] if outputs else ():
        notes = [own[name] for own in outputs]
        gaps = [np.array(own[name]["rewards"]) - own["before"]["rewards"] for own in outputs]
        found[f"win_rate_{name}"] = [float(((gap > 0) + 0.5 * (gap == 0)).mean()) for gap in gaps]
        found[f"repetition_{name}"] = [repetition(note["texts"]) for note in notes]
        found[f"distinct_{name}"] = [distinct(note["texts"]) for note in notes]
    for name in ("reward_accuracy", "judge_accuracy"):
        if outputs:
            found[name] = [own["before"][name] for own in outputs]
    return found


def summary(outcome: Outcome, fingerprint: str) -> dict[str, Any]:
    """What summary.json holds: that of all runs, with the facts of the learner and the metrics of choices."""
    own = tables.summary(outcome, fingerprint)
    return own | {"learner": asdict(outcome.details.info), "choices": summarise(choice_metrics(outcome))}


def card_figures(outcome: Outcome, run: int) -> list[str]:
    """Lines of a model card: the metrics of the report's items, and who won each round."""
    return figures_of_items(outcome, run, choice_metrics(outcome))


def runs_table(outcome: Outcome) -> pd.DataFrame:
    """One row per run and every metric, so that folders can be compared."""
    return pd.DataFrame({"run": np.arange(outcome.config.runs), **run_metrics(outcome)})


def run_metrics(outcome: Outcome) -> dict[str, NDArray[np.float64]]:
    """What a sweep keeps of every run: float64[B] by name."""
    return tables.run_metrics(outcome) | choice_metrics(outcome)


TABLES = {**tables.TABLES, "runs": runs_table, "items": items_table, "labels": labels_table}
"""Of a run's folder, by name."""
