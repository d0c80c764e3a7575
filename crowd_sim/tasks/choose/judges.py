"""The rows that items are made of: which of them are right, what there is to remark, and why there may be too few."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

from crowd_sim.config import RunConfig
from crowd_sim.crowd.sources.layouts import Row
from crowd_sim.crowd.verifiers import Rule
from crowd_sim.tasks.choose.majority import Majority, majority_of
from crowd_sim.tasks.choose.rows import shared

LEAST_ITEMS = 2
"""Of selection and of report: one has no standard error."""
_THINGS = {"classify": "texts", "prefer": "pairs or responses", "verify": "prompts"}
_LONGEST = 30
"""Characters of a text that an error shows."""


@dataclass(frozen=True)
class Judges:
    """Rows that items are made of.

    Attributes:
        field, value: what in the configuration says so.
        rows: in the file's order.
        linked: of each the number of what it goes together with (`crowd_sim.tasks.choose.dealing.components`).
        most: what most say of the same.
    """

    field: str
    value: object
    rows: tuple[Row, ...]
    linked: Sequence[int]
    most: Majority

    @property
    def right(self) -> tuple[tuple[Row, int], ...]:
        """A row of everything that something is right of, and what it goes together with."""
        return tuple(compress(zip(self.rows, self.linked, strict=True), self.most.right))

    def remarks(self, kind: str) -> tuple[str, ...]:
        """A line about what nothing is right of."""
        return (f"{self.field} = {self.value}: {self._ties(kind)}",) if self.most.tied else ()

    def too_few(self, name: str, n: int, config: RunConfig) -> str:
        """That a part needs more items, why it has so few, and what would help."""
        said = f"must leave at least {LEAST_ITEMS} items to the {name}, there are {n}"
        reasons = [self._ties(config.task.kind)] if self.most.tied else []
        n_sets = len(set(self.linked))
        if n_sets < len(self.rows) and self.field != "task.expert":
            stock = self._stock() if config.task.kind == "prefer" else ""
            told = f"rows that share a prompt or a text go together, and {len(self.rows)} of them make {n_sets}{stock}"
            reasons.append(told + self._way_out(n_sets, config))
        return ": ".join([said, *(["; ".join(reasons)] if reasons else [])])

    def _ties(self, kind: str) -> str:
        tied, n = self.most.tied, self.most.things
        return f"workers are tied on {tied} of {n} {_THINGS[kind]}, which have no right answer and are no items"

    def _stock(self) -> str:
        """The response that most rows have in common."""
        responses = Counter(thing[1] for row in self.rows for thing in shared(row) if isinstance(thing, tuple))
        ((text, n),) = responses.most_common(1)
        return f" ({text if len(text) <= _LONGEST else text[: _LONGEST - 1] + '…'!r} is in {n})" if n > 1 else ""

    def _way_out(self, n_sets: int, config: RunConfig) -> str:
        if self.field == "crowd.target":
            return "" if config.task.expert else ". task.expert may name others, for the selection"
        if n_sets > LEAST_ITEMS * (1 if config.task.expert else 2):
            return ". A higher crowd.held_out may do"
        way = ". Name trusted records that share neither with them in crowd.target"
        return way + ", or take stock responses for labels (task.kind=classify)" * (config.task.kind == "prefer")


def judges_of(field: str, value: object, rows: Sequence[Row], linked: Sequence[int], rule: Rule) -> Judges:
    """Rows with what most say of the same; the rule is the verifier's."""
    return Judges(field, value, tuple(rows), linked, majority_of(rows, rule))
