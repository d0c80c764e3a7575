"""The steps of an optimiser: which examples, packed into which rows, and what their tokens cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.models.adapters import Adapter, AdapterStack
from crowd_sim.models.language_model import Base
from crowd_sim.models.likelihoods import TRAINED_TOKENS, passing, summed
from crowd_sim.models.memory import halves
from crowd_sim.models.objectives import OBJECTIVES, Responses
from crowd_sim.models.packing import Packed, Tokens, pack, rows_of, rows_of_units
from crowd_sim.models.training import PackedTuneJob, Training
from crowd_sim.random import Purpose, generator


def batches(job: PackedTuneJob, training: Training) -> Iterator[list[Tokens]]:
    """The examples of each optimiser step: every epoch in an order of its own."""
    spent = 0
    for order in orders_of(job, training):
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


def orders_of(job: PackedTuneJob, training: Training) -> Iterator[NDArray[np.int64]]:
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


@dataclass(frozen=True, eq=False)
class Row:
    """A row of a step.

    Attributes:
        packed: its tokens.
        loss: of their cross-entropies float32[M] the row's share of the step's loss.
        units: what it is packed of.
        of: the row of some of these.
    """

    packed: Packed
    loss: Callable[[Any], Any]
    units: Sequence[Any]
    of: Callable[[Sequence[Any]], Row]

    def halves(self) -> tuple[Row, Row]:
        """Two rows whose shares add up to this one's, of a row of two units or more."""
        before, after = halves(self.units)
        return self.of(before), self.of(after)


@dataclass(frozen=True, eq=False)
class Step:
    """A step of the optimiser.

    Attributes:
        rows: asked for while the job's adapter is in use, as some objectives look at it first.
        spent: tokens that the job has been given so far, with this step.
    """

    rows: Callable[[], list[Row]]
    spent: int


def steps_of(
    base: Base, stack: AdapterStack, k: int, job: PackedTuneJob, training: Training, done: int = 0, spent: int = 0
) -> Iterator[Step]:
    """The steps of a job whose adapter is the k-th in the stack, but for the first `done`, which were given `spent` tokens."""
    if job.draw is not None:
        return _drawn_steps(stack, k, job, training, done, spent)
    steps = _sft_steps(job, training) if job.objective == "sft" else _unit_steps(base, stack, job, training)
    return islice(steps, done, None)


def _sft_steps(job: PackedTuneJob, training: Training) -> Iterator[Step]:
    spent = 0
    for batch in batches(job, training):
        total = sum(example.n_trained for example in batch)
        spent += total
        yield Step(partial(_sft_rows, batch, total, training.row_tokens), spent)


def _sft_rows(batch: Sequence[Tokens], total: int, row_tokens: int) -> list[Row]:
    return [_sft_row(total, part) for part in parts(batch, row_tokens)]


def _sft_row(total: int, part: Sequence[Tokens]) -> Row:
    packed = pack(part)
    return Row(packed, lambda losses: losses.mean() * (len(packed.targets) / total), part, partial(_sft_row, total))


def _unit_steps(base: Base, stack: AdapterStack, job: PackedTuneJob, training: Training) -> Iterator[Step]:
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

    def rows(numbers: NDArray[np.int64]) -> list[Row]:
        found = rows_of_units([units[i] for i in numbers], TRAINED_TOKENS, training.row_tokens)
        kl = 0.0
        if strange_before is not None:
            now = _passing(base, [strangers[i] for i in numbers], training.row_tokens)
            kl = max(float((now - strange_before[numbers]).mean()), 0.0)
        kept = gains[numbers] if job.objective == "raft" else np.ones(len(numbers))
        n_tokens = float(max(kept @ [units[i][0].n_trained for i in numbers], 1.0))

        def row(own: Sequence[int]) -> Row:
            packed, loss = _row_of_units(
                job, [units[i] for i in own], before[own], gains[own], len(numbers), n_tokens, kl
            )
            return Row(packed, loss, own, row)

        return [row([numbers[i] for i in own]) for own in found]

    def steps() -> Iterator[Step]:
        spent = 0
        for order in orders_of(job, training):
            if job.n_tokens is not None and spent >= job.n_tokens:
                return
            own = []
            for i in order:
                if job.n_tokens is None or spent < job.n_tokens:
                    own.append(i)
                    spent += sum(tokens.n_trained for tokens in units[i])
            yield Step(partial(rows, np.array(own)), spent)

    return steps()


def _drawn_steps(
    stack: AdapterStack, k: int, job: PackedTuneJob, training: Training, done: int, spent: int
) -> Iterator[Step]:
    """Steps of an objective that learns from outputs, drawn for each step by the model as it is then."""
    assert job.draw is not None  # noqa: S101 - asked for where it is there
    for number, order in islice(enumerate(orders_of(job, training)), done, None):
        adapter = stack.get(k)
        over = job.n_tokens is not None and spent >= job.n_tokens
        if over or not all(np.isfinite(weights).all() for weights in adapter.values()):
            return
        with stack.aside():
            outputs, gains = job.draw(adapter, order, number)
        spent += sum(output.n_trained for output in outputs)
        yield Step(partial(_drawn_rows, job, outputs, gains, training.row_tokens), spent)


def _drawn_rows(
    job: PackedTuneJob, outputs: Sequence[Tokens], gains: NDArray[np.float64], row_tokens: int
) -> list[Row]:
    numbers = np.flatnonzero(gains) if job.objective == "raft" else np.arange(len(outputs))
    n_tokens = float(sum(outputs[i].n_trained for i in numbers.tolist()))
    units = [(outputs[i],) for i in numbers.tolist()]

    def row(own: Sequence[int]) -> Row:
        packed, loss = _row_of_units(job, [units[i] for i in own], None, gains[numbers[own]], len(units), n_tokens)
        return Row(packed, loss, own, row)

    return [row(own) for own in rows_of_units(units, TRAINED_TOKENS, row_tokens)] if units else []


def _row_of_units(
    job: PackedTuneJob,
    units: Sequence[tuple[Tokens, ...]],
    before: NDArray[np.float64] | None,
    gains: NDArray[np.float64],
    n_units: int,
    n_tokens: float,
    kl: float = 0.0,
) -> tuple[Packed, Callable[[Any], Any]]:
    """Units packed, and their loss; `before` float64[u, a] is the reference, None where it is the model as it is."""
    loss, arity = OBJECTIVES[job.objective]
    packed = pack([tokens for unit in units for tokens in unit])
    lengths = [[tokens.n_trained for tokens in unit] for unit in units]

    def share(losses: Any) -> Any:
        logps = summed(packed, losses).view(-1, arity)
        were = logps.detach() if before is None else logps.new_tensor(before)
        long, own = (logps.new_tensor(values) for values in (lengths, gains))
        return loss(Responses(logps, were, long, own, n_units, n_tokens, kl), job.options)

    return packed, share


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
