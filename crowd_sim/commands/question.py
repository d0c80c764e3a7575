"""What `crowd-sim value` is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crowd_sim.commands.unfinished import digest_of_code
from crowd_sim.files import fingerprint_of
from crowd_sim.valuation import AveragingGame, Rule


@dataclass(frozen=True)
class Question:
    """A crowd to be valued.

    Attributes:
        game: its averaging game.
        ids: the workers' names, in the game's order.
        name: what the result is called where no folder is given.
        score, target: as they were named.
        seed, run: the key of the draws.
    """

    game: AveragingGame
    ids: tuple[str, ...]
    name: str
    score: str
    target: str
    seed: int
    run: int

    @property
    def digest(self) -> str:
        """SHA-256 of what the values are of: the workers by name, their vectors, target and score."""
        asked = {"score": self.score, "workers": self.ids, "shape": self.game.vectors.shape}
        return fingerprint_of(asked, [self.game.vectors.tobytes(), self.game.target.tobytes()])

    @property
    def utilities_digest(self) -> str | None:
        """SHA-256 of all that utilities depend on, a user's code too; ``None`` where that has no source to read."""
        if ":" not in self.score:
            return self.digest
        code = digest_of_code(self.score.partition(":")[0])
        return None if code is None else fingerprint_of({"digest": self.digest, "code": code})


@dataclass(frozen=True)
class Asked:
    """How a crowd is to be valued, as it was asked for: two calls of the same get the same values.

    Attributes:
        question: the crowd.
        method, budget, stop: as of `crowd_sim.valuation.shapley`.
    """

    question: Question
    method: str
    budget: int
    stop: Rule | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What values.parquet says of it; `code` tells of a user's score, and is None where that has no source."""
        question = self.question
        return {
            "asked_method": self.method,
            "budget": self.budget,
            "stop": None if self.stop is None else repr(self.stop),
            "seed": question.seed,
            "run": question.run,
            "code": question.utilities_digest,
        }
