"""From a configuration to who takes part, and to what tunes and draws."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crowd_sim.config import RunConfig
from crowd_sim.config.task import OF_OWN_OUTPUTS
from crowd_sim.crowd.verifiers import Rule
from crowd_sim.files import fingerprint_of
from crowd_sim.models.adapters import LoraSpec
from crowd_sim.models.generation import Sampling
from crowd_sim.models.jobs import LearnerSpec
from crowd_sim.models.likelihoods import ROW_TOKENS
from crowd_sim.models.objectives import Options
from crowd_sim.models.training import Drawing, Training
from crowd_sim.models.tuning_state import TuningFolder
from crowd_sim.participants import Participants


def training_of(config: RunConfig) -> Training:
    """How a configuration's candidates are tuned."""
    task = config.task
    rows = task.row_tokens or max(ROW_TOKENS, task.unit_tokens)
    options = Options(task.beta, task.label_smoothing, task.sft_weight, kl=task.kl)
    drawing = None
    if task.objective in OF_OWN_OUTPUTS:
        generation, verifier = task.generation, task.verifier
        rule = Rule(verifier.kind, verifier.pattern)
        drawing = Drawing(verifier.n_outputs, generation.max_new_tokens, generation.temperature, rule)
    how = (task.epochs, task.batch_size, task.learning_rate, task.max_grad_norm, rows, task.objective)
    return Training(*how, options, drawing, task.sft_epochs, task.schedule, task.warmup)


def sampling_of(config: RunConfig) -> Sampling:
    """How its outputs are drawn."""
    return Sampling(config.task.generation.max_new_tokens, config.task.generation.temperature)


def learner_spec(config: RunConfig) -> LearnerSpec:
    """What a configuration's learner is made from; configurations with equal ones share a model."""
    task = config.task
    return LearnerSpec(
        model=task.model,
        device=task.device,
        dtype=task.dtype,
        threads=task.threads,
        prompt_template=task.prompt_template,
        lora=LoraSpec(task.rank, task.alpha, task.target_modules),
        max_tokens=task.max_tokens,
        cut=task.long_texts == "cut",
        phi_kind=task.phi.kind if config.needs_phi else "none",
        phi_model=task.phi.model,
        adapter=task.adapter,
        recomputes=task.gradient_checkpointing,
        engine=task.engine,
        quantization=task.quantization,
    )


def tuning_folder(folder: Path | None, configs: Sequence[RunConfig], content: str) -> TuningFolder | None:
    """Where candidates are kept while they are tuned by a learner of this content; None: nowhere."""
    every = configs[0].actors.checkpoints.steps
    return TuningFolder(folder / fingerprint_of({"learner": content}), every) if folder is not None and every else None


def everyone(n_workers: int, configs: Sequence[RunConfig]) -> list[Participants]:
    """All workers, in every run of each configuration; the target is no worker."""
    row = np.arange(n_workers)
    return [Participants(np.tile(row, (config.runs, 1)), np.full(config.runs, -1)) for config in configs]
