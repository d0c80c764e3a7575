"""Games: what a coalition of workers is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from crowd_sim import scores
from crowd_sim.errors import InputError
from crowd_sim.scores import SCORES, Score
from crowd_sim.valuation.coalition_lists import Lists
from crowd_sim.valuation.coalition_means import coalition_means, list_means
from crowd_sim.valuation.noise import noise_of
from crowd_sim.valuation.quadratic_of_mean import QuadraticOfMean
from crowd_sim.valuation.validation import finite, integer, takes

_SMALLEST, _LARGEST = 1e-30, 1e30  # their eighth powers are numbers


class Game(Protocol):
    """Anything with a number of players and a utility of coalitions; games of other packages fit as they are.

    A coalition's utility may depend on nothing but the coalition: not on the others in the call, not on chance. Slow games
    are called with few coalitions at a time, quick ones with thousands, and the split is nobody's to rely on. To the last bit:
    a product of BLAS may round a row differently with other rows around it, sums over one row at a time do not. A game that
    writes into the coalitions that it is given is refused.

    A game of chance says so by an attribute ``noise``: a coalition's utility is then the mean of what the game answers, and

    - ``"fresh"``: it is called as any other, and answers anew for every row, also for the same coalition twice;
    - ``"keyed"``: it is called with ``(coalitions, draws)``, int64[m] the numbers of the draws, and its answer is a function
      of coalition and number alone: results are then reproducible. Different numbers are independent; coalitions of the same
      number may share their chance, which makes their difference surer.

    A coalition may take longer than `actors.failures.deadline` as long as the evaluator's process is busy; a game that works
    elsewhere (on a GPU, in processes of its own) has a `HeartbeatGame.heartbeat`.
    """

    @property
    def n_players(self) -> int:
        """Number of players."""
        ...

    def __call__(self, coalitions: NDArray[np.bool_], /) -> NDArray[np.float64]:
        """Utilities float64[m] of ``coalitions`` bool[m, n]."""
        ...


@runtime_checkable
class ClosedFormGame(Protocol):
    """A game that may know its own Shapley values: a method that ``method="auto"`` looks for."""

    def shapley_values(self) -> NDArray[np.float64] | None:
        """Shapley values float64[n], or ``None`` where this game has no closed form."""
        ...


@runtime_checkable
class ListGame(Protocol):
    """A game that takes coalitions as lists of their members too, with the same bits."""

    def at(self, lists: Lists) -> NDArray[np.float64]:
        """Utilities float64[m] of the m coalitions of ``lists``."""
        ...


@runtime_checkable
class HeartbeatGame(Protocol):
    """A game that tells while it is called whether it works: without growth for a deadline its evaluator counts as hung."""

    def heartbeat(self) -> int:
        """A number that grows while the game works; asked by another thread, so it must answer at once."""
        ...


def players_of(game: Game, field: str = "game") -> int:
    """The number of players.

    Raises:
        InputError: naming ``field``, where it is no game: a bare function, a list or a table, say; or has no players, or
            cannot be called as its ``noise`` says.
    """
    if not callable(game) or not hasattr(game, "n_players"):
        allowed = "must be a game: callable, with n_players, such as AveragingGame(vectors, target)"
        raise InputError(field, type(game).__name__, allowed)
    n_players = integer(f"{field}.n_players", game.n_players, 1)
    noise = noise_of(game, field)
    if not takes(game, 2 if noise == "keyed" else 1):
        wanted = "(coalitions, draws)" if noise == "keyed" else "(coalitions)"
        raise InputError(f"{field}.noise", noise, f"such a game is called with {wanted}; {type(game).__name__} is not")
    return n_players


@dataclass(frozen=True, eq=False)
class AveragingGame:
    """The paper's game: v(S) = score(mean of the vectors of S, target), and v(∅) = score(0, target).

    Attributes:
        vectors: float64[n, d], one row a worker.
        target: float64[d].
        score: a name in `crowd_sim.scores.SCORES`, or a callable of (points float64[m, d], target float64[d]) that
            returns float64[m], each entry a function of its own point alone.

    Raises:
        InputError: vectors or target not finite, of the wrong shape, or of a size whose powers leave float64, no
            workers, an unknown score.
    """

    vectors: NDArray[np.float64]
    target: NDArray[np.float64]
    score: str | Score = "l2"

    def __post_init__(self) -> None:
        vectors = finite("vectors", self.vectors, (None, None))
        if 0 in vectors.shape:
            raise InputError("vectors", vectors.shape, "needs at least one worker and one dimension")
        object.__setattr__(self, "vectors", vectors)
        object.__setattr__(self, "target", finite("target", self.target, (vectors.shape[1],)))
        for name in ("vectors", "target"):
            size = float(np.abs(getattr(self, name)).max())
            if size and not _SMALLEST <= size <= _LARGEST:
                raise InputError(name, size, "the largest entry must be 0 or of a size in [1e-30, 1e30]; scale both")
        if not callable(self.score) and not (isinstance(self.score, str) and self.score in SCORES):
            raise InputError("score", self.score, f"must be one of {', '.join(SCORES)}, or a callable")
        if callable(self.score) and not takes(self.score, 2):
            raise InputError("score", self.score, "must be a callable of (points, target)")

    @property
    def n_players(self) -> int:
        """Number of workers."""
        return len(self.vectors)

    def __call__(self, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Utilities float64[m] of ``coalitions`` bool[m, n], each independent of the others in the call."""
        return self._score(coalition_means(coalitions, self.vectors), self.target)

    def at(self, lists: Lists) -> NDArray[np.float64]:
        """Utilities float64[m] of the coalitions of ``lists``: the same bits as those of their masks."""
        return self._score(list_means(lists, self.vectors), self.target)

    def quadratic(self) -> QuadraticOfMean | None:
        """This game as a quadratic of the coalition's mean; ``None`` where its score is not one."""
        d = len(self.target)
        if self._score is scores.dot:
            return QuadraticOfMean(self.vectors, 0.0, self.target, np.zeros((d, d)), 0.0)
        if self._score is scores.squared_l2:
            constant = -float((self.target * self.target).sum())
            return QuadraticOfMean(self.vectors, constant, 2.0 * self.target, -np.eye(d), constant)
        return None

    def shapley_values(self) -> NDArray[np.float64] | None:
        """Closed-form Shapley values float64[n] for the scores dot and squared_l2, else ``None``."""
        quadratic = self.quadratic()
        return None if quadratic is None else quadratic.shapley_values()

    @property
    def _score(self) -> Score:
        return self.score if callable(self.score) else SCORES[self.score]
