"""The public face: Shapley values of a game, or of many at once, by a method of choice."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from crowd_sim.errors import InputError
from crowd_sim.progress import Progress, in_place
from crowd_sim.valuation.agreement import Seen, unsure
from crowd_sim.valuation.continued import check_same_games, listed
from crowd_sim.valuation.estimators.chains.estimator import chains
from crowd_sim.valuation.estimators.exact import exact
from crowd_sim.valuation.estimators.kernel_shap.estimator import kernel_shap
from crowd_sim.valuation.estimators.paired_regression import paired_regression
from crowd_sim.valuation.estimators.permutation.estimator import permutation
from crowd_sim.valuation.estimators.stratified.estimator import fits as fits_stratified
from crowd_sim.valuation.estimators.stratified.estimator import stratified
from crowd_sim.valuation.estimators.surrogate.estimator import MAX_PLAYERS as MOST_OF_SURROGATE
from crowd_sim.valuation.estimators.surrogate.estimator import surrogate
from crowd_sim.valuation.games import ClosedFormGame, Game, players_of
from crowd_sim.valuation.noise import common_noise
from crowd_sim.valuation.request import SMALLEST, Estimator, Evaluate, Request, checked_evaluate, counted, in_process
from crowd_sim.valuation.requirements import automatic, automatic_where_noisy
from crowd_sim.valuation.result import ShapleyResult
from crowd_sim.valuation.staged import progressive
from crowd_sim.valuation.stopping import Rule, checked_rule
from crowd_sim.valuation.validation import checked_budget, checked_missing, checked_size, finite, integer

_LARGEST_KEY = 2**64 - 1
_ANEW = {"kernel_shap"}  # methods for which an earlier result's evaluations do not count
_TOLERANT = ("auto", "paired_regression", "permutation")  # of missing utilities
_FEATURED = ("auto", "chains")
_NOISY = (*_TOLERANT, "surrogate")
_TOLD = ("closed_form", "exact", "stratified")  # by the game itself, or by all of its coalitions
_BESIDES = {"kernel_shap": 2}  # evaluations that a method's budget does not count: both ends


def shapley(
    game: Game,
    method: str = "auto",
    budget: int = 10_000,
    seed: int = 0,
    run: int = 0,
    evaluate: Evaluate | None = None,
    stop: Rule | None = None,
    previous: ShapleyResult | None = None,
    missing: str | float = "raise",
    features: ArrayLike | None = None,
    progress: Progress | bool | None = None,
) -> ShapleyResult:
    """The Shapley values of one game.

    Args:
        game: anything with ``n_players`` and ``__call__(coalitions: bool[m, n]) -> float[m]``, the coalitions' utilities; in
            whatever unit these are, the values are, too. `AveragingGame` is that of vectors and a target.
        method: one of `METHODS`. ``"auto"`` takes the closed form where the game has one, enumeration where the budget covers
            all 2^n coalitions, stratified regression for an averaging game with the score l2 or l1, the surrogate for any
            other game it can be fitted to, and else permutation sampling; the result's ``method`` says which.
        budget: number of utility evaluations. Exact and closed form are not bound by it; Kernel SHAP evaluates the empty and
            the grand coalition besides.
        seed: in [0, 2^64); with ``run`` the key of every draw.
        run: in [0, 2^64).
        evaluate: what evaluates the coalitions: a callable that takes an iterable of chunks bool[m, n] and returns an iterator
            of float64[1, m] in the same order. Absent: the game is called in this process.
        stop: a rule, such as ``TargetError(0.01) | MaxTime(3600)``, looked at after stages of doubling budgets up to
            ``budget``; the result then carries its evaluations.
        previous: a result of this very game to continue from, which carries its evaluations: they count towards ``budget``
            and are not made again, but for up to three that show whether it is this game; see `shapley_many`.
        missing: what a utility that is NaN counts as: ``"raise"``, a number, or ``"skip"``; see `shapley_many`.
        features: float64[n, p], what is known of the players, of more than 500; see `shapley_many`.
        progress: called with ("evaluations", done, total, note); True: a line on standard error that is written over.

    Returns:
        ``values`` and ``stderr`` float64[n], ``method``, ``n_evaluations``; `ShapleyResult.to_frame` makes a table of them.

    Raises:
        InputError: what is no game, fewer than one player, an unknown method or one that does not fit the game, a budget too
            small for the method, utilities of the wrong shape or not finite, something else than a rule, or a previous
            result that does not fit or has no evaluations.
    """
    earlier = None if previous is None else [previous]
    checked_evaluate(evaluate)
    if progress is True:
        with in_place(sys.stderr) as report:
            return shapley(game, method, budget, seed, run, evaluate, stop, previous, missing, features, report)
    if progress and not callable(progress):
        raise InputError("progress", progress, "must be True, or a callable that takes (stage, done, total, note)")
    if progress:
        report = progress
        evaluate = counted(
            evaluate or in_process([game]), lambda done: report("evaluations", min(done, budget), budget)
        )
    result = shapley_many([game], method, budget, seed, run, evaluate, stop, earlier, missing, features)[0]
    if progress and result.n_evaluations:  # however few were needed, they are done
        progress("evaluations", result.n_evaluations, result.n_evaluations)
    return result


def shapley_many(
    games: Sequence[Game],
    method: str = "auto",
    budget: int = 10_000,
    seed: int = 0,
    run: int = 0,
    evaluate: Evaluate | None = None,
    stop: Rule | None = None,
    previous: Sequence[ShapleyResult] | None = None,
    missing: str | float = "raise",
    features: ArrayLike | None = None,
) -> list[ShapleyResult]:
    """The Shapley values of several games of the same n, from coalitions they share.

    A game's result has the same bits whichever other games are valued with it, and whatever evaluates the coalitions.

    Args:
        games: each with ``n_players`` and ``__call__(coalitions: bool[m, n]) -> float[m]``.
        method: one of `METHODS`. ``"auto"`` takes for each game the closed form where it has one, enumeration where
            the budget covers all 2^n coalitions, stratified regression for an averaging game with the score l2 or l1,
            the surrogate for any other game of up to 500 players, chains for larger ones, and where the budget is too
            small for those permutation sampling; for a noisy game (see
            `Game`) the surrogate, above 500 players paired regression, where the budget suffices, else permutation
            sampling, and no other method takes one. The result's ``method`` says which.
        budget: number of utility evaluations for each game. Exact and closed form are not bound by it; Kernel SHAP
            evaluates the empty and the grand coalition besides.
        seed: in [0, 2^64); with ``run`` the key of every draw.
        run: in [0, 2^64).
        evaluate: what evaluates the coalitions, for all ``games`` in their order: a callable that takes an iterable of
            chunks bool[m, n] and returns an iterator of float64[len(games), m] in the same order. It may be called
            more than once. The chunks depend on method, n and budget alone, with stratified regression and the surrogate
            on the games too; a chunk is then evaluated for all of them where one wants it. Absent: the games are called in
            this process.
        stop: a rule, such as ``TargetError(0.01) | MaxTime(3600)``, looked at after stages of doubling budgets up to
            ``budget``. No coalition is evaluated twice, but the estimator's own arithmetic is repeated in every stage.
            Stages of permutation sampling and of chains are nested, and cost together what the last one costs; those of other
            estimators share a part. All together keep to ``budget``: a stage that would pass it is cut to fit, and is the
            last. ``"auto"`` has no stage of permutation sampling where ``budget`` allows the surrogate or chains.
            With a rule the results carry their evaluations (⌈n / 8⌉ + 8 bytes each), and each game is valued by itself.
        previous: a result for each game to continue from: what it has evaluated is looked up, and counts towards
            ``budget``, which must leave enough for the method. It must come from these very games, with the same number for
            ``missing`` ones, and carry its evaluations. Each game is asked again for up to three of its utilities to see
            that (a coalition's, the grand one's and the empty one's): these count, once, in this call's ``n_evaluations`` and
            ``budget``, and not as coalitions seen. Where the budget leaves room for fewer (spent before, or taken by
            an enumeration of all 2^n), so many are asked; where it leaves room for none, one is, besides the budget.
            The other exception is Kernel SHAP without a rule, whose coalitions are others with every budget: what an earlier
            result evaluated, and what is asked again, is besides the budget there, and the values are those of one go.
        missing: what a utility that is NaN counts as: ``"raise"`` refuses it; a number is taken in its place; ``"skip"``
            leaves out what it belongs to, a pair of coalitions or of permutations (auto, paired regression, permutation).
            The values are then those of a game whose failures depend on nothing, and the standard errors hold what was
            left out.
        features: float64[n, p], what is known of the players (of categories a column each, 0 or 1). Chains learn what it tells
            of their values, however little that is, and then take budgets that do not measure every player. ``"auto"`` does so
            above 500 players, of games without noise, and with ``missing`` other than ``"skip"``.

    Raises:
        InputError: no games, fewer than one player, games of different n, an unknown method or one that does not fit
            the game, a budget too small for the method, utilities of the wrong shape or not finite, something else
            than a rule, or a previous result that does not fit or has no evaluations.
    """
    if callable(games) or not isinstance(games, Iterable):
        raise InputError("games", type(games).__name__, "must be a list of games")
    games = list(games)
    if not games:
        raise InputError("games", games, "needs at least one game")
    estimator = METHODS.get(method) if isinstance(method, str) else None
    if estimator is None:
        raise InputError("method", method, f"must be one of {', '.join(METHODS)}")
    n = players_of(games[0], "game" if len(games) == 1 else "games[0]")
    for g, game in enumerate(games):
        players_of(game, f"games[{g}]" if len(games) > 1 else "game")
        if game.n_players != n:
            raise InputError(f"games[{g}].n_players", game.n_players, f"must be {n}, as in the first game")
    request = Request(
        games=games,
        n_players=n,
        evaluate=evaluate,
        budget=checked_budget(budget),
        seed=integer("seed", seed, 0, _LARGEST_KEY),
        run=integer("run", run, 0, _LARGEST_KEY),
        noisy=common_noise(games),
        missing=checked_missing(missing),
        features=None if features is None else finite("features", features, (n, None)),
    )
    if request.noisy and method not in _NOISY:
        raise InputError("method", method, f"takes no game with noise; {', '.join(_NOISY)} do")
    if request.skips and method not in _TOLERANT:
        raise InputError(
            "missing", "skip", f"needs one of the methods {', '.join(_TOLERANT)}; {method} can leave nothing out"
        )
    _check_features(request, method)
    estimator = partial(_unsure_where_draws_agree, estimator)
    if stop is None and previous is None:
        results = estimator(request)
    else:
        results = _in_stages(estimator, request, stop, previous, method)
    for result in results:
        if result.method != "closed_form":
            checked_size(float(np.abs(result.values).max()), SMALLEST)
    return results


def _check_features(request: Request, method: str) -> None:
    """Refuse features that nothing would look at."""
    if request.features is None:
        return
    n = request.n_players
    if method not in _FEATURED or (method == "auto" and n <= MOST_OF_SURROGATE):
        allowed = f"are for auto above {MOST_OF_SURROGATE} players, and for chains; this is {method} with {n}"
        raise InputError("features", None, allowed)
    if method == "auto" and (request.noisy or request.skips):
        why = "a game with noise" if request.noisy else "missing utilities skipped"
        raise InputError("features", None, f"are for chains, which auto does not take for {why}")


def _unsure_where_draws_agree(estimator: Estimator, request: Request) -> list[ShapleyResult]:
    """The estimator's results; those of draws that all agree say how sure these are (`unsure`)."""
    seen = [Seen() for _ in request.games]
    results = estimator(replace(request, seen=seen))
    for g, result in enumerate(results):
        every = not request.noisy and result.n_evaluations >= 2**request.n_players
        if not every and result.method not in _TOLD:
            results[g] = replace(result, stderr=unsure(result.stderr, seen[g], result.n_evaluations))
    return results


def _in_stages(
    estimator: Estimator, request: Request, stop: Rule | None, previous: Any, method: str
) -> list[ShapleyResult]:
    again = None
    besides, anew = _BESIDES.get(method, 0), method in _ANEW
    if stop is not None:
        checked_rule(stop).check(request.n_players)
    if previous is not None:
        previous = listed(previous)
        most = min(request.budget, math.inf if stop is None else stop.most()) + besides
        again = check_same_games(request, previous, math.inf if anew and stop is None else most)
    try:
        return progressive(estimator, request, stop, previous, besides, anew, again)
    except InputError as error:
        if stop is None or error.field != "budget" or error.value == request.budget:
            raise
        # the rule's, which nobody gave as a budget
        raise InputError("stop", stop, f"its {error.value} evaluations {error.allowed}") from None


def _closed_form(request: Request) -> list[ShapleyResult]:
    results = [_closed_form_of(game) for game in request.games]
    found = [result for result in results if result is not None]
    if len(found) < len(results):
        game = request.games[results.index(None)]
        shown = f"{type(game).__name__} has none" + (f" for the score {game.score!r}" if hasattr(game, "score") else "")
        raise InputError("method", "closed_form", f"needs a game with a closed form; {shown}")
    return found


def _closed_form_of(game: Game) -> ShapleyResult | None:
    values = game.shapley_values() if isinstance(game, ClosedFormGame) else None
    if values is None:
        return None
    values = finite("game.shapley_values()", values, (game.n_players,))
    return ShapleyResult(values, np.zeros_like(values), 0, "closed_form")


def _auto(request: Request) -> list[ShapleyResult]:
    if request.noisy or request.skips:
        return METHODS[_chosen(request, partial(automatic_where_noisy, skips=request.skips))](request)
    results = [_closed_form_of(game) for game in request.games]
    chosen: dict[str, list[int]] = {}
    for g, result in enumerate(results):
        if result is None:
            featured, known = request.features is not None, fits_stratified(request.games[g])
            name = _chosen(request, partial(automatic, stratifies=known, featured=featured))
            chosen.setdefault(name, []).append(g)
    for name, numbers in chosen.items():
        for g, result in zip(numbers, METHODS[name](request.only(numbers)), strict=True):
            results[g] = result
    return [result for result in results if result is not None]


def _chosen(request: Request, by_budget: Callable[[int, int], str]) -> str:
    """The method of a stage: not one that has to do without what the whole budget allows, and would spend a part of it.

    Raises:
        InputError: the stage is too small for the method that the whole budget allows.
    """
    n, budget = request.n_players, request.budget
    name, at_last = by_budget(n, budget), by_budget(n, max(budget, request.most))
    if name == "permutation" and at_last not in ("permutation", "exact"):
        raise InputError("budget", budget, f"is too small for {at_last}")
    return name


METHODS: dict[str, Estimator] = {
    "auto": _auto,
    "chains": chains,
    "closed_form": _closed_form,
    "exact": exact,
    "kernel_shap": kernel_shap,
    "paired_regression": paired_regression,
    "permutation": permutation,
    "stratified": stratified,
    "surrogate": surrogate,
}
