"""What each worker's examples did for the target while one model was tuned on everyone's, to first order.

Source: Wang, Mittal, Song, Jia, "Data Shapley in One Training Run", arXiv 2406.11011. A step of size η along −Σ gᵢ lowers the
loss on validation texts by about η Σ ⟨gᵢ, g_validation⟩, a sum in which every worker has a term of its own; its Shapley value
in that step's game is just that term.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from crowd_sim.learners.adapters import Adapter, AdapterStack
from crowd_sim.learners.base import Base
from crowd_sim.learners.packing import Tokens, pack
from crowd_sim.learners.tuning import Key, Training, TuneJob, batches, losses_of
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

    One adapter is tuned from `start` on all examples, as `tune` would. The gradient of each worker's part of a batch comes
    from a copy of the adapter of its own, all copies in one pass. With AdamW, whose steps are not along the gradient, the
    values say what plain gradient steps from the same places would have done, as in the source.
    """
    import torch

    owners = [i for i, own in enumerate(workers) for _ in own]
    # copies: the same example of two workers is two examples
    examples = tuple(replace(example) for own in workers for example in own)
    numbered = {id(example): owners[e] for e, example in enumerate(examples)}
    values = np.zeros(len(workers))
    stack.put([start], trainable=True)
    weights = stack.weights(0)
    optimiser = torch.optim.AdamW(weights, lr=training.learning_rate, weight_decay=0.0, fused=True)
    draws = generator(key.seed, key.run, Purpose.VALIDATION, key.round, key.number)
    for batch in batches(TuneJob(start, examples, key), training):
        present = sorted({numbered[id(example)] for example in batch})
        chosen = draws.permutation(len(validation))[:_VALIDATION_BATCH]
        parts = [[e for e in batch if numbered[id(e)] == worker] for worker in present]
        rows = [pack(part) for part in [*parts, [validation[i] for i in chosen]]]
        total = sum(len(row.targets) for row in rows[:-1])
        shares = torch.tensor([len(row.targets) / total for row in rows[:-1]] + [1.0], device=base.device)
        copies = stack.copies(0, len(rows))
        (losses_of(base, rows) * shares).sum().backward()
        validating = [copy.grad for copy in copies[-1]]
        for worker, copy in zip(present, copies[:-1], strict=True):
            products = [(w.grad.double() * v.double()).sum() for w, v in zip(copy, validating, strict=True)]
            values[worker] += training.learning_rate * float(sum(products))
        for i, own in enumerate(weights):
            own.grad = torch.stack([copy[i].grad for copy in copies[:-1]]).sum(dim=0)
        torch.nn.utils.clip_grad_norm_(weights, training.max_grad_norm)
        optimiser.step()
        optimiser.zero_grad()
    return values
