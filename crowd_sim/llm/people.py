"""From a configuration to everyone's examples, and to the learner that is tuned on them."""

from __future__ import annotations

from pathlib import Path

from crowd_sim.config import RunConfig
from crowd_sim.crowd.sources.feedback import example_feedback, read_feedback
from crowd_sim.crowd.sources.goemotions import read_neighbours
from crowd_sim.crowd.texts import Contributions
from crowd_sim.errors import InputError
from crowd_sim.models.adapters import LoraSpec
from crowd_sim.models.generation import Sampling
from crowd_sim.models.lora import LearnerSpec
from crowd_sim.models.tuning import Training


def load_contributions(config: RunConfig) -> Contributions:
    """The contributions of the workers that take part.

    Raises:
        InputError: the source cannot be read, has too few workers, or too few examples for a baseline.
    """
    crowd = config.crowd
    target, path = str(crowd.target), Path(crowd.path) if crowd.path else None
    if crowd.source == "goemotions":
        contributions = read_neighbours(path, target, crowd.n_workers)
    elif crowd.source == "feedback":
        if path is None:
            raise InputError("crowd.path", None, "must be given: a JSONL or Parquet file of worker, prompt, response")
        contributions = read_feedback(path, Path(target))
    else:
        contributions = example_feedback(target)
    there = contributions.n_workers
    if crowd.n_workers > there:
        raise InputError("crowd.n_workers", crowd.n_workers, f"must be at most {there}, the workers of the source")
    if crowd.n_workers < there and crowd.selection != "first":
        allowed = f"must be {there}, all workers of the source, or fewer with crowd.selection=first"
        raise InputError("crowd.n_workers", crowd.n_workers, allowed)
    contributions = contributions.of(range(crowd.n_workers))
    n_examples = len(contributions.in_turn())
    for size in config.lora.single_sizes:
        if size > n_examples:
            raise InputError("llm.single_sizes", size, f"must be at most {n_examples}, all examples of the crowd")
    return contributions


def learner_spec(config: RunConfig) -> LearnerSpec:
    """What a configuration's learner is made from."""
    llm = config.lora
    return LearnerSpec(
        model=llm.model,
        device=llm.device,
        dtype=llm.dtype,
        threads=llm.threads,
        prompt_template=llm.prompt_template,
        lora=LoraSpec(llm.rank, llm.alpha, llm.target_modules),
        training=Training(llm.epochs, llm.batch_size, llm.learning_rate, llm.max_grad_norm),
        sampling=Sampling(llm.generation.max_new_tokens, llm.generation.temperature),
        max_tokens=llm.max_tokens,
        cut=llm.long_texts == "cut",
        phi_kind=llm.phi.kind,
        phi_model=llm.phi.model,
    )
