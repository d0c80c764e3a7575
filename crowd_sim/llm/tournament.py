"""Rounds of LoRA candidates: group, tune, judge, select, reward. Source: Crowd-SFT (arXiv 2506.04063), its experiment on LLMs.

Here the old model competes too unless told otherwise, and what a round reports is measured on outputs that selection has not
seen. A state is what its records make of the start: nothing else is carried from round to round but the model's adapter.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.crowd.texts import Contributions, Example
from crowd_sim.llm.halving import halving
from crowd_sim.llm.judging import Judge, mean_and_se
from crowd_sim.llm.records import Report, Round
from crowd_sim.llm.services import Learners
from crowd_sim.models.adapters import Adapter
from crowd_sim.models.lora import Judged, Judging, Tuning
from crowd_sim.models.merging import merge
from crowd_sim.models.tuning import Key, Tuned
from crowd_sim.random import Purpose
from crowd_sim.registry import strategy
from crowd_sim.tournament.played import Played
from crowd_sim.tournament.selection import Selection, select
from crowd_sim.tournament.streams import RoundStreams


@dataclass(frozen=True, eq=False)
class State:
    """Where a run stands after a round.

    Attributes:
        round: rounds played.
        points: float64[1, n].
        memory: what the reward mechanism remembers.
        active: bool[n], who is still in the tournament.
    """

    round: int
    points: NDArray[np.float64]
    memory: Any
    active: NDArray[np.bool_]


def start(n_workers: int) -> State:
    """Before the first round: one point for everyone."""
    return State(0, np.ones((1, n_workers)), {}, np.ones(n_workers, dtype=bool))


def advance(config: RunConfig, contributions: Contributions, state: State, record: Round) -> State:
    """The state after a round, from the one before and the round's record.

    To reward mechanisms that look at scores, a candidate whose tuning diverged has the lowest of the round.
    """
    assignment = np.array(record.assignment)
    here = state.active
    selection = Selection(
        model_scores=np.array([record.model_score]),
        candidate_scores=np.array([_lowest_for_diverged(record)]),
        ranks=np.array([record.ranks]),
        accepted=np.array([record.accepted]),
        mistake=np.array([record.mistake]),
        winner=np.array([record.winner]),
    )
    shares = np.array([[float(len(examples)) for examples in contributions.examples]])
    played = Played(
        record.round, config.tournament.rounds, np.ones(1), assignment[None, here], shares[:, here], selection
    )
    earned, memory = strategy("reward", config.tournament.reward)(state.points[:, here], state.memory, played)
    points = state.points.copy()
    points[:, here] = earned
    active = here
    if record.accepted and config.lora.drop_used:
        active = here & (assignment != leading(record))
    return State(record.round, points, memory, active)


def _lowest_for_diverged(record: Round) -> list[float]:
    lowest = min(filter(isfinite, (*record.candidate_scores, record.model_score)), default=nan)
    return [score if isfinite(score) else lowest for score in record.candidate_scores]


def leading(record: Round) -> int:
    """The group whose candidate is ranked first."""
    return record.ranks.index(0)


def play(
    config: RunConfig,
    contributions: Contributions,
    judge: Judge,
    learners: Learners,
    run: int,
    state: State,
    model: Adapter,
) -> tuple[Round, Adapter]:
    """One round of one run: its record, and the model after it."""
    began = time.perf_counter()
    number, n_groups = state.round + 1, config.tournament.n_groups
    draws = RoundStreams(np.array([config.seed], dtype=np.uint64), np.array([run], dtype=np.uint64), number)
    grouping = strategy("grouping", config.tournament.grouping)
    assignment = np.full(len(state.active), -1)
    dealt = grouping(state.points[:, state.active], n_groups, draws, config.tournament.rounds)
    assignment[state.active] = dealt.of_everyone()[0]
    groups = [_examples(contributions, assignment == k) for k in range(n_groups)]
    keys = [Key(config.seed, run, number, k) for k in range(n_groups + 2)]

    def judged(adapters: Sequence[Adapter], own: Sequence[Key]) -> list[Judged]:
        jobs = [
            Judging(a, judge.selection_prompts, key, Purpose.SELECTION_OUTPUTS)
            for a, key in zip(adapters, own, strict=True)
        ]
        return learners.judge(jobs)

    if config.lora.selection == "halving":
        (old,) = judged([model], [keys[n_groups]])
        survived = halving(learners, model, groups, keys[:n_groups], config.lora.epochs, judge, judged)
        adapters, scores, errors, standing = survived.adapters, survived.scores, survived.errors, survived.standing
        trained, generated = survived.tokens, survived.tokens_generated + old.n_tokens
    else:
        tuned = learners.tune([Tuning(model, group, key) for group, key in zip(groups, keys, strict=False)])
        adapters, trained = [t.adapter for t in tuned], [t.n_tokens for t in tuned]
        *candidates, old = judged([*adapters, model], keys[: n_groups + 1])
        scores, errors = _means(judge, candidates)
        standing = scores
        generated = old.n_tokens + sum(candidate.n_tokens for candidate in candidates)
    (model_score,), (model_error,) = _means(judge, [old])
    selection = select(
        np.array([model_score if config.lora.incumbent else -inf]),
        np.array([standing]),
        np.array([config.tournament.mistake_probability]),
        draws,
    )
    winner = int(selection.winner[0])
    after = adapters[winner] if winner >= 0 else model
    merged_score, weights = None, None
    if config.lora.selection == "merge" and not selection.mistake[0]:  # a mistake takes one candidate for the best
        gains = np.maximum(np.nan_to_num(np.array(scores) - model_score), 0.0)
        if (gains > 0).sum() > 1:  # one alone would be merged with nobody
            weights = tuple(float(w) for w in gains / gains.sum())
            there = [k for k, score in enumerate(scores) if isfinite(score)]
            both = merge([adapters[k] for k in there], [weights[k] for k in there])
            (outputs,) = judged([both], [keys[n_groups + 1]])
            (merged_score,), _ = _means(judge, [outputs])
            generated += outputs.n_tokens
            if merged_score > scores[winner]:
                winner, after = n_groups, both
    record = Round(
        run=run,
        round=number,
        assignment=tuple(assignment.tolist()),
        model_score=model_score,
        model_score_se=model_error,
        candidate_scores=tuple(scores),
        candidate_scores_se=tuple(errors),
        candidate_tokens=tuple(trained),
        merged_score=merged_score,
        merge_weights=weights,
        ranks=tuple(selection.ranks[0].tolist()),
        accepted=winner >= 0,
        mistake=bool(selection.mistake[0]),
        winner=winner,
        tokens_generated=generated,
        seconds=time.perf_counter() - began,
    )
    return record, after


def report(
    judge: Judge, learners: Learners, name: str, key: Key, model: Adapter, tokens: tuple[int, int], seconds: float
) -> Report:
    """A model on fresh outputs; `tokens` trained and generated, and `seconds`, are what it took to make."""
    (outputs,) = learners.judge([Judging(model, judge.report_prompts, key, Purpose.REPORT_OUTPUTS)])
    return Report(
        name=name,
        run=key.run,
        prompts=judge.report_prompts,
        texts=outputs.texts,
        distances=tuple(judge.distances(outputs.vectors).tolist()),
        scores=tuple(judge.scores(outputs.vectors).tolist()),
        tokens_trained=tokens[0],
        tokens_generated=tokens[1],
        seconds=seconds,
    )


def tuned_alone(learners: Learners, job: Tuning) -> tuple[Tuned, float]:
    """A single model, and the seconds it took."""
    began = time.perf_counter()
    (tuned,) = learners.tune([job])
    return tuned, time.perf_counter() - began


def _examples(contributions: Contributions, members: NDArray[np.bool_]) -> tuple[Example, ...]:
    return tuple(e for worker in np.flatnonzero(members) for e in contributions.examples[worker])


def _means(judge: Judge, candidates: Sequence[Judged]) -> tuple[list[float], list[float]]:
    pairs = [mean_and_se(judge.scores(candidate.vectors)) for candidate in candidates]
    return [mean for mean, _ in pairs], [error for _, error in pairs]
