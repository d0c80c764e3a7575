"""What each worker's examples did for the target while one model was tuned on everyone's, to first order.

Source: Wang, Mittal, Song, Jia, "Data Shapley in One Training Run", arXiv 2406.11011. A step of size η along −Σ gᵢ lowers the
loss on validation texts by about η Σ ⟨gᵢ, g_validation⟩, a sum in which every worker has a term of its own; its Shapley value
in that step's game is just that term.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.models.adapters import Adapter, AdapterStack
from crowd_sim.models.language_model import Base
from crowd_sim.models.likelihoods import losses_of, scales_of
from crowd_sim.models.packing import Tokens, pack
from crowd_sim.models.schedules import learning_rate
from crowd_sim.models.steps import batches, parts
from crowd_sim.models.training import Key, PackedTuneJob, Training
from crowd_sim.random import Purpose, generator

_VALIDATION_BATCH = 32
"""Validation texts per step at most: a gradient over them costs as much as a step."""


def first_order(
    base: Base,
    stack: AdapterStack,
    start: Adapter,
    workers: Sequence[Sequence[Tokens]],
    validation: Sequence[Tokens],
    key: Key,
    training: Training,
) -> NDArray[np.float64]:
    """First-order values of n workers: float64[n], in nats of validation loss.

    One adapter is tuned from `start` on all examples, as `tune` would. The gradient of each worker's part of a batch is taken
    by itself: together, all would be padded to the longest, the validation texts, and fill gigabytes. With AdamW, whose steps
    are not along the gradient, the values say what plain gradient steps from the same places would have done, as in the source.
    """
    import torch

    owners = [i for i, own in enumerate(workers) for _ in own]
    # copies: the same example of two workers is two examples
    examples = tuple(replace(example) for own in workers for example in own)
    numbered = {id(example): owners[e] for e, example in enumerate(examples)}
    values = np.zeros(len(workers))
    stack.put([start], trainable=True)
    weights = stack.weights(0)
    optimiser = torch.optim.AdamW([weights], lr=training.learning_rate, weight_decay=0.0, fused=True)
    draws = generator(key.seed, key.run, Purpose.VALIDATION, key.round, key.number)
    job = PackedTuneJob(start, examples, key)
    for step, batch in enumerate(batches(job, training)):
        rate = optimiser.param_groups[0]["lr"] = learning_rate(job, training, step, 0)
        present = sorted({numbered[id(example)] for example in batch})
        chosen = draws.permutation(len(validation))[:_VALIDATION_BATCH]
        towards = _gradient(base, stack, [validation[i] for i in chosen], training.row_tokens)
        total = sum(example.n_trained for example in batch)
        summed = torch.zeros_like(weights)
        for worker in present:
            part = [e for e in batch if numbered[id(e)] == worker]
            share = sum(example.n_trained for example in part) / total
            gradient = share * _gradient(base, stack, part, training.row_tokens)
            values[worker] += rate * float((gradient.double() * towards.double()).sum())
            summed += gradient
        weights.grad = summed
        torch.nn.utils.clip_grad_norm_(weights, training.max_grad_norm)
        optimiser.step()
        optimiser.zero_grad()
    return values


def _gradient(base: Base, stack: AdapterStack, examples: Sequence[Tokens], row_tokens: int) -> Any:
    """The gradient of the examples' mean loss, token by token, at the first adapter: float32[n], its weights in a row."""
    total = sum(example.n_trained for example in examples)
    for scale in scales_of(base):
        copy = stack.copy(0)
        for part in parts(examples, row_tokens):
            row = pack(part)
            (losses_of(base, [row]).sum() * (len(row.targets) / total) * scale).backward()
        gradient = copy.grad / scale
        if bool(gradient.isfinite().all()):
            break
    return gradient
