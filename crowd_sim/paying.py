"""Payment after the rounds: what a run has left, scored by a rule and divided, for every task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.config.payment import PaymentConfig
from crowd_sim.participants import Participants
from crowd_sim.payment.division import divide, raised
from crowd_sim.payment.merging import means, merged
from crowd_sim.payment.rules import GAME_RULES, alike, game_scores
from crowd_sim.tasks.base import OpenTask
from crowd_sim.tournament.log import History
from crowd_sim.valuation import AveragingGame, Game, shapley
from crowd_sim.valuing import Valued


@dataclass(frozen=True, eq=False)
class Payment:
    """Who got what.

    Attributes:
        pay: float64[B, n].
        unpaid: float64[B], what of the budget could not be divided without paying equal workers differently.
        clusters: int64[B, n], accounts that were paid as one worker; None where identities are separate.
    """

    pay: NDArray[np.float64]
    unpaid: NDArray[np.float64]
    clusters: NDArray[np.int64] | None


def paid(
    config: RunConfig,
    task: OpenTask,
    participants: Participants,
    history: History,
    valued: Sequence[Valued],
    excluded: NDArray[np.bool_] | None = None,
) -> Payment | None:
    """The payment of a configuration's runs; None where it has none.

    A game that is quick is evaluated here; of one that is not, the scores are among what was `valued`. Whom screens have
    excluded (bool[B, n]; None: nobody) gets nothing, whatever the rule: the others divide the budget, by their scores.

    Raises:
        InputError: a budget of evaluations that is too small to tell the workers apart.
    """
    section = config.payment
    if section is None:
        return None
    pays, unpaid, clusters = [], [], []
    merging = section.identities == "merge"
    evidence = (
        history.evidence if config.needs_evidence else {}
    )  # another configuration of the batch may have asked for it
    for run in range(config.runs):
        game = task.game(participants, run, config, evidence) if _is_asked(config) or merging else None
        own = merged(game.vectors) if merging and isinstance(game, AveragingGame) else None
        left = np.ones(history.points.shape[1], dtype=np.bool_) if excluded is None else ~excluded[run]
        scores = _scores(config, section, run, game, own, left, history, valued)
        earned, rest = _divided(scores if own is None else scores[own], section, left, own)
        pays.append(earned)
        unpaid.append(rest)
        clusters.append(own)
    return Payment(
        np.stack(pays), np.array(unpaid), np.stack([c for c in clusters if c is not None]) if merging else None
    )


def _divided(
    scores: NDArray[np.float64], section: PaymentConfig, left: NDArray[np.bool_], clusters: NDArray[np.int64] | None
) -> tuple[NDArray[np.float64], float]:
    """Pay float64[n] of scores float64[n] among those who are left, and what stays unpaid: all of it where nobody is."""
    pay = np.zeros(len(scores))
    if not left.any():
        return pay, section.budget
    heads = None if clusters is None else np.bincount(clusters[left])[clusters[left]]
    pay[left], rest = divide(raised(scores[left], section.power), section.budget, heads)
    return pay, rest


def _is_asked(config: RunConfig) -> bool:
    """Whether the rule is about a game that is quick to evaluate."""
    rule = config.payment.rule if config.payment else ""
    return config.task.kind == "vector" and rule in ("shapley", *GAME_RULES)


def _scores(
    config: RunConfig,
    section: PaymentConfig,
    run: int,
    game: Game | None,
    clusters: NDArray[np.int64] | None,
    left: NDArray[np.bool_],
    history: History,
    valued: Sequence[Valued],
) -> NDArray[np.float64]:
    """Scores of the workers, or of their clusters; the points of a cluster are those of its accounts that are left."""
    rule = section.rule
    if rule == "shapley" or rule in GAME_RULES:
        return _game_scores(config, rule, run, game, clusters, valued)
    if rule == "equal":
        scores = np.ones(history.points.shape[1])
    elif rule in ("points", config.tournament.reward):
        scores = history.points[run]
    else:
        scores = history.observed[rule][run]
    if clusters is None:
        return scores
    found = np.zeros(clusters.max() + 1)
    there, own = np.unique(clusters[left], return_inverse=True)
    if there.size:
        found[there] = means(scores[left], own.ravel())
    return found


def _game_scores(
    config: RunConfig,
    rule: str,
    run: int,
    game: Game | None,
    clusters: NDArray[np.int64] | None,
    valued: Sequence[Valued],
) -> NDArray[np.float64]:
    valuation = config.valuation
    if game is None:
        return valued[run].accurate.values if rule == "shapley" else valued[run].scores[rule]
    if clusters is not None and isinstance(game, AveragingGame) and clusters.max() + 1 < len(clusters):
        game = AveragingGame(means(game.vectors, clusters), game.target, game.score)
        if rule == "shapley":
            return alike(shapley(game, valuation.method, valuation.budget, config.seed, run).values, game)
    if rule == "shapley":
        return alike(valued[run].accurate.values, game)
    return game_scores(rule, game, valuation.budget, config.seed, run)
