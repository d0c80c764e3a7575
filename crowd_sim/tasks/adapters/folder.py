"""What a text run's folder holds beside the tables: adapters as peft loads them, each with a card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from crowd_sim.files import write_text
from crowd_sim.models.adapters import save_adapter, save_merged
from crowd_sim.models.language_model import DType, load_base, public_name
from crowd_sim.outcome import Outcome
from crowd_sim.tasks.adapters.card import model_card
from crowd_sim.tasks.adapters.settings import learner_spec


def write_adapters(
    folder: Path, outcome: Outcome, told: Outcome, fingerprint: str, figures: Callable[[Outcome, int], Sequence[str]]
) -> None:
    """Write the final adapter of every run and, where it is asked for, the model with it merged in.

    `told` is the outcome with its paths as they were given: what is written does not depend on where the run went on.
    `figures`: (outcome, run) → lines of the card.

    Raises:
        InputError: the base model, needed here for `task.merged_model`, cannot be loaded.
    """
    spec = learner_spec(told.config)
    for run, adapter in enumerate(outcome.details.models):
        own = folder / "adapter" / f"run-{run}"
        save_adapter(own, adapter, spec.lora, public_name(spec.model))
        write_text(own / "README.md", model_card(told, run, fingerprint, figures(told, run)))
    if outcome.config.task.merged_model:
        _write_merged(folder / "merged", outcome)


def _write_merged(folder: Path, outcome: Outcome) -> None:
    # loaded anew: the learner's model may be a trainer's, on a device that is not here
    spec = learner_spec(outcome.config)
    base = load_base(spec.model, "cpu", cast("DType", outcome.details.info.dtype), spec.threads)
    for run, adapter in enumerate(outcome.details.models):
        save_merged(folder / f"run-{run}", adapter, spec.lora, base)
