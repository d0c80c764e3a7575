"""Evaluating coalitions: the request an estimator answers, and the stream of chunks between driver and evaluators."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.valuation.agreement import Seen
from crowd_sim.valuation.coalition_lists import Lists
from crowd_sim.valuation.games import Game, ListGame
from crowd_sim.valuation.noise import DRAW_BITS, noise_of, split_draws
from crowd_sim.valuation.result import ShapleyResult
from crowd_sim.valuation.validation import real

Evaluate = Callable[[Iterable[NDArray[np.bool_]]], Iterator[NDArray[np.float64]]]
"""Takes chunks of coalitions, bool[m, n] each, and yields their utilities, float64[G, m], in the same order."""

Chunk = NDArray[np.bool_] | Lists
"""Coalitions as masks bool[m, n], or as lists of their members."""

_AnyChunk = TypeVar("_AnyChunk", NDArray[np.bool_], Lists)


@dataclass(frozen=True, eq=False)
class ListEvaluate:
    """An `Evaluate` that takes chunks of `Lists` too, and gives them the same bits: small coalitions then stay small.

    Attributes:
        evaluate: takes chunks of either kind.
    """

    evaluate: Callable[[Iterable[Chunk]], Iterator[NDArray[np.float64]]]

    def __call__(self, chunks: Iterable[Chunk]) -> Iterator[NDArray[np.float64]]:
        """See `Evaluate`."""
        return self.evaluate(chunks)


LARGEST, SMALLEST = 1e70, 1e-70
"""Of utilities that were drawn: beyond these their fourth powers leave float64."""
_CHUNK_ROWS = 1024
_CHUNK_CELLS = 1 << 22


@dataclass(frozen=True, eq=False)
class Request:
    """What an estimator is asked: the values of ``games``, all of ``n_players`` players, within ``budget``.

    A game's values do not depend on which others are valued with it: every coalition is a function of (seed, run), and how
    many are drawn of a kind at most of the game itself. Without ``evaluate`` the games are called in place.

    A utility that is NaN counts as ``missing`` says: ``"raise"``, ``"skip"`` or what to take for it.

    Of ``noisy`` games every coalition has the number of a draw behind it, ``width`` columns in all (`with_draws`).

    ``features`` float64[n, p] are what is known of the players.

    ``most`` is the budget of the longest stage, of a valuation in stages; 0: there are none.

    ``seen``, one a game where there is any, takes in what the utilities are.

    ``admit`` is shown the chunks that an estimator is about to ask for in one go, and may raise: a valuation in stages
    refuses there what would pass its budget, before any of it is evaluated.
    """

    games: Sequence[Game]
    n_players: int
    evaluate: Evaluate | None
    budget: int
    seed: int
    run: int
    admit: Callable[[Iterable[NDArray[np.bool_]]], None] | None = None
    noisy: bool = False
    missing: str | float = "raise"
    features: NDArray[np.float64] | None = None
    most: int = 0
    seen: Sequence[Seen] = ()

    def __post_init__(self) -> None:
        checked_evaluate(self.evaluate)

    @property
    def skips(self) -> bool:
        """Whether a utility may be NaN, and its coalition is left out then."""
        return self.missing == "skip"

    @property
    def width(self) -> int:
        """How many columns a chunk has."""
        return self.n_players + (DRAW_BITS if self.noisy else 0)

    def admitted(self, chunks: Callable[[], Iterable[NDArray[np.bool_]]]) -> Iterator[NDArray[np.bool_]]:
        """The chunks, once `admit` has seen all of them; made twice where it wants to."""
        if self.admit is not None:
            self.admit(chunks())
        return iter(chunks())

    def utilities(self, chunks: Iterable[_AnyChunk]) -> Iterator[tuple[_AnyChunk, NDArray[np.float64]]]:
        """Each chunk with its checked utilities, float64[G, m], in order; chunks of lists are for a `ListEvaluate`.

        Raises:
            InputError: utilities of the wrong shape, too few or too many chunks of them, or one that is not finite.
        """
        waiting: deque[_AnyChunk | None] = deque()  # None: there are no more

        foreign = self.evaluate is not None and not isinstance(self.evaluate, ListEvaluate)

        def sent() -> Iterator[_AnyChunk]:
            for chunk in chunks:
                waiting.append(chunk)
                yield _copied(chunk) if foreign else chunk  # what is not ours may write into it
            waiting.append(None)

        evaluate: Callable[[Iterable[Any]], Iterator[NDArray[np.float64]]] = self.evaluate or in_process(self.games)
        for answer in _answers(evaluate, sent()):
            chunk = waiting.popleft() if waiting else None
            if chunk is None:
                raise InputError("evaluate", None, "yielded too many chunks of utilities")
            members = partial(_members, chunk, self.n_players)
            utilities = _checked(answer, len(chunk), len(self.games), members, self.missing)
            for seen, row in zip(self.seen, utilities, strict=False):
                seen.note(row, partial(_sizes, chunk, self.n_players), self.n_players)
            yield chunk, utilities
        if not waiting or waiting.popleft() is not None:
            raise InputError("evaluate", None, "yielded too few chunks of utilities")

    def utilities_of(self, lists: Lists) -> NDArray[np.float64]:
        """Checked utilities float64[G, m] of the coalitions of ``lists``.

        An evaluator that does not take lists gets masks.

        Raises:
            InputError: as `utilities` does.
        """
        step = chunk_rows(self.n_players)
        pieces = [lists[start : start + step] for start in range(0, len(lists), step)]
        if self.evaluate is None or isinstance(self.evaluate, ListEvaluate):
            answers = [answer for _, answer in self.utilities(pieces)]
        else:
            chunks = self.admitted(lambda: (piece.masks(self.n_players) for piece in pieces))
            answers = [answer for _, answer in self.utilities(chunks)]
        return np.concatenate(answers, axis=1) if answers else np.empty((len(self.games), 0))

    def only(self, rows: Sequence[int]) -> Request:
        """The same request for some of its games."""
        evaluate = None if self.evaluate is None else _rows_of(self.evaluate, rows)
        seen = [self.seen[g] for g in rows] if self.seen else ()
        return replace(self, games=[self.games[g] for g in rows], evaluate=evaluate, seen=seen)


Estimator = Callable[[Request], list[ShapleyResult]]


def checked_evaluate(evaluate: Evaluate | None) -> Evaluate | None:
    """``evaluate``.

    Raises:
        InputError: it cannot be called.
    """
    if evaluate is not None and not callable(evaluate):
        raise InputError("evaluate", evaluate, "must be a callable of chunks of coalitions, or None")
    return evaluate


def _answers(evaluate: Callable[[Iterable[Any]], Any], chunks: Iterable[Any]) -> Iterable[Any]:
    found = evaluate(chunks)
    if not isinstance(found, Iterable):
        raise InputError("evaluate", type(found).__name__, "must return an iterator of the chunks' utilities")
    return found


def in_process(games: Sequence[Game]) -> ListEvaluate:
    """The evaluator that calls the games where it stands, one chunk after the other; with lists those that take them."""

    def evaluate(chunks: Iterable[Chunk]) -> Iterator[NDArray[np.float64]]:
        for chunk in chunks:
            out = np.empty((len(games), len(chunk)))
            for g, game in enumerate(games):
                given: Chunk = _copied(chunk)  # others are asked the same, and what is estimated depends on it
                utilities = real(_name(g, len(games)), _called(game, given))
                if not _is_as(given, chunk):
                    raise InputError(
                        _name(g, len(games)), None, "must not write into its coalitions; take a copy of them"
                    )
                if utilities.shape != (len(chunk),):
                    raise InputError(_name(g, len(games)), utilities.shape, f"must return the shape ({len(chunk)},)")
                out[g] = utilities
            yield out

    return ListEvaluate(evaluate)


def counted(evaluate: Evaluate, report: Callable[[int], None]) -> Evaluate:
    """The same evaluator, saying after each chunk how many utilities there are."""
    done = 0

    def counting(chunks: Iterable[Any]) -> Iterator[NDArray[np.float64]]:
        nonlocal done
        for utilities in _answers(evaluate, chunks):
            done += (np.shape(utilities) or (0,))[-1]
            report(done)
            yield utilities

    return ListEvaluate(counting) if isinstance(evaluate, ListEvaluate) else counting


def _copied(chunk: Any) -> Any:
    """Of the kind that it is of."""
    return Lists(chunk.members.copy(), chunk.ends.copy()) if isinstance(chunk, Lists) else chunk.copy()


def _is_as(given: Chunk, chunk: Chunk) -> bool:
    if isinstance(given, Lists) and isinstance(chunk, Lists):
        return np.array_equal(given.members, chunk.members) and np.array_equal(given.ends, chunk.ends)
    return np.array_equal(given, chunk)  # type: ignore[arg-type]


def _called(game: Game, chunk: Chunk) -> NDArray[np.float64]:
    if not isinstance(chunk, Lists):
        noise = noise_of(game)
        if noise is None:
            return game(chunk)
        coalitions, draws = split_draws(chunk)
        # its face is `KeyedGame`'s
        return game(coalitions, draws) if noise == "keyed" else game(coalitions)  # type: ignore[call-arg]
    return game.at(chunk) if isinstance(game, ListGame) else game(chunk.masks(game.n_players))


def _rows_of(evaluate: Evaluate, rows: Sequence[int]) -> Evaluate:
    """The evaluator of some of the games of ``evaluate``."""

    def chosen(chunks: Iterable[Any]) -> Iterator[NDArray[np.float64]]:
        for utilities in _answers(evaluate, chunks):
            yield real("evaluate", utilities)[list(rows)]

    return ListEvaluate(chosen) if isinstance(evaluate, ListEvaluate) else chosen


def chunk_rows(n_players: int) -> int:
    """How many coalitions a chunk has: a function of n alone, so that a chunk's masks take at most 4 MiB."""
    return max(1, min(_CHUNK_ROWS, _CHUNK_CELLS // n_players))


def chunked(coalitions: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
    """``coalitions`` bool[m, n] in chunks of the fixed size."""
    step = chunk_rows(coalitions.shape[1])
    for start in range(0, len(coalitions), step):
        yield coalitions[start : start + step]


def _members(chunk: Chunk, n_players: int, row: int) -> NDArray[np.int_]:
    return np.sort(chunk[row : row + 1].members) if isinstance(chunk, Lists) else np.flatnonzero(chunk[row, :n_players])


def _sizes(chunk: Chunk, n_players: int) -> NDArray[np.int_]:
    return chunk.sizes if isinstance(chunk, Lists) else chunk[:, :n_players].sum(axis=1)


def _checked(
    answer: NDArray[np.float64],
    n_rows: int,
    n_games: int,
    members_of: Callable[[int], NDArray[np.int_]],
    missing: str | float,
) -> NDArray[np.float64]:
    utilities = np.ascontiguousarray(real("evaluate", answer))
    if utilities.shape != (n_games, n_rows):
        raise InputError("evaluate", utilities.shape, f"must yield the shape {(n_games, n_rows)}")
    if not isinstance(missing, str):
        utilities = np.where(np.isnan(utilities), missing, utilities)
    # negated, so that what is no number is bad too
    bad = np.abs(utilities) > LARGEST if missing == "skip" else ~(np.abs(utilities) <= LARGEST)
    if bad.any():
        g, row = (int(i) for i in np.argwhere(bad)[0])
        members = members_of(row)
        shown = ", ".join(str(i) for i in members[:10]) + (", …" if len(members) > 10 else "")
        coalition = f"coalition {{{shown}}}, {len(members)} of the players, counted from 0"
        found = float(utilities[g, row])
        allowed = f"of a size up to {LARGEST:g}; scale them" if np.isfinite(found) else "finite"
        raise InputError(_name(g, n_games), found, f"utilities must be {allowed}; it is that of {coalition}")
    return utilities


def _name(game: int, n_games: int) -> str:
    return "game" if n_games == 1 else f"games[{game}]"
