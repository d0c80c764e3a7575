"""What a crowd contributes to the tuning of a language model: every worker owns examples."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from typing import Any

from crowd_sim.errors import InputError


@dataclass(frozen=True)
class Example:
    """A prompt, and the response that the worker would have the model give to it."""

    prompt: str
    response: str


@dataclass(frozen=True)
class TextCrowd:
    """Everyone's examples, and the texts that show where the tuning should lead.

    Attributes:
        ids: name of each of the n workers, all different.
        examples: per worker, in the order of ``ids``, at least one example.
        target_texts: at least one; the target is the centroid of their Φ.
        elsewhere: texts of the same source about something else, which bad workers take from.
        asked: prompts for outputs where a configuration names none; empty: those of the examples.
        screened: whether screens have left examples out, so that a worker may have none.

    Raises:
        InputError: no worker, a repeated id, a worker without examples, or no target texts.
    """

    ids: tuple[str, ...]
    examples: tuple[tuple[Example, ...], ...]
    target_texts: tuple[str, ...]
    elsewhere: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    screened: bool = False

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.examples):
            raise ValueError(f"{len(self.ids)} ids for {len(self.examples)} workers")
        if not self.ids:
            raise InputError("contributions", None, "at least one worker is needed, there is none")
        worker, times = Counter(self.ids).most_common(1)[0]
        if times > 1:
            raise InputError("contributions", worker, "a worker's name must come only once")
        for worker, own in zip(self.ids, self.examples, strict=True):
            if not own and not self.screened:
                raise InputError("contributions", worker, "a worker needs at least one example, this one has none")
        if not self.target_texts:
            raise InputError("contributions", None, "at least one target text is needed, there is none")

    @property
    def n_workers(self) -> int:
        """How many workers there are."""
        return len(self.ids)

    @property
    def prompts(self) -> tuple[str, ...]:
        """Different prompts for outputs, where a configuration names none."""
        return self.asked or tuple(dict.fromkeys(example.prompt for own in self.examples for example in own))

    def of(self, rows: Sequence[int]) -> TextCrowd:
        """These workers only, in this order; the target stays."""
        return replace(self, ids=tuple(self.ids[r] for r in rows), examples=tuple(self.examples[r] for r in rows))

    def identity(self) -> Iterator[bytes]:
        """What tells this crowd from every other one."""
        told: dict[str, Any] = {"ids": self.ids, "target_texts": self.target_texts}
        told["examples"] = [[asdict(example) for example in own] for own in self.examples]
        if self.asked:
            told["asked"] = self.asked
        yield json.dumps(told, sort_keys=True).encode()

    def validation(self) -> tuple[Example, ...]:
        """The target's texts as responses, behind the prompts of `in_turn`, over and over."""
        own = self.in_turn()
        return tuple(Example(own[i % len(own)].prompt, text) for i, text in enumerate(self.target_texts))

    def in_turn(self) -> tuple[Example, ...]:
        """All examples: everyone's first in the order of the workers, then everyone's second, and so on.

        It undoes a round-robin deal: of `crowd_sim.crowd.sources.goemotions.read_neighbours` the first m are the nearest m.
        """
        turns = zip_longest(*self.examples)
        return tuple(example for turn in turns for example in turn if example is not None)
