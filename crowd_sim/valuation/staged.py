"""Valuing in stages of growing budgets, until a rule is met; and going on from an earlier result.

Every stage runs the estimator anew with the same key and asks the memory first, so that only coalitions that no earlier stage
had are evaluated. Where the method's draws begin alike whatever the budget (permutations and chains do), a stage extends the
one before, and the whole costs what its last stage costs; else they share a part. All stages together, and what an earlier
result brought, never pass the budget: a stage that would is cut until it fits, and is the last. What is repeated is the
arithmetic of the estimator.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.valuation.agreement import Seen
from crowd_sim.valuation.once import Look, evaluated
from crowd_sim.valuation.request import Estimator, Request
from crowd_sim.valuation.result import ShapleyResult
from crowd_sim.valuation.stopping import Progress, Rule
from crowd_sim.valuation.utility_table import Evaluated, Memory, packed, packed_bytes

_TRIES = 50  # a stage that does not fit is cut by at least this part of it
_APART = 1.5  # a stage shorter than this times the one before would say nothing new


def progressive(
    estimator: Estimator,
    request: Request,
    stop: Rule | None = None,
    previous: Sequence[ShapleyResult] | None = None,
    besides: int = 0,
    anew: bool = False,
    again: Sequence[int] | None = None,
) -> list[ShapleyResult]:
    """The values of the request's games, each from as many stages as its rule wants.

    Each game is valued by itself, so that its result does not depend on the others. Where an evaluator evaluates all games at
    once, what it says of the others is kept for their turn.

    Args:
        estimator: what runs in every stage.
        request: its budget is that of the longest stage.
        stop: looked at after every stage; ``None``: there is one stage, the whole budget.
        previous: a result for each game, with its evaluations: they are looked up, and count. The rule is looked at from
            their budget on.
        besides: evaluations that the estimator's budget does not count.
        anew: whether an earlier result's evaluations do not count either, where there is no rule.
        again: how many coalitions each game was asked for again already, which count too, but not as coalitions seen.

    Returns:
        Results with ``converged`` and ``evaluated``; ``n_evaluations`` counts each coalition once, whichever result paid, and
        what was asked again.

    Raises:
        InputError: an earlier result's evaluations leave the estimator too few, a previous result without
            evaluations, for another number of players, or with a larger budget; and whatever the estimator raises.
    """
    known = _evaluated(request, previous)
    n_games = len(request.games)
    results = []
    shared = Memory(request.width, n_games)
    for game in range(n_games):
        if request.evaluate is None:
            source, memory, row = request.only([game]), Memory(request.width), 0
        else:
            source, memory, row = request, shared, game
        asked = _Asked(memory, row, source, known[game], again[game] if again else 0)
        alone = replace(request.only([game]), evaluate=asked.evaluate, admit=asked.admit)
        free = besides + (len(known[game]) + asked.again if anew and stop is None else 0)
        results.append(_valued(estimator, alone, asked, stop, known[game].budget, free))
    return results


def stages(first: int, known: int, last: int) -> list[int]:
    """Budgets, doubling from ``first``: those far enough below ``known``, ``known``, those far enough on, ``last``.

    Without ``known`` (0) they depend on ``last`` only at their end, so that a longer valuation looks at the same stages first.
    """
    marks = sorted({mark for mark in (known, last) if mark > 0})
    budgets, budget = [], first
    while budget * _APART <= last:
        if all(budget * _APART <= mark or budget >= mark * _APART for mark in marks):
            budgets.append(budget)
        budget *= 2
    return sorted({*budgets, *marks})


def _evaluated(request: Request, previous: Sequence[ShapleyResult] | None) -> list[Evaluated]:
    n, n_games = request.width, len(request.games)
    if previous is None:
        nothing = Evaluated(n, np.empty((0, packed_bytes(n)), dtype=np.uint8), np.empty(0), 0)
        return [nothing] * n_games
    previous = list(previous)
    if len(previous) != n_games:
        raise InputError("previous", len(previous), f"must be a result for each of {n_games} games")
    found = []
    for g, result in enumerate(previous):
        field = "previous" if n_games == 1 else f"previous[{g}]"
        evaluated = result.evaluated if isinstance(result, ShapleyResult) else None
        if evaluated is None:
            allowed = (
                "must be a result with its evaluations: one that was given a rule, stop=MaxEvaluations(budget) say"
            )
            raise InputError(field, None, allowed)
        if evaluated.n_players != n:
            raise InputError(field, evaluated.n_players, f"must be of a game of {request.n_players} players")
        if evaluated.budget > request.budget:
            raise InputError(
                "budget", request.budget, f"must be at least {evaluated.budget}, that of {field}, and counts it"
            )
        found.append(evaluated)
    return found


def _valued(
    estimator: Estimator, request: Request, asked: _Asked, stop: Rule | None, known: int, besides: int
) -> ShapleyResult:
    last = request.budget if stop is None else max(int(min(request.budget, stop.most())), known)
    budgets = [last] if stop is None else stages(request.n_players + 2, known, last)
    asked.limit = last + besides
    request = replace(request, most=last)
    start = time.monotonic()
    results: tuple[ShapleyResult, ...] = ()
    progress, certain, reached = None, False, 0
    for budget in budgets:
        try:
            stage = _fitting(estimator, request, budget, reached)
        except InputError as error:
            if error.field == "budget" and budget < last and not results:
                continue  # too small a stage for this method
            raise
        if stage is None:  # nothing longer than the stage before fits
            break
        result, reached = stage
        results = (*results, result)
        progress = Progress(results, reached, asked.different, time.monotonic() - start, asked.differ)
        certain = _certain(result, request.n_players)
        if (stop is not None and budget >= known and (certain or stop.met(progress))) or reached < budget:
            break
    if progress is None:
        left = max(last - asked.count, 0)
        raise InputError("budget", request.budget, f"leaves {left} evaluations, too few besides those of previous")
    return replace(
        results[-1],
        n_evaluations=asked.count,
        converged=None if stop is None else certain or stop.converged(progress),
        evaluated=asked.record(max(progress.budget, known)),
    )


def _fitting(estimator: Estimator, request: Request, budget: int, reached: int) -> tuple[ShapleyResult, int] | None:
    """The stage of ``budget``, or the longest tried that fits and is longer than ``reached``, with its own budget.

    Where a stage is refused only after a pilot, the pilot's evaluations are spent, and count in the next try.
    """
    tried = budget
    while tried > reached:
        try:
            # of a stage that is cut no more is left than it has
            return estimator(replace(request, budget=tried, most=request.most if tried == budget else tried))[0], tried
        except _PassesError as passes:
            tried -= max(passes.excess, tried // _TRIES, 1)
        except InputError as error:
            if error.field != "budget" or tried == budget:
                raise
            return None  # too small for the estimator
    return None


class _PassesError(Exception):
    """What was asked for would pass the limit by ``excess`` evaluations."""

    def __init__(self, excess: int) -> None:
        super().__init__(excess)
        self.excess = excess


def _certain(result: ShapleyResult, n: int) -> bool:
    """Whether nothing was drawn, so that no further stage can say more."""
    return not result.stderr.any() and (result.method == "closed_form" or result.n_evaluations == 2**n)


class _Asked:
    """What one game was asked for: evaluates what its memory lacks, and counts every coalition once.

    Those that were asked ``again`` now, to see that the game is the same, count besides; they tell nothing new.
    """

    def __init__(self, memory: Memory, game: int, source: Request, known: Evaluated, again: int) -> None:
        self._memory = memory
        self._game = game
        self._source = source
        self.limit = source.budget
        self.again = again
        self._seen = np.zeros(0, dtype=np.bool_)
        self._order: list[NDArray[np.int64]] = []
        self._in_flight = np.zeros(0, dtype=np.bool_)
        numbers = memory.numbers(known.coalitions)
        memory.put_game(game, numbers, known.utilities)
        self._note(numbers)

    @property
    def different(self) -> int:
        """How many coalitions, those known before included."""
        return sum(len(numbers) for numbers in self._order)

    @property
    def count(self) -> int:
        """How many evaluations: each coalition once, and those of this valuation that were asked again."""
        return self.different + self.again

    @property
    def differ(self) -> bool:
        """Whether they are worth more than one number; of none, as of a closed form, nobody can say that they are."""
        numbers = np.concatenate([np.empty(0, dtype=np.int64), *self._order])
        return not len(numbers) or Seen.of(self._memory.utilities(self._game, numbers)).range > 0.0

    def record(self, budget: int) -> Evaluated:
        """All of them with their utilities."""
        numbers = np.concatenate([np.empty(0, dtype=np.int64), *self._order])
        utilities = self._memory.utilities(self._game, numbers)
        rows, missing = self._memory.rows(numbers), self._source.missing
        return Evaluated(self._source.width, rows, utilities, budget, missing)

    def admit(self, chunks: Iterable[NDArray[np.bool_]]) -> None:
        """Refuse chunks whose new coalitions would pass the limit.

        Raises:
            _PassesError: they would.
        """
        numbers = [self._memory.numbers(packed(chunk)) for chunk in chunks]
        excess = self.count + self._unseen(np.concatenate([np.empty(0, dtype=np.int64), *numbers])) - self.limit
        if excess > 0 and excess > self.count - self.limit:  # what is known already is free
            raise _PassesError(int(excess))

    def _unseen(self, numbers: NDArray[np.int64]) -> int:
        self._make_room()
        return len(np.unique(numbers[~self._seen[numbers]]))

    def evaluate(self, chunks: Iterable[NDArray[np.bool_]]) -> Iterator[NDArray[np.float64]]:
        """See `Evaluate`: for the one game, with what is known left out of what the source is asked."""
        return evaluated(self._source, map(self._look, chunks), self._learn, self._answer)

    def _look(self, chunk: NDArray[np.bool_]) -> Look:
        numbers = self._memory.numbers(packed(chunk))
        self._note(numbers)
        unknown = ~self._memory.asked(self._game, numbers) & ~self._in_flight[numbers]
        missing = _firsts(numbers[unknown])
        self._in_flight[missing] = True
        return Look(numbers, missing, self._memory.masks(missing))

    def _learn(self, look: Look, utilities: NDArray[np.float64]) -> None:
        self._memory.put(look.missing, utilities)
        self._in_flight[look.missing] = False

    def _make_room(self) -> None:
        lacking = len(self._memory) - len(self._seen)
        if lacking > 0:
            more = np.zeros(max(lacking, len(self._seen)), dtype=np.bool_)
            self._seen = np.concatenate([self._seen, more])
            self._in_flight = np.concatenate([self._in_flight, more])

    def _note(self, numbers: NDArray[np.int64]) -> None:
        self._make_room()
        new = _firsts(numbers[~self._seen[numbers]])
        if len(new):
            self._seen[new] = True
            self._order.append(new)

    def _answer(self, look: Look) -> NDArray[np.float64]:
        return self._memory.utilities(self._game, look.numbers)[None]


def _firsts(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each number once, in the order of its first place."""
    _, first = np.unique(numbers, return_index=True)
    return numbers[np.sort(first)]
