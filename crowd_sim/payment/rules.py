"""What workers are paid for: rules that make scores of what a run has left.

A rule's scores are at least 0 (what is below counts as 0: nobody pays in) and need no unit: pay is in proportion to them,
raised to a power. A score that tells nobody apart pays all alike.

| rule | score | source |
| --- | --- | --- |
| `equal` | 1 | |
| `points`, or a mechanism's name | what `tournament.reward`, or one that observes, gave | arXiv 2506.04063 |
| `shapley` | the accurate Shapley value | Shapley, 1953 |
| `banzhaf` | the Banzhaf value | Wang and Jia, AISTATS 2023 |
| `beta_shapley` | the Beta(4, 1)-Shapley value, which stresses small coalitions | Kwon and Zou, AISTATS 2022 |
| `leave_one_out` | v(N) − v(N∖{i}) | |
| `least_core` | the allocation of least spread in the least core | Yan and Procaccia, AAAI 2021 |
| `gold` | v({i}) − v(∅): alone, held against what is known to be right | |

Players who contribute the same are worth the same; estimates of them, which differ by their draws, are averaged.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy
from numpy.typing import NDArray

from crowd_sim.linear_algebra import back, orthonormal, times
from crowd_sim.payment.merging import means, numbered
from crowd_sim.valuation import MaxEvaluations, SampledUtilities, banzhaf, leave_one_out, shapley
from crowd_sim.valuation.games import AveragingGame, Game
from crowd_sim.valuation.values import AllUtilities, beta_shapley, least_core_of

_ALPHA, _BETA = 4.0, 1.0
_MOST_EXACT = 12
_MOST_COALITIONS = 2_000
"""Of the least core of more players: the time of its programmes grows with their square."""

LEAST_BUDGET = 10
"""Evaluations a player that rules which sample coalitions need, to tell players apart."""

MOST_SAMPLED = {"banzhaf": 10_000, "beta_shapley": 1_000, "least_core": 200}
"""Players at most, of the rules that sample coalitions."""

GAME_RULES: dict[str, Callable[[Game, int, int, int], NDArray[np.float64]]] = {}
"""Scores float64[n] of (game, budget of evaluations, seed, run), before what is equal is averaged."""


def game_scores(rule: str, game: Game, budget: int, seed: int, run: int) -> NDArray[np.float64]:
    """Scores float64[n] by a rule of `GAME_RULES`; may be below 0.

    Raises:
        InputError: a budget that is too small to tell the players apart.
    """
    exact = game.n_players <= _MOST_EXACT and 2**game.n_players <= budget
    known = AllUtilities.of(game) if exact else game
    return alike(GAME_RULES[rule](known, budget, seed, run), game)


def alike(scores: NDArray[np.float64], game: Game) -> NDArray[np.float64]:
    """Scores float64[n], averaged over players who cannot be told apart."""
    return np.asarray(means(scores, twins := _twins(game))[twins])


def _twins(game: Game) -> NDArray[np.int64]:
    """Equal numbers int64[n] for players who contribute the same, as far as the game says what they contribute."""
    n = game.n_players
    if isinstance(game, AveragingGame):
        return numbered(np.unique(game.vectors, axis=0, return_inverse=True)[1].ravel())
    labels = np.arange(n)
    if isinstance(game, AllUtilities):
        codes = np.arange(2**n)
        for i in range(n):
            for j in range(i):
                without = codes[codes & (1 << i | 1 << j) == 0]
                if labels[i] == i and (game.table[without | 1 << i] == game.table[without | 1 << j]).all():
                    labels[i] = labels[j]
    return numbered(labels)


def _sampled(game: Game, budget: int, seed: int, run: int) -> SampledUtilities:
    return SampledUtilities.of(shapley(game, budget=budget, seed=seed, run=run, stop=MaxEvaluations(budget)))


def _banzhaf(game: Game, budget: int, seed: int, run: int) -> NDArray[np.float64]:
    return banzhaf(game, max(budget, 2**game.n_players) if isinstance(game, AllUtilities) else budget, seed, run).values


def _beta_shapley(game: Game, budget: int, seed: int, run: int) -> NDArray[np.float64]:
    if isinstance(game, AllUtilities):
        return beta_shapley(game, _ALPHA, _BETA)
    return _sampled(game, budget, seed, run).beta_shapley(_ALPHA, _BETA).values


def _leave_one_out(game: Game, budget: int, seed: int, run: int) -> NDArray[np.float64]:
    del budget, seed, run
    return leave_one_out(game).values


def _least_core(game: Game, budget: int, seed: int, run: int) -> NDArray[np.float64]:
    n = game.n_players
    if n == 1:
        return np.ones(1)
    if isinstance(game, AllUtilities):
        return least_spread((np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(np.bool_), game.table)
    some = _sampled(game, min(budget, _MOST_COALITIONS), seed, run)
    return least_spread(some.coalitions, some.utilities)


def least_spread(coalitions: NDArray[np.bool_], utilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """The allocation float64[n] of the least core whose squares sum to the least: the only one, and symmetric.

    A least distance programme, solved as one of nonnegative least squares (Lawson and Hanson, 1974, chapter 23).

    Args:
        coalitions: bool[m, n], the empty and the grand one among them.
        utilities: float64[m].
    """
    n, sizes = coalitions.shape[1], coalitions.sum(axis=1)
    gains = utilities - utilities[sizes == 0][0]
    unit = float(np.abs(gains).max())
    if unit == 0.0:
        return np.zeros(n)
    even = float(gains[sizes == n][0]) / n
    inner = (sizes > 0) & (sizes < n)
    deficit = least_core_of(coalitions, utilities).deficit
    # what is over an equal division, y: Σ y = 0, and y(S) ≥ gain(S) − deficit − |S| even
    ones = np.ones((1, n))
    rows = np.vstack([coalitions[inner].astype(np.float64), ones, -ones])
    least = np.append(gains[inner] - deficit - sizes[inner] * even, [0.0, 0.0]) / unit
    least -= 1e-9  # the deficit is known to the solver's tolerance
    columns, aim = np.vstack([rows.T, least]), np.append(np.zeros(n), 1.0)
    dual, _ = scipy.optimize.nnls(columns, aim, maxiter=50 * len(rows))
    # which of them count is the solver's to say; what it makes of them rounds by the processor
    solvable = orthonormal(columns[:, dual > 0.0])
    if solvable is not None:
        basis, triangle = solvable
        dual[dual > 0.0] = back(triangle, times(basis, aim))
    rest = times(columns, dual) - aim
    return even - unit * rest[:n] / rest[n]


def _gold(game: Game, budget: int, seed: int, run: int) -> NDArray[np.float64]:
    del budget, seed, run
    n = game.n_players
    utilities = game(np.vstack([np.zeros((1, n), dtype=np.bool_), np.eye(n, dtype=np.bool_)]))
    return np.asarray(utilities[1:] - utilities[0])


GAME_RULES |= {
    "banzhaf": _banzhaf,
    "beta_shapley": _beta_shapley,
    "leave_one_out": _leave_one_out,
    "least_core": _least_core,
    "gold": _gold,
}
