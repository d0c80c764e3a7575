"""How a round looks for a better model: the best candidate, a merged one, or successive halving."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf, nextafter

import numpy as np
from numpy.typing import NDArray

from crowd_sim.tournament.learner import Candidates, Learner, Part
from crowd_sim.tournament.request import RoundRequest
from crowd_sim.tournament.selection import Selection
from crowd_sim.tournament.state import Scores


@dataclass(frozen=True, eq=False)
class Explored:
    """The candidates of a round.

    Attributes:
        candidates: as they are at the end of their training.
        scores: of them and of the incumbents.
        standing: float64[B, K], what selection ranks them by.
    """

    candidates: Candidates
    scores: Scores
    standing: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Settled:
    """Who becomes the model.

    Attributes:
        winners: int64[B], −1 where nobody, K where the merged candidate.
        merged: the merged candidates, if there are any.
        scores, weights: float64[B] and float64[B, K], theirs; NaN where there is none.
        generated: int64[B], tokens that scoring them took.
    """

    winners: NDArray[np.int64]
    merged: Candidates | None
    scores: NDArray[np.float64]
    weights: NDArray[np.float64]
    generated: NDArray[np.int64]


Explore = Callable[[Learner, RoundRequest], Explored]
Settle = Callable[[Learner, RoundRequest, Explored, Selection], Settled]


@dataclass(frozen=True)
class Search:
    """What makes a round's candidates, and what becomes of them once they are ranked."""

    explore: Explore
    settle: Settle


def tune_all(learner: Learner, asked: RoundRequest) -> Explored:
    """Every group's candidate gets all of the training."""
    candidates = learner.tune(asked)
    scores = learner.score(asked, candidates, range(asked.n_groups))
    return Explored(candidates, scores, scores.candidates)


def halve(learner: Learner, asked: RoundRequest) -> Explored:
    """Successive halving (Jamieson, Talwalkar 2016, arXiv 1502.07943).

    All candidates get a part of the training, the worse half leaves, the others go on. Each part costs the same, and all
    together what tuning every candidate to the end would: the round's examples times the epochs, whatever their number. In
    `standing` a candidate has its score, but is below all who stayed longer.
    """
    old = learner.score(asked, None)
    shape = (len(old.incumbents), asked.n_groups)
    n_parts = max(1, (asked.n_groups - 1).bit_length())
    scores, errors, generated = np.zeros(shape), np.zeros(shape), old.generated.copy()
    alive, candidates = np.ones(shape, dtype=bool), None
    left: list[NDArray[np.int64]] = []  # int64[B, K] each: the place among those who left in this part, −1 where not
    for number in range(n_parts):
        part = Part(number, n_parts, alive)
        candidates = learner.tune(asked, part, candidates)
        found = learner.score(asked, candidates, part_numbers(asked.n_groups, number), alive, incumbents=False)
        scores, errors = np.where(alive, found.candidates, scores), np.where(alive, found.candidates_se, errors)
        generated = generated + found.generated
        alive = alive & np.isfinite(scores)  # those whose tuning diverged leave at once
        if not alive.any():
            break
        if number < n_parts - 1:
            ranked = np.argsort(np.where(alive, -scores, inf), axis=1, kind="stable")
            place = np.argsort(ranked, axis=1, kind="stable")
            staying = place < (alive.sum(axis=1, keepdims=True) + 1) // 2
            left.append(np.where(alive & ~staying, place, -1))
            alive = alive & staying
    assert candidates is not None  # noqa: S101 - there is at least one part
    standing = np.stack([_standing(scores[b], alive[b], [gone[b] for gone in left]) for b in range(shape[0])])
    both = Scores(old.incumbents, old.incumbents_se, scores, errors, generated)
    return Explored(candidates, both, standing)


def part_numbers(n_groups: int, part: int) -> list[int]:
    """The keys of the candidates' draws in a part of their training."""
    return [k + (part << 16) for k in range(n_groups)]


def _standing(
    scores: NDArray[np.float64], alive: NDArray[np.bool_], left: list[NDArray[np.int64]]
) -> NDArray[np.float64]:
    standing = scores.copy()
    lowest = min(scores[alive].tolist(), default=inf)
    for places in reversed(left):  # from the last who left to the first
        for k in sorted(np.flatnonzero(places >= 0), key=lambda k, places=places: int(places[k])):  # type: ignore[misc]
            # below and not level with it: of equal scores the first group's would be ranked higher
            standing[k] = lowest = min(float(scores[k]), nextafter(lowest, -inf))
    return standing


def take_winner(learner: Learner, asked: RoundRequest, explored: Explored, selection: Selection) -> Settled:
    """The candidate ranked first."""
    del learner, asked
    n_runs, n_groups = explored.standing.shape
    nothing = np.full((n_runs, n_groups + 1), np.nan)
    return Settled(selection.winner, None, nothing[:, 0], nothing[:, 1:], np.zeros(n_runs, dtype=np.int64))


def merge_better(learner: Learner, asked: RoundRequest, explored: Explored, selection: Selection) -> Settled:
    """The candidates that beat the model, merged by how far they beat it, where that beats the best of them.

    A round with a mistake takes the mistaken candidate for the best, unmerged; one alone would be merged with nobody.
    """
    alone = take_winner(learner, asked, explored, selection)
    scores = explored.scores
    gains = np.maximum(np.nan_to_num(scores.candidates - scores.incumbents[:, None]), 0.0)
    merges = ((gains > 0).sum(axis=1) > 1) & ~selection.mistake
    if not merges.any():
        return alone
    weights = np.full(gains.shape, np.nan)
    weights[merges] = gains[merges] / gains[merges].sum(axis=1, keepdims=True)
    # one that beat nothing is there with weight 0, one that diverged is not
    there = np.where(np.isfinite(scores.candidates), weights, np.nan)
    merged = learner.combine(explored.candidates, there)
    found = learner.score(asked, merged, [asked.n_groups + 1], merges[:, None], incumbents=False)
    merged_scores = np.where(merges, found.candidates[:, 0], np.nan)
    best = scores.candidates[np.arange(len(gains)), selection.winner]
    winners = np.where(merges & (merged_scores > best), asked.n_groups, selection.winner)
    return Settled(winners, merged, merged_scores, weights, found.generated)


def mean_of_all(learner: Learner, asked: RoundRequest, explored: Explored, selection: Selection) -> Settled:
    """The mean of all candidates, the uniform soup of Wortsman et al. (2022, arXiv 2203.05482), where it beats the model.

    Groups of nobody have no candidate. A round with a mistake takes the mistaken candidate, as with `merge_better`.
    """
    return _settled(learner, asked, explored, selection, _there(asked, explored) & ~selection.mistake[:, None])


def mean_of_helpful(learner: Learner, asked: RoundRequest, explored: Explored, selection: Selection) -> Settled:
    """The greedy soup of the same source, where it beats the model.

    Candidates come in order of their scores; one stays in the mean if the mean scores higher with it than without.
    """
    there = _there(asked, explored) & ~selection.mistake[:, None]
    every, order = np.arange(len(there)), np.argsort(selection.ranks, axis=1)
    kept = there & (selection.ranks == 0)
    highest = np.where(kept, explored.standing, -inf).max(axis=1)
    generated = np.zeros(len(there), dtype=np.int64)
    for place in range(1, asked.n_groups):
        tried, next_one = kept.copy(), order[:, place]
        tried[every, next_one] = there[every, next_one]
        more = np.asarray(tried.sum(axis=1) > kept.sum(axis=1))
        if more.any():
            scores, tokens = _score_of_mean(learner, asked, explored, tried & more[:, None], place + 1)
            better = more & (scores > highest)
            kept, highest = np.where(better[:, None], tried, kept), np.where(better, scores, highest)
            generated += tokens
    alone = kept.sum(axis=1) == 1  # which selection has scored
    found = _settled(learner, asked, explored, selection, kept & ~alone[:, None], highest)
    winners = np.where(alone, np.where(selection.accepted, selection.winner, -1), found.winners)
    return replace(found, winners=winners, generated=found.generated + generated)


def _settled(
    learner: Learner,
    asked: RoundRequest,
    explored: Explored,
    selection: Selection,
    kept: NDArray[np.bool_],
    scores: NDArray[np.float64] | None = None,
) -> Settled:
    """The mean of the candidates that are kept, bool[B, K], and of runs without any the winner of a mistaken ranking.

    `scores`: of the means, where they are known.
    """
    merges = np.asarray(kept.any(axis=1))
    mistaken = np.where(selection.mistake, selection.winner, -1)
    if not merges.any():
        return replace(take_winner(learner, asked, explored, selection), winners=mistaken)
    merged = learner.combine(explored.candidates, _shares(kept))
    generated = np.zeros(len(kept), dtype=np.int64)
    if asked.momentum and asked.before is not None:
        merged = learner.carried(merged, asked)
    if scores is None:
        scores, generated = _scores_of(learner, asked, merged, merges, 1)
    scores = np.where(merges, scores, np.nan)
    winners = np.where(scores > selection.model_scores, asked.n_groups, mistaken)
    weights = np.where(merges[:, None], np.nan_to_num(_shares(kept)), np.nan)
    return Settled(winners, merged, scores, weights, generated)


def _there(asked: RoundRequest, explored: Explored) -> NDArray[np.bool_]:
    """bool[B, K]: the candidates of groups whose members weigh something, but those whose tuning diverged."""
    found = np.zeros(explored.standing.shape, dtype=bool)
    runs, workers = np.nonzero(asked.weights > 0)
    found[runs, asked.groups.of_everyone()[runs, workers]] = True
    return found & np.isfinite(explored.standing)


def _shares(kept: NDArray[np.bool_]) -> NDArray[np.float64]:
    counts = kept.sum(axis=1, keepdims=True)
    return np.where(kept, 1 / np.maximum(counts, 1), np.nan)


def _score_of_mean(
    learner: Learner, asked: RoundRequest, explored: Explored, kept: NDArray[np.bool_], number: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    merged = learner.combine(explored.candidates, _shares(kept))
    return _scores_of(learner, asked, merged, np.asarray(kept.any(axis=1)), number)


def _scores_of(
    learner: Learner, asked: RoundRequest, merged: Candidates, alive: NDArray[np.bool_], number: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """float64[B] of merged candidates, NaN where there is none, and the tokens that this took."""
    found = learner.score(asked, merged, [asked.n_groups + number], alive[:, None], incumbents=False)
    return found.candidates[:, 0], found.generated


SEARCHES = {
    "best": Search(tune_all, take_winner),
    "merge": Search(tune_all, merge_better),
    "soup": Search(tune_all, mean_of_all),
    "greedy_soup": Search(tune_all, mean_of_helpful),
    "halving": Search(halve, take_winner),
}
