"""Generation for several candidates in one batch: prompts computed once, finished outputs leave, every draw is keyed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.models.adapters import Adapter, AdapterStack
from crowd_sim.models.language_model import Base
from crowd_sim.models.memory import Room, halves
from crowd_sim.models.training import Key
from crowd_sim.random import Purpose, uniforms

TOGETHER = 4
"""Candidates in one batch on a CPU. A step of few rows costs what reading the model's weights costs, for one candidate as for
four; but the last bits of a row depend on how many there are, so who goes with whom is a matter of the list of jobs alone,
however many trainers there are."""

_COMPACT_BELOW = 0.75
"""Share of unfinished rows under which the finished ones are dropped: dropping copies what is cached."""

_SAMPLED = 8
"""Rows that are drawn at a time on a CPU: as many as stay in its cache from one step to the next."""

_BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))
"""The largest draw: one that is rounded to 1 would take the last token, however unlikely."""


@dataclass(frozen=True, eq=False)
class GenerateJob:
    """Outputs wanted of one candidate.

    Attributes:
        adapter: the candidate.
        prompts: the tokens of each output's prompt.
        key: of the draws.
        purpose: what the outputs are for; those for different purposes are drawn independently.
        first: number of the first output, by which its draws are keyed.
    """

    adapter: Adapter
    prompts: tuple[tuple[int, ...], ...]
    key: Key
    purpose: Purpose
    first: int = 0

    def halves(self) -> tuple[GenerateJob, GenerateJob]:
        """Two jobs with the same outputs, of one with two outputs or more."""
        before, after = map(tuple, halves(self.prompts))
        return replace(self, prompts=before), replace(self, prompts=after, first=self.first + len(before))


@dataclass(frozen=True)
class Sampling:
    """How outputs are drawn.

    Attributes:
        max_new_tokens: at most so many tokens per output.
        temperature: 0 takes the likeliest token.
    """

    max_new_tokens: int = 32
    temperature: float = 0.7


@dataclass(frozen=True)
class Outputs:
    """The outputs of one job, in the order of its prompts, and the tokens they took with their ends.

    `ids` are each output's tokens; the last is an end unless `max_new_tokens` came first.
    """

    texts: tuple[str, ...]
    n_tokens: int
    ids: tuple[tuple[int, ...], ...] = ()

    def followed_by(self, others: Outputs) -> Outputs:
        """These and others, as those of one job."""
        return Outputs(self.texts + others.texts, self.n_tokens + others.n_tokens, self.ids + others.ids)


def generate(base: Base, stack: AdapterStack, jobs: Sequence[GenerateJob], sampling: Sampling) -> list[Outputs]:
    """Outputs of several candidates: on a CPU `TOGETHER` at a time from the first on, else all in one batch.

    Where memory does not suffice for a batch it is drawn in halves, candidate by candidate first. Draws stay what they were; a
    token can only differ where rounding decides, as the last bits of logits depend on the number of rows.

    Raises:
        InputError: it does not suffice for one output.
    """
    size = TOGETHER if base.one_by_one else max(len(jobs), 1)
    room = Room("outputs", base.device)
    parts = [jobs[first : first + size] for first in range(0, len(jobs), size)]
    return [outputs for part in parts for outputs in _fitting(base, stack, part, sampling, room)]


def _fitting(
    base: Base, stack: AdapterStack, jobs: Sequence[GenerateJob], sampling: Sampling, room: Room
) -> list[Outputs]:
    """Outputs of candidates, as many at a time as there is room for."""
    n_rows = len(jobs) * max(len(job.prompts) for job in jobs)
    if room.holds(n_rows):
        try:
            return _together(base, stack, jobs, sampling)
        except Exception as error:
            room.full(error, n_rows)
    if len(jobs) > 1:
        return [outputs for part in halves(jobs) for outputs in _fitting(base, stack, part, sampling, room)]
    before, after = (_fitting(base, stack, [half], sampling, room)[0] for half in jobs[0].halves())
    return [before.followed_by(after)]


def _together(base: Base, stack: AdapterStack, jobs: Sequence[GenerateJob], sampling: Sampling) -> list[Outputs]:
    import torch

    stack.put([job.adapter for job in jobs], trainable=False)
    ends = end_tokens(base)
    draws = draws_of(jobs, sampling.max_new_tokens)
    width = draws.shape[1]  # outputs per job; a job with fewer has rows that are finished from the start
    tokens: list[list[int]] = [[] for _ in range(len(jobs) * width)]
    with torch.no_grad():
        rows = np.array([k * width + i for k, job in enumerate(jobs) for i in range(len(job.prompts))])
        alive = np.zeros(len(jobs) * width, dtype=bool)
        alive[rows] = True
        # the rows of the batch: for every job equally many, −1 where it has nobody left
        seats = np.where(alive, np.arange(len(alive)), -1).reshape(len(jobs), width)
        state = _prefill(base, jobs, width)
        for step in range(sampling.max_new_tokens):
            flat = seats.ravel()
            chosen = _sample(state.logits, draws.reshape(len(alive), -1)[flat, step], sampling.temperature)
            for seat, token in zip(flat, chosen.tolist(), strict=True):
                if seat >= 0 and alive[seat]:
                    tokens[seat].append(token)
                    alive[seat] = token not in ends
            if not alive.any() or step == sampling.max_new_tokens - 1:
                break
            keep = _compacted(seats, alive)
            if keep is not None:
                seats = np.where(keep >= 0, np.take_along_axis(seats, np.maximum(keep, 0), axis=1), -1)
                places = (np.maximum(keep, 0) + np.arange(len(jobs))[:, None] * (len(flat) // len(jobs))).ravel()
                chosen = state.choose(places, chosen)
            state = state.advance(base, chosen)
    texts = [base.tokenizer.decode([t for t in row if t not in ends], skip_special_tokens=True) for row in tokens]
    return [
        Outputs(
            tuple(texts[k * width : k * width + len(job.prompts)]),
            sum(len(row) for row in tokens[k * width : (k + 1) * width]),
            tuple(map(tuple, tokens[k * width : k * width + len(job.prompts)])),
        )
        for k, job in enumerate(jobs)
    ]


@dataclass
class _State:
    """The batch between two tokens: what is cached, who looks where, what comes next."""

    cache: Any
    mask: Any
    positions: Any
    logits: Any

    def choose(self, places: NDArray[np.int64], chosen: Any) -> Any:
        """Keep only these rows; `chosen` of the kept ones."""
        import torch

        index = torch.from_numpy(places).to(chosen.device)
        self.cache.batch_select_indices(index)
        self.mask, self.positions = self.mask[index], self.positions[index]
        return chosen[index]

    def advance(self, base: Base, chosen: Any) -> _State:
        """Append a token to every row."""
        import torch

        mask = torch.cat([self.mask, torch.ones_like(self.mask[:, :1])], dim=1)
        positions = self.positions + 1
        out = base.model(
            input_ids=chosen[:, None],
            attention_mask=mask,
            position_ids=positions[:, None],
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return _State(out.past_key_values, mask, positions, out.logits[:, -1])


def _prefill(base: Base, jobs: Sequence[GenerateJob], width: int) -> _State:
    """Compute every job's different prompts once, then give each output the cache of its own."""
    import torch

    different = [list(dict.fromkeys(job.prompts)) for job in jobs]
    most = max(len(prompts) for prompts in different)
    length = max(len(prompt) for prompts in different for prompt in prompts)
    ids = np.zeros((len(jobs), most, length), dtype=np.int64)
    mask = np.zeros_like(ids)
    for k, prompts in enumerate(different):
        for p in range(most):
            prompt = prompts[min(p, len(prompts) - 1)]
            ids[k, p, length - len(prompt) :] = prompt  # padded on the left, so that all end together
            mask[k, p, length - len(prompt) :] = 1
    flat_mask = torch.from_numpy(mask.reshape(-1, length)).to(base.device)
    positions = (flat_mask.cumsum(-1) - 1).clamp_min(0)
    out = base.model(
        input_ids=torch.from_numpy(ids.reshape(-1, length)).to(base.device),
        attention_mask=flat_mask,
        position_ids=positions,
        use_cache=True,
        # as numbers: a slice of the last places would have the output layer's weights copied for every row
        logits_to_keep=torch.tensor([length - 1], device=base.device),
    )
    rows = [
        k * most + (different[k].index(job.prompts[i]) if i < len(job.prompts) else 0)
        for k, job in enumerate(jobs)
        for i in range(width)
    ]
    index = torch.tensor(rows, device=base.device)
    out.past_key_values.batch_select_indices(index)
    return _State(out.past_key_values, flat_mask[index], positions[index, -1], out.logits[index, -1])


def next_logits(base: Base, stack: AdapterStack, jobs: Sequence[GenerateJob], token: int) -> Any:
    """Logits behind the first prompt of every job, and behind one more token: float32[K, 2, V], through the cache."""
    import torch

    stack.put([job.adapter for job in jobs], trainable=False)
    with torch.no_grad():
        state = _prefill(base, jobs, 1)
        then = state.advance(base, torch.full((len(jobs),), token, device=base.device))
        return torch.stack([state.logits, then.logits], dim=1).float()


def _sample(logits: Any, draws: NDArray[np.float64], temperature: float) -> Any:
    """The next token of every row: the inverse of the distribution function at its draw."""
    import torch

    if temperature == 0:
        return logits.argmax(dim=-1)
    # rounding leaves the total a little off 1
    below_one = np.minimum(draws.astype(np.float32), _BELOW_ONE)
    wanted = torch.from_numpy(below_one).to(logits.device)[:, None]
    size = _SAMPLED if logits.device.type == "cpu" else len(logits)
    chosen = []
    for part, own in zip(logits.split(size), wanted.split(size), strict=True):
        shares = part.to(torch.float32, copy=True).div_(temperature)
        torch.softmax(shares, dim=-1, out=shares)
        torch.cumsum(shares, dim=-1, out=shares)
        chosen.append(torch.searchsorted(shares, own * shares[:, -1:], right=True).squeeze(1))
    return torch.cat(chosen).clamp_max(logits.shape[-1] - 1)


def draws_of(jobs: Sequence[GenerateJob], n: int) -> NDArray[np.float64]:
    """float64[K, W, n]: a stream for every output."""
    width = max(len(job.prompts) for job in jobs)
    return np.stack(
        [
            np.concatenate(
                [
                    uniforms(
                        np.array([job.key.seed], dtype=np.uint64),
                        np.array([job.key.run], dtype=np.uint64),
                        job.key.round,
                        job.purpose,
                        n,
                        (job.key.number << 32) + job.first + i,
                    )
                    for i in range(width)
                ]
            )
            for job in jobs
        ]
    )


def _compacted(seats: NDArray[np.int64], alive: NDArray[np.bool_]) -> NDArray[np.int64] | None:
    """Columns to keep of every job's seats, int64[K, W'], −1 for an empty one; None where it is not worth it."""
    there = (seats >= 0) & alive[seats]
    width = int(there.sum(axis=1).max())
    if width > _COMPACT_BELOW * seats.shape[1]:
        return None
    order = np.argsort(~there, axis=1, kind="stable")[:, :width]
    return np.where(np.take_along_axis(there, order, axis=1), order, -1)


def end_tokens(base: Base) -> set[int]:
    """Tokens that end an output: the model's own and the tokenizer's."""
    given = base.model.generation_config.eos_token_id
    return {base.tokenizer.eos_token_id, *([given] if isinstance(given, int) else given or [])}
