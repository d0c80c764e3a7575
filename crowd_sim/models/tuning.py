"""TuneJob candidates: K adapters on one frozen model, one packed row each, their losses in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.models.adapters import Adapter, AdapterStack
from crowd_sim.models.fused_ops import cross_entropies
from crowd_sim.models.language_model import Base
from crowd_sim.models.packing import Packed, Tokens, attention, pack
from crowd_sim.random import Purpose, generator

_ROW = 256
"""Tokens of a packed row, about: what attention costs grows with the square of a row, what a prompt costs with their number."""


@dataclass(frozen=True)
class Training:
    """How a candidate is tuned.

    Attributes:
        epochs: passes over the examples.
        batch_size: examples per optimiser step.
        learning_rate: of AdamW without weight decay, constant.
        max_grad_norm: an adapter's gradient is scaled down to this norm.
    """

    epochs: int = 3
    batch_size: int = 8
    learning_rate: float = 1e-3
    max_grad_norm: float = 1.0


@dataclass(frozen=True)
class Key:
    """Whose random stream it is: a seed, a run, a round, and the number of the candidate in it."""

    seed: int
    run: int
    round: int
    number: int


@dataclass(frozen=True, eq=False)
class PackedTuneJob:
    """One candidate to tune.

    Attributes:
        start: the adapter it starts from.
        examples: what it learns from.
        key: of the order of the examples.
        n_tokens: if given, training ends after exactly this many trained tokens, however many epochs that takes.
    """

    start: Adapter
    examples: tuple[Tokens, ...]
    key: Key
    n_tokens: int | None = None


@dataclass(frozen=True, eq=False)
class TunedAdapter:
    """A tuned candidate.

    Attributes:
        adapter: its weights.
        losses: float64[steps], mean cross-entropy of each step's tokens, in nats.
        n_tokens: response tokens trained, all epochs together.
    """

    adapter: Adapter
    losses: NDArray[np.float64]
    n_tokens: int


def tune(
    base: Base, stack: AdapterStack, jobs: Sequence[PackedTuneJob], training: Training | Sequence[Training]
) -> list[TunedAdapter]:
    """Tune candidates side by side, each with its own optimiser; `training` is that of all, or one for each.

    On a CPU each goes by itself, so that its numbers do not depend on its company.
    """
    ways = [training] * len(jobs) if isinstance(training, Training) else training
    if base.one_by_one:
        return [tuned for job, how in zip(jobs, ways, strict=True) for tuned in _together(base, stack, [job], [how])]
    return _together(base, stack, jobs, ways)


def batches(job: PackedTuneJob, training: Training) -> Iterator[list[Tokens]]:
    """The examples of each optimiser step: every epoch in an order of its own."""
    spent = epoch = 0
    while job.examples and (epoch < training.epochs if job.n_tokens is None else spent < job.n_tokens):
        chunk = (job.key.number << 32) + epoch
        draws = generator(job.key.seed, job.key.run, Purpose.EXAMPLES, job.key.round, chunk)
        order = draws.permutation(len(job.examples))
        for first in range(0, len(order), training.batch_size):
            batch: list[Tokens] = []
            for i in order[first : first + training.batch_size]:
                example = job.examples[i]
                left = example.n_trained if job.n_tokens is None else job.n_tokens - spent
                if left > 0:
                    if left < example.n_trained:
                        example = Tokens(example.prompt, example.response, left)
                    batch.append(example)
                    spent += example.n_trained
            if batch:
                yield batch
        epoch += 1


def parts(batch: Sequence[Tokens]) -> list[list[Tokens]]:
    """The examples of a step, in rows of about equally many tokens: their losses add up to the step's."""
    found: list[list[Tokens]] = [[]]
    length = 0
    for example in batch:
        if found[-1] and length + example.n_trained > _ROW:
            found.append([])
            length = 0
        found[-1].append(example)
        length += example.n_trained
    return found


def losses_of(base: Base, rows: Sequence[Packed]) -> Any:
    """Mean cross-entropy of the predicted tokens of each row: float32[K], differentiable.

    Row k goes through the k-th adapter in use.
    """
    import torch

    width = max(len(row.ids) for row in rows)
    ids = torch.zeros((len(rows), width), dtype=torch.int64)
    positions = torch.zeros((len(rows), width), dtype=torch.int64)
    allowed = np.stack([attention(row, width) for row in rows])
    for k, row in enumerate(rows):
        ids[k, : len(row.ids)] = torch.from_numpy(row.ids)
        positions[k, : len(row.ids)] = torch.from_numpy(row.positions)
    device, kind = base.device, base.dtype
    mask = torch.zeros(allowed.shape, dtype=kind, device=device)
    mask.masked_fill_(~torch.from_numpy(allowed).to(device), torch.finfo(kind).min)
    needed = np.unique(np.concatenate([row.sources for row in rows]))  # places whose output matters
    logits = base.model(
        input_ids=ids.to(device),
        position_ids=positions.to(device),
        attention_mask=mask[:, None],
        logits_to_keep=torch.from_numpy(needed).to(device),
        use_cache=False,
    ).logits
    places = [k * len(needed) + np.searchsorted(needed, row.sources) for k, row in enumerate(rows)]
    losses = cross_entropies(
        logits.flatten(0, 1),
        torch.from_numpy(np.concatenate(places)).to(device),
        torch.from_numpy(np.concatenate([row.targets for row in rows])).to(device),
    )
    return torch.stack([part.mean() for part in losses.split([len(row.targets) for row in rows])])


def _together(
    base: Base, stack: AdapterStack, jobs: Sequence[PackedTuneJob], ways: Sequence[Training]
) -> list[TunedAdapter]:
    import torch

    stack.put([job.start for job in jobs], trainable=True)
    optimisers = [
        torch.optim.AdamW(stack.weights(k), lr=training.learning_rate, weight_decay=0.0, fused=True)
        for k, training in enumerate(ways)
    ]
    steps = [batches(job, training) for job, training in zip(jobs, ways, strict=True)]
    history: list[list[Any]] = [[] for _ in jobs]
    n_tokens = [0] * len(jobs)
    while True:
        now = {k: batch for k, own in enumerate(steps) if (batch := next(own, None)) is not None}
        if not now:
            break
        rows = {k: [pack(part) for part in parts(batch)] for k, batch in now.items()}
        totals = {k: sum(len(row.targets) for row in own) for k, own in rows.items()}
        losses: dict[int, Any] = dict.fromkeys(now, 0.0)
        for i in range(max(map(len, rows.values()))):
            here = [k for k in now if i < len(rows[k])]
            stack.use(here)
            shares = torch.tensor([len(rows[k][i].targets) / totals[k] for k in here], device=base.device)
            shared = losses_of(base, [rows[k][i] for k in here]) * shares
            shared.sum().backward()
            for k, loss in zip(here, shared.detach(), strict=True):
                losses[k] = losses[k] + loss
        for k in now:
            torch.nn.utils.clip_grad_norm_(stack.weights(k), ways[k].max_grad_norm)
            optimisers[k].step()
            optimisers[k].zero_grad()
            history[k].append(losses[k])
            n_tokens[k] += totals[k]
    return [
        TunedAdapter(stack.get(k), np.array([float(loss) for loss in history[k]]), n_tokens[k])
        for k in range(len(jobs))
    ]
