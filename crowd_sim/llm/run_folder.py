"""An LLM run's folder: opened before the work, filled after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import cast

from crowd_sim.config import RunConfig
from crowd_sim.crowd.texts import Contributions
from crowd_sim.errors import InputError
from crowd_sim.files import (
    fingerprint,
    open_folder,
    read_config,
    write_config,
    write_json,
    write_table,
    write_text,
)
from crowd_sim.llm.card import model_card
from crowd_sim.llm.experiment import LlmOutcome
from crowd_sim.llm.people import learner_spec
from crowd_sim.llm.tables import candidates_table, models_table, outputs_table, rounds_table, summary, workers_table
from crowd_sim.models.adapters import save_adapter, save_merged
from crowd_sim.models.language_model import DType, load_base, public_name
from crowd_sim.store.lock import RUN, alone


def llm_fingerprint(config: RunConfig, contributions: Contributions) -> str:
    """SHA-256 of what an LLM run depends on: the configuration without its actors, and everyone's texts."""
    return fingerprint({**config.determinants(), "contributions": asdict(contributions)})


@contextmanager
def open_llm_run(folder: Path, config: RunConfig, contributions: Contributions, weights: str) -> Iterator[str]:
    """Make the folder (or take one that the same configuration has made) and write config.yaml; the run's fingerprint.

    While the context lasts the folder is nobody else's. One that is refused stays as it was.

    A model's folder may hold other weights tomorrow. Stages and utilities made with them must not be mixed with those that are
    here, so their digest (`crowd_sim.models.lora.Facts`) is written, too; a folder without one is taken for what it says.

    Raises:
        InputError: the folder cannot be written, holds something else, or what other weights have made; or another process is
            at work in it.
        StorageError: config.yaml cannot be written.
    """
    print_of = llm_fingerprint(config, contributions)
    with alone(folder / RUN, partial(_check, folder, print_of, weights)):
        write_config(folder, {**config.recorded(folder), "weights": weights}, print_of)
        yield print_of


def _check(folder: Path, print_of: str, weights: str) -> None:
    open_folder(folder, print_of)
    found = read_config(folder).get("weights") if (folder / "config.yaml").exists() else None
    if found not in (None, weights):
        allowed = "must be another folder: the files of llm.model or llm.phi.model have changed since this one was made"
        raise InputError("--out", str(folder), allowed)


def write_llm_run(folder: Path, outcome: LlmOutcome, print_of: str) -> None:
    """Write the tables and the adapters, and last the summary, whose presence says that the run is complete.

    Raises:
        InputError: the base model, needed here for `llm.merged_model`, cannot be loaded.
    """
    for name, table in (
        ("rounds", rounds_table),
        ("candidates", candidates_table),
        ("workers", workers_table),
        ("models", models_table),
        ("outputs", outputs_table),
    ):
        write_table(folder / f"{name}.parquet", table(outcome))
    told = _as_given(outcome)
    spec = learner_spec(told.config)
    for run, adapter in enumerate(outcome.models):
        own = folder / "adapter" / f"run-{run}"
        save_adapter(own, adapter, spec.lora, public_name(spec.model))
        write_text(own / "README.md", model_card(told, run, print_of))
    if outcome.config.lora.merged_model:
        _write_merged(folder / "merged", outcome)
    write_json(folder / "summary.json", summary(told, print_of))


def _as_given(outcome: LlmOutcome) -> LlmOutcome:
    """The outcome as the folder in which the run was begun would have it told."""
    config, facts = outcome.config.as_given(), outcome.facts
    here, given = outcome.config.lora.phi.model, config.lora.phi.model
    if here is not None and given is not None:
        facts = replace(facts, phi=facts.phi.replace(here, given))
    return replace(outcome, config=config, facts=facts)


def _write_merged(folder: Path, outcome: LlmOutcome) -> None:
    # loaded anew: the learner's model may be a trainer's, on a device that is not here
    spec = learner_spec(outcome.config)
    base = load_base(spec.model, "cpu", cast("DType", outcome.facts.dtype), spec.threads)
    for run, adapter in enumerate(outcome.models):
        save_merged(folder / f"run-{run}", adapter, spec.lora, base)
