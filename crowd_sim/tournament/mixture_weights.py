"""Compositions: what share of every candidate of a tournament comes from which worker.

A candidate is model + δ (centroid − model) and a centroid is a weighted mean of workers, so model and candidates are
mixtures of the initial model and the workers. The shares follow from groups, weights and winners alone; no vector is needed:

    z_k = (1 − δ) q + δ p_k,   q ← z_winner where a round changed the model,

with q the workers' shares in the model (0 at the start), p_ki = weight_i / total of group k for its members. A group of total
weight 0 leaves the model where it is: z_k = q. The initial model has the rest, 1 − Σ_i z_ki. The candidate of a single worker
that is audited has p = e_i.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.tournament.state import Memory, Round


@dataclass(frozen=True)
class Remembered:
    """A round as it is remembered.

    Attributes:
        assignment: unsigned[B, n], of the smallest type that holds K.
        weights: float64[B, n], one array for all rounds in which they did not change.
        totals: float64[B, K], the groups' weights.
        model_scores: float64[B].
        candidate_scores: float64[B, K].
        winner: int64[B].
        audited, audit_scores: int64[B, a] and float64[B, a], single workers and the scores of their candidates.
    """

    assignment: NDArray[np.unsignedinteger]
    weights: NDArray[np.float64]
    totals: NDArray[np.float64]
    model_scores: NDArray[np.float64]
    candidate_scores: NDArray[np.float64]
    winner: NDArray[np.int64]
    audited: NDArray[np.int64]
    audit_scores: NDArray[np.float64]


_FIELDS = tuple(field.name for field in fields(Remembered))


@dataclass(frozen=True)
class Rounds:
    """The last rounds of B runs.

    Attributes:
        step: float64[B], δ.
        before: float64[B, n], the workers' shares in the model that the first of the rounds started from.
        rounds: what happened since.
    """

    step: NDArray[np.float64]
    before: NDArray[np.float64]
    rounds: tuple[Remembered, ...]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it by name, the rounds' with their place at the end; weights that did not change only once."""
        found: dict[str, NDArray[Any]] = {"step": self.step, "before": self.before}
        weights = None
        for i, played in enumerate(self.rounds):
            for name in _FIELDS:
                found[f"{name}.{i}"] = getattr(played, name)
            if not played.audited.size:
                del found[f"audited.{i}"], found[f"audit_scores.{i}"]
            if played.weights is weights:
                del found[f"weights.{i}"]
            weights = played.weights
        return found

    @classmethod
    def of(cls, arrays: Memory) -> Rounds:
        """What `arrays` gave."""
        rounds: list[Remembered] = []
        while f"winner.{len(rounds)}" in arrays:
            i = len(rounds)
            own = {name: arrays[f"{name}.{i}"] for name in _FIELDS if f"{name}.{i}" in arrays}
            if "weights" not in own:
                own["weights"] = rounds[-1].weights
            if "audited" not in own:
                own |= no_audits(len(own["winner"]))
            rounds.append(Remembered(**own))
        return cls(arrays["step"], arrays["before"], tuple(rounds))


def no_audits(n_runs: int) -> dict[str, NDArray[Any]]:
    """The fields of a round that audited nobody."""
    return {"audited": np.empty((n_runs, 0), dtype=np.int64), "audit_scores": np.empty((n_runs, 0))}


def remember(memory: Rounds | None, played: Round, n_rounds: int) -> Rounds:
    """The memory with one more round, and without the oldest where there are more than `n_rounds`."""
    memory = memory or Rounds(played.step, np.zeros(played.weights.shape), ())
    rounds = (*memory.rounds, _round(played, memory.rounds[-1] if memory.rounds else None))
    if len(rounds) <= n_rounds:
        return Rounds(memory.step, memory.before, rounds)
    return Rounds(memory.step, _after(memory.before, rounds[0], memory.step), rounds[1:])


def _round(played: Round, last: Remembered | None) -> Remembered:
    n_groups = played.selection.candidate_scores.shape[1]
    same = last is not None and np.array_equal(last.weights, played.weights)
    weights = last.weights if last is not None and same else played.weights
    totals = np.zeros((len(weights), n_groups))
    _sum_groups(played.assignment, weights, totals)
    return Remembered(
        played.assignment.astype(np.min_scalar_type(n_groups - 1)),
        weights,
        totals,
        played.selection.model_scores,
        played.selection.candidate_scores,
        played.selection.winner,
        played.audited,
        played.audit_scores,
    )


def _after(before: NDArray[np.float64], played: Remembered, step: NDArray[np.float64]) -> NDArray[np.float64]:
    after = before.copy()
    _advance(after, played.assignment, played.weights, played.totals, played.winner, step)
    return after


def model_shares(memory: Rounds) -> NDArray[np.float64]:
    """The workers' shares in the models as they are now: float64[B, n]."""
    shares = memory.before
    for played in memory.rounds:
        shares = _after(shares, played, memory.step)
    return shares


def scores(memory: Rounds, run: int, last: int) -> NDArray[np.float64]:
    """The last so many of: the score of the first model, then, round by round, of candidates and audited workers: float64[N].

    Of more than `last` candidates a round, every second, third, … is looked at.
    """
    stride = _stride(memory, last)
    found = [memory.rounds[0].model_scores[run : run + 1]]
    for played in memory.rounds:
        found += [played.candidate_scores[run, ::stride], played.audit_scores[run]]
    return np.concatenate(found)[-last:]


def ages(memory: Rounds, last: int) -> NDArray[np.float64]:
    """How many rounds ago each of `scores` was measured: float64[N]."""
    played = memory.rounds[0]
    n_observed = len(played.candidate_scores[0, :: _stride(memory, last)]) + played.audited.shape[1]
    since = np.repeat(np.arange(len(memory.rounds) - 1.0, -1.0, -1.0), n_observed)
    return np.concatenate([since[:1], since])[-last:]


def compositions(memory: Rounds, run: int, last: int, start: int, stop: int) -> NDArray[np.float64]:
    """Shares of the workers from `start` to `stop` in what `scores` lists, a row a worker: float64[m, N]."""
    rounds, stride, workers = memory.rounds, _stride(memory, last), slice(start, stop)
    before = memory.before[run, workers]
    n_observed = -(-rounds[0].totals.shape[1] // stride) + rounds[0].audited.shape[1]
    shares = np.empty((len(before), 1 + n_observed * len(rounds)))
    _fill(
        before,
        np.stack([played.assignment[run, workers] for played in rounds]),
        np.stack([played.weights[run, workers] for played in rounds]),
        np.stack([played.totals[run] for played in rounds]),
        np.array([played.winner[run] for played in rounds]),
        np.stack([played.audited[run] for played in rounds]) - start,
        memory.step[run],
        stride,
        shares,
    )
    return np.ascontiguousarray(shares[:, -last:])


def _stride(memory: Rounds, last: int) -> int:
    return -(-memory.rounds[0].totals.shape[1] // last)


@numba.njit(cache=True)
def _sum_groups(assignment: NDArray[np.int64], weights: NDArray[np.float64], totals: NDArray[np.float64]) -> None:
    for b in range(assignment.shape[0]):
        for i in range(assignment.shape[1]):
            totals[b, assignment[b, i]] += weights[b, i]


@numba.njit(cache=True)
def _advance(
    shares: NDArray[np.float64],
    assignment: NDArray[np.unsignedinteger],
    weights: NDArray[np.float64],
    totals: NDArray[np.float64],
    winner: NDArray[np.int64],
    step: NDArray[np.float64],
) -> None:
    for b in range(shares.shape[0]):
        won = winner[b]
        if won >= 0 and totals[b, won] > 0:
            for i in range(shares.shape[1]):
                shares[b, i] *= 1 - step[b]
                if assignment[b, i] == won:
                    shares[b, i] += step[b] * weights[b, i] / totals[b, won]


@numba.njit(cache=True)
def _fill(
    before: NDArray[np.float64],
    assignment: NDArray[np.unsignedinteger],
    weights: NDArray[np.float64],
    totals: NDArray[np.float64],
    winner: NDArray[np.int64],
    audited: NDArray[np.int64],
    step: float,
    stride: int,
    shares: NDArray[np.float64],
) -> None:
    n_rounds, n_groups = totals.shape
    for i in range(len(before)):
        model = before[i]
        shares[i, 0] = model
        column = 1
        for r in range(n_rounds):
            kept = (1 - step) * model
            own = assignment[r, i]
            joined = kept + step * weights[r, i] / totals[r, own] if totals[r, own] > 0 else model
            for k in range(0, n_groups, stride):
                if k == own:
                    shares[i, column] = joined
                else:
                    shares[i, column] = kept if totals[r, k] > 0 else model
                column += 1
            for j in range(audited.shape[1]):
                shares[i, column] = kept + step if audited[r, j] == i else kept
                column += 1
            won = winner[r]
            if won >= 0 and totals[r, won] > 0:
                model = joined if won == own else kept
