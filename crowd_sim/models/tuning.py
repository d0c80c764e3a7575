"""Tune candidates: K adapters on one frozen model, one packed row each, their losses in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from crowd_sim.models.adapters import AdapterStack
from crowd_sim.models.language_model import Base
from crowd_sim.models.likelihoods import scales_of, token_losses
from crowd_sim.models.memory import Room, halves
from crowd_sim.models.schedules import learning_rate
from crowd_sim.models.steps import Row, Step, steps_of
from crowd_sim.models.training import PackedTuneJob, Training, TunedAdapter
from crowd_sim.models.tuning_state import TuningState


def tune(
    base: Base, stack: AdapterStack, jobs: Sequence[PackedTuneJob], training: Training | Sequence[Training]
) -> list[TunedAdapter]:
    """Tune candidates side by side, each with its own optimiser; `training` is that of all, or one for each.

    On a CPU each goes by itself, so that its numbers do not depend on its company. One whose state was kept goes on from there.
    Where memory does not suffice for a pass it is made in halves: the gradients' sums differ in their last bits.

    Raises:
        InputError: memory does not suffice for one example.
        StorageError: a state that should be kept cannot be written.
    """
    ways = [training] * len(jobs) if isinstance(training, Training) else training
    if base.one_by_one:
        return [tuned for job, how in zip(jobs, ways, strict=True) for tuned in _together(base, stack, [job], [how])]
    return _together(base, stack, jobs, ways)


@dataclass(eq=False)
class _Candidate:
    """A candidate that is being tuned.

    Attributes:
        job, training: what it is tuned from, and how.
        steps: those to come.
        losses: of the steps before; tensors, or numbers that were read.
        n_tokens, spent, moved: see `TuningState`.
        weights, optimiser: its adapter's, float32[n], and what moves them.
    """

    job: PackedTuneJob
    training: Training
    steps: Iterator[Step]
    losses: list[Any] = field(default_factory=list)
    n_tokens: int = 0
    spent: int = 0
    moved: int = 0
    weights: Any = None
    optimiser: Any = None

    def state(self, stack: AdapterStack, *, is_over: bool = False) -> TuningState:
        """It as it is kept."""
        moments: dict[str, dict[str, Any]] = {}
        if self.moved and not is_over:
            own = {which: stack.named(self.optimiser.state[self.weights][which]) for which in _MOMENTS}
            moments = {name: {which: own[which][name] for which in _MOMENTS} for name in own[_MOMENTS[0]]}
        losses = np.array([float(loss) for loss in self.losses])
        return TuningState(stack.named(self.weights), moments, losses, self.n_tokens, self.spent, self.moved, is_over)


_MOMENTS = ("exp_avg", "exp_avg_sq")


def _together(
    base: Base, stack: AdapterStack, jobs: Sequence[PackedTuneJob], ways: Sequence[Training]
) -> list[TunedAdapter]:
    kept = [None if job.kept is None else job.kept.read() for job in jobs]
    made = [_begun(base, stack, k, *own) for k, own in enumerate(zip(jobs, ways, kept, strict=True))]
    stack.put([job.start if own is None else own.adapter for job, own in zip(jobs, kept, strict=True)], trainable=True)
    for k, (candidate, own) in enumerate(zip(made, kept, strict=True)):
        _give_optimiser(candidate, stack, k, own)
    room = Room("examples", base.device)
    while rows := _next_rows(stack, made):
        losses = _gradients(base, stack, rows, room)
        for k, own_rows in rows.items():
            _move(made[k], losses[k], own_rows)
            job = made[k].job
            if job.kept is not None and len(made[k].losses) % job.kept.every == 0:
                job.kept.write(made[k].state(stack))
    states = [candidate.state(stack, is_over=True) for candidate in made]
    for job, state, own in zip(jobs, states, kept, strict=True):
        if job.kept is not None and not (own and own.is_over):
            job.kept.write(state)
    return [TunedAdapter(state.adapter, state.losses, state.n_tokens) for state in states]


def _begun(
    base: Base, stack: AdapterStack, k: int, job: PackedTuneJob, training: Training, kept: TuningState | None
) -> _Candidate:
    """A candidate before its first step, or where it was stopped."""
    if kept is None:
        return _Candidate(job, training, steps_of(base, stack, k, job, training))
    done = len(kept.losses)
    steps = iter(()) if kept.is_over else steps_of(base, stack, k, job, training, done, kept.spent)
    return _Candidate(job, training, steps, kept.losses.tolist(), kept.n_tokens, kept.spent, kept.moved)


def _give_optimiser(candidate: _Candidate, stack: AdapterStack, k: int, kept: TuningState | None) -> None:
    import torch

    weights = candidate.weights = stack.weights(k)
    rate = candidate.training.learning_rate
    candidate.optimiser = torch.optim.AdamW([weights], lr=rate, weight_decay=0.0, fused=True)
    if kept and kept.moments:
        moments = {which: stack.flat({name: own[which] for name, own in kept.moments.items()}) for which in _MOMENTS}
        step = torch.tensor(float(candidate.moved), device=weights.device)
        candidate.optimiser.state[weights] = {"step": step, **moments}


def _next_rows(stack: AdapterStack, made: Sequence[_Candidate]) -> dict[int, list[Row]]:
    """The rows of everyone's next step, by number; of those who have one."""
    rows: dict[int, list[Row]] = {}
    for k, candidate in enumerate(made):
        if (step := next(candidate.steps, None)) is not None:
            stack.use([k])
            rate = learning_rate(candidate.job, candidate.training, len(candidate.losses), candidate.spent)
            candidate.optimiser.param_groups[0]["lr"] = rate
            rows[k], candidate.spent = step.rows(), step.spent
    return rows


_Pass = list[tuple[int, Row]]
"""Rows that go through the model together, and whose they are."""


def _gradients(base: Base, stack: AdapterStack, rows: dict[int, list[Row]], room: Room) -> dict[int, Any]:
    """Gradients of everyone's step, in float16 of losses that are scaled up as far as they stay finite; the losses."""
    import torch

    scales, weights = scales_of(base), [stack.weights(k) for k in rows]
    for scale in scales:
        losses = _backward(base, stack, rows, room, scale)
        if len(scales) == 1:
            break
        there = [own.grad for own in weights if own.grad is not None]
        if scale == scales[-1] or all(bool(torch.isfinite(grad).all()) for grad in there):
            for grad in there:
                grad.div_(scale)
            break
        _forget(weights)
    return losses


def _forget(weights: Iterable[Any]) -> None:
    for own in weights:
        own.grad = None


def _backward(base: Base, stack: AdapterStack, rows: dict[int, list[Row]], room: Room, scale: float) -> dict[int, Any]:
    """Gradients of everyone's step, of losses times `scale`; the losses."""
    losses: dict[int, Any] = dict.fromkeys(rows, 0.0)
    for i in range(max(map(len, rows.values()))):
        for those in _fitting([(k, own[i]) for k, own in rows.items() if i < len(own)], room):
            try:
                found = _pass_backward(base, stack, those, scale)
            except Exception as error:
                room.full(error, _n_units(those))
                break
            for (k, _), loss in zip(those, found, strict=True):
                losses[k] = losses[k] + loss
        else:
            continue
        _forget(stack.weights(k) for k in rows)  # it may have failed with half of them there
        return _backward(base, stack, rows, room, scale)
    return losses


def _pass_backward(base: Base, stack: AdapterStack, those: _Pass, scale: float) -> Any:
    """Gradients of some rows; their shares of the losses."""
    import torch

    stack.use([k for k, _ in those])
    found = token_losses(base, [row.packed for _, row in those])
    shares = torch.stack([row.loss(own) for (_, row), own in zip(those, found, strict=True)])
    (shares.sum() * scale).backward()
    return shares.detach()


def _fitting(those: _Pass, room: Room) -> Iterator[_Pass]:
    """Passes that there is room for, candidate by candidate first; in the order of the rows."""
    if room.holds(_n_units(those)):
        yield those
    elif len(those) > 1:
        for half in halves(those):
            yield from _fitting(list(half), room)
    else:
        ((k, row),) = those
        for part in row.halves():
            yield from _fitting([(k, part)], room)


def _n_units(those: _Pass) -> int:
    return sum(len(row.units) for _, row in those)


def _move(candidate: _Candidate, loss: Any, rows: Sequence[Row]) -> None:
    """Make a step along the gradients that are there."""
    import torch

    torch.nn.utils.clip_grad_norm_(candidate.weights, candidate.training.max_grad_norm)
    candidate.optimiser.step()
    candidate.optimiser.zero_grad()
    candidate.losses.append(loss)
    candidate.moved += bool(rows)  # without an output worth learning from there is no gradient
    candidate.n_tokens += sum(len(row.packed.targets) for row in rows)
