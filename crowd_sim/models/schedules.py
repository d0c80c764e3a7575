"""Learning rates over the steps of a tuning; those of `transformers.get_scheduler`, by the share that is done."""

from __future__ import annotations

import math

from crowd_sim.models.training import PackedTuneJob, Training


def learning_rate(job: PackedTuneJob, training: Training, steps: int, spent: int) -> float:
    """Of the step after so many, which were given so many tokens.

    A job that ends with a number of tokens is done by the share of these, another by that of its steps.
    """
    if job.n_tokens is not None:
        done = spent / max(job.n_tokens, 1)
    else:
        done = steps / (training.epochs * math.ceil(len(job.examples) / training.batch_size))
    return training.learning_rate * share(training.schedule, training.warmup, done)


def share(schedule: str, warmup: float, done: float) -> float:
    """Of the full rate, in [0, 1], where this share of a tuning is done; within the first, `warmup`, it rises from 0."""
    if done < warmup:
        return done / warmup
    left = (1 - done) / (1 - warmup)
    if schedule == "linear":
        return left
    return 0.5 * (1 - math.cos(math.pi * left)) if schedule == "cosine" else 1.0
