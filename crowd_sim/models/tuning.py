"""TuneJob candidates: K adapters on one frozen model, one packed row each, their losses in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.verifiers import Rule
from crowd_sim.models.adapters import Adapter, AdapterStack
from crowd_sim.models.language_model import Base
from crowd_sim.models.likelihoods import ROW_TOKENS, TRAINED_TOKENS, passing, summed, token_losses
from crowd_sim.models.objectives import OBJECTIVES, Options, Responses
from crowd_sim.models.packing import Packed, Tokens, pack, rows_of, rows_of_units
from crowd_sim.models.reward_model import Reward
from crowd_sim.random import Purpose, generator


@dataclass(frozen=True)
class Drawing:
    """How outputs to learn from are drawn, and what they earn.

    Attributes:
        n_outputs: to a prompt.
        max_new_tokens, temperature: see `crowd_sim.models.generation.Sampling`.
        rule: what they earn.
        reward: what they earn instead, by their Φ.
    """

    n_outputs: int
    max_new_tokens: int
    temperature: float
    rule: Rule = field(default_factory=Rule)
    reward: Reward | None = None


@dataclass(frozen=True)
class Training:
    """How a candidate is tuned.

    Attributes:
        epochs: passes over the examples.
        batch_size: examples per optimiser step.
        learning_rate: of AdamW without weight decay, constant.
        max_grad_norm: an adapter's gradient is scaled down to this norm.
        row_tokens: of a packed row at most, prompts included.
        objective: a name in `crowd_sim.models.objectives.OBJECTIVES`.
        options: its numbers.
        drawing: of outputs, where the objective asks for the model's own.
        sft_epochs: passes of `sft` over the examples before those of the objective.
    """

    epochs: int = 3
    batch_size: int = 8
    learning_rate: float = 1e-3
    max_grad_norm: float = 1.0
    row_tokens: int = ROW_TOKENS
    objective: str = "sft"
    options: Options = field(default_factory=Options)
    drawing: Drawing | None = None
    sft_epochs: int = 0


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
        n_tokens: if given, training ends after exactly this many trained tokens, however many epochs that takes; with another
            objective than `sft` with the first unit that reaches them.
        objective: a name in `crowd_sim.models.objectives.OBJECTIVES`.
        options: its numbers.
        rivals: the second response of each unit, where the objective has pairs; `examples` are the first.
        gains: what each unit is worth, see `Responses`, where the objective asks for it.
        draw: the model's own outputs, where the objective learns from those: (adapter, the numbers of a step's examples, the
            step's number) → outputs and `gains`.
    """

    start: Adapter
    examples: tuple[Tokens, ...]
    key: Key
    n_tokens: int | None = None
    objective: str = "sft"
    options: Options = field(default_factory=Options)
    rivals: tuple[Tokens, ...] = ()
    gains: tuple[float, ...] = ()
    draw: Callable[[Adapter, NDArray[np.int64], int], tuple[list[Tokens], NDArray[np.float64]]] | None = None


@dataclass(frozen=True, eq=False)
class TunedAdapter:
    """A tuned candidate.

    Attributes:
        adapter: its weights.
        losses: float64[steps], each step's: with `sft` the mean cross-entropy of its tokens, in nats.
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
    spent = 0
    for order in _orders(job, training):
        if job.n_tokens is not None and spent >= job.n_tokens:
            return
        batch: list[Tokens] = []
        for i in order:
            example = job.examples[i]
            left = example.n_trained if job.n_tokens is None else job.n_tokens - spent
            if left > 0:
                if left < example.n_trained:
                    example = Tokens(example.prompt, example.response, left)
                batch.append(example)
                spent += example.n_trained
        yield batch


def _orders(job: PackedTuneJob, training: Training) -> Iterator[NDArray[np.int64]]:
    """The numbers of each step's units: every epoch in an order of its own; without end where tokens are counted."""
    epoch = 0
    while job.examples and (epoch < training.epochs or job.n_tokens is not None):
        chunk = (job.key.number << 32) + epoch
        draws = generator(job.key.seed, job.key.run, Purpose.EXAMPLES, job.key.round, chunk)
        order = draws.permutation(len(job.examples))
        for first in range(0, len(order), training.batch_size):
            yield order[first : first + training.batch_size]
        epoch += 1


def parts(batch: Sequence[Tokens], row_tokens: int) -> list[list[Tokens]]:
    """The examples of a step, in rows of about equally many tokens: their losses add up to the step's."""
    return [[batch[i] for i in row] for row in rows_of(batch, TRAINED_TOKENS, row_tokens)]


def losses_of(base: Base, rows: Sequence[Packed]) -> Any:
    """Mean cross-entropy of the predicted tokens of each row: float32[K], differentiable.

    Row k goes through the k-th adapter in use.
    """
    import torch

    return torch.stack([part.mean() for part in token_losses(base, rows)])


@dataclass(frozen=True, eq=False)
class _Row:
    """A row of a step.

    Attributes:
        packed: its tokens.
        loss: of their cross-entropies float32[M] the row's share of the step's loss.
    """

    packed: Packed
    loss: Callable[[Any], Any]


_Step = Callable[[], list[_Row]]
"""A step's rows; asked for while the job's adapter is in use, as some objectives look at it first."""


def _sft_steps(job: PackedTuneJob, training: Training) -> Iterator[_Step]:
    for batch in batches(job, training):
        packed = [pack(part) for part in parts(batch, training.row_tokens)]
        total = sum(len(row.targets) for row in packed)
        yield partial(_sft_rows, packed, total)


def _sft_rows(packed: Sequence[Packed], total: int) -> list[_Row]:
    def share(row: Packed) -> Callable[[Any], Any]:
        return lambda losses: losses.mean() * (len(row.targets) / total)

    return [_Row(row, share(row)) for row in packed]


def _together(
    base: Base, stack: AdapterStack, jobs: Sequence[PackedTuneJob], ways: Sequence[Training]
) -> list[TunedAdapter]:
    import torch

    def steps_of(k: int) -> Iterator[_Step]:
        job, training = jobs[k], ways[k]
        if job.draw is not None:
            return _drawn_steps(stack, k, job, training)
        return _sft_steps(job, training) if job.objective == "sft" else _unit_steps(base, stack, job, training)

    steps = [steps_of(k) for k in range(len(jobs))]
    stack.put([job.start for job in jobs], trainable=True)
    optimisers = [
        torch.optim.AdamW(stack.weights(k), lr=training.learning_rate, weight_decay=0.0, fused=True)
        for k, training in enumerate(ways)
    ]
    history: list[list[Any]] = [[] for _ in jobs]
    n_tokens = [0] * len(jobs)
    while True:
        rows: dict[int, list[_Row]] = {}
        for k, own in enumerate(steps):
            if (step := next(own, None)) is not None:
                stack.use([k])
                rows[k] = step()
        if not rows:
            break
        losses: dict[int, Any] = dict.fromkeys(rows, 0.0)
        for i in range(max(map(len, rows.values()))):
            here = [k for k in rows if i < len(rows[k])]
            stack.use(here)
            found = token_losses(base, [rows[k][i].packed for k in here])
            shares = torch.stack([rows[k][i].loss(own) for k, own in zip(here, found, strict=True)])
            shares.sum().backward()
            for k, loss in zip(here, shares.detach(), strict=True):
                losses[k] = losses[k] + loss
        for k, own_rows in rows.items():
            torch.nn.utils.clip_grad_norm_(stack.weights(k), ways[k].max_grad_norm)
            optimisers[k].step()
            optimisers[k].zero_grad()
            history[k].append(losses[k])
            n_tokens[k] += sum(len(row.packed.targets) for row in own_rows)
    return [
        TunedAdapter(stack.get(k), np.array([float(loss) for loss in history[k]]), n_tokens[k])
        for k in range(len(jobs))
    ]


def _unit_steps(base: Base, stack: AdapterStack, job: PackedTuneJob, training: Training) -> Iterator[_Step]:
    """Steps of an objective that holds responses against the start; what those are there is computed here, once."""
    pairs = OBJECTIVES[job.objective][1] == 2
    units = list(zip(job.examples, job.rivals, strict=True)) if pairs else [(example,) for example in job.examples]
    before = _likelihoods(base, stack, job.start, units, training.row_tokens)
    strangers = [
        (Tokens(example.prompt, other.response, other.n_trained),)
        for example, other in zip(job.examples, job.examples[1:] + job.examples[:1], strict=True)
    ]
    strange_before = None
    if job.objective == "kto":
        strange_before = _likelihoods(base, stack, job.start, strangers, training.row_tokens)
    gains = np.array(job.gains or (1.0,) * len(units))

    def step(numbers: NDArray[np.int64]) -> list[_Row]:
        rows = rows_of_units([units[i] for i in numbers], TRAINED_TOKENS, training.row_tokens)
        kl = 0.0
        if strange_before is not None:
            now = _passing(base, [strangers[i] for i in numbers], training.row_tokens)
            kl = max(float((now - strange_before[numbers]).mean()), 0.0)
        kept = gains[numbers] if job.objective == "raft" else np.ones(len(numbers))
        n_tokens = float(max(kept @ [units[i][0].n_trained for i in numbers], 1.0))
        return [row([numbers[i] for i in own], len(numbers), n_tokens, kl) for own in rows]

    def row(numbers: Sequence[int], n_units: int, n_tokens: float, kl: float) -> _Row:
        own = [units[i] for i in numbers]
        return _row_of_units(job, own, before[numbers], gains[numbers], n_units, n_tokens, kl)

    def steps() -> Iterator[_Step]:
        spent = 0
        for order in _orders(job, training):
            if job.n_tokens is not None and spent >= job.n_tokens:
                return
            own = []
            for i in order:
                if job.n_tokens is None or spent < job.n_tokens:
                    own.append(i)
                    spent += sum(tokens.n_trained for tokens in units[i])
            yield partial(step, np.array(own))

    return steps()


def _drawn_steps(stack: AdapterStack, k: int, job: PackedTuneJob, training: Training) -> Iterator[_Step]:
    """Steps of an objective that learns from outputs, drawn for each step by the model as it is then."""
    spent = 0
    assert job.draw is not None  # noqa: S101 - asked for where it is there
    for number, order in enumerate(_orders(job, training)):
        adapter = stack.get(k)
        over = job.n_tokens is not None and spent >= job.n_tokens
        if over or not all(np.isfinite(weights).all() for weights in adapter.values()):
            return
        with stack.aside():
            outputs, gains = job.draw(adapter, order, number)
        spent += sum(output.n_trained for output in outputs)
        yield partial(_drawn_rows, job, outputs, gains, training.row_tokens)


def _drawn_rows(
    job: PackedTuneJob, outputs: Sequence[Tokens], gains: NDArray[np.float64], row_tokens: int
) -> list[_Row]:
    numbers = np.flatnonzero(gains) if job.objective == "raft" else np.arange(len(outputs))
    if not len(numbers):
        return []
    n_tokens = float(sum(outputs[i].n_trained for i in numbers.tolist()))
    units = [(outputs[i],) for i in numbers.tolist()]
    return [
        _row_of_units(job, [units[i] for i in row], None, gains[numbers[row]], len(units), n_tokens)
        for row in rows_of_units(units, TRAINED_TOKENS, row_tokens)
    ]


def _row_of_units(
    job: PackedTuneJob,
    units: Sequence[tuple[Tokens, ...]],
    before: NDArray[np.float64] | None,
    gains: NDArray[np.float64],
    n_units: int,
    n_tokens: float,
    kl: float = 0.0,
) -> _Row:
    """A row of units; `before` float64[u, a] is the reference, None where it is the model as it is."""
    loss, arity = OBJECTIVES[job.objective]
    packed = pack([tokens for unit in units for tokens in unit])
    lengths = [[tokens.n_trained for tokens in unit] for unit in units]

    def share(losses: Any) -> Any:
        logps = summed(packed, losses).view(-1, arity)
        were = logps.detach() if before is None else logps.new_tensor(before)
        long, own = (logps.new_tensor(values) for values in (lengths, gains))
        return loss(Responses(logps, were, long, own, n_units, n_tokens, kl), job.options)

    return _Row(packed, share)


def _likelihoods(
    base: Base, stack: AdapterStack, adapter: Adapter, units: Sequence[tuple[Tokens, ...]], row_tokens: int
) -> NDArray[np.float64]:
    """Summed log-probabilities of units' responses under an adapter: float64[u, a]."""
    stack.put([adapter], trainable=False)
    return _passing(base, units, row_tokens)


def _passing(base: Base, units: Sequence[tuple[Tokens, ...]], row_tokens: int) -> NDArray[np.float64]:
    """The same under the adapter in use."""
    found = passing(base, [tokens for unit in units for tokens in unit], row_tokens)
    return found.reshape(len(units), -1) if units else found.reshape(0, 1)  # of a coalition of nobody
