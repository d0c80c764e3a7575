"""What a crowd contributes to the tuning of a language model: every worker owns examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

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

    Raises:
        InputError: no worker, a repeated id, a worker without examples, or no target texts.
    """

    ids: tuple[str, ...]
    examples: tuple[tuple[Example, ...], ...]
    target_texts: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.examples):
            raise ValueError(f"{len(self.ids)} ids for {len(self.examples)} workers")
        if not self.ids:
            raise InputError("contributions", None, "at least one worker is needed, there is none")
        worker, times = Counter(self.ids).most_common(1)[0]
        if times > 1:
            raise InputError("contributions", worker, "a worker's name must come only once")
        for worker, own in zip(self.ids, self.examples, strict=True):
            if not own:
                raise InputError("contributions", worker, "a worker needs at least one example, this one has none")
        if not self.target_texts:
            raise InputError("contributions", None, "at least one target text is needed, there is none")

    @property
    def n_workers(self) -> int:
        """How many workers there are."""
        return len(self.ids)

    def of(self, rows: Sequence[int]) -> TextCrowd:
        """These workers only, in this order; the target stays."""
        return TextCrowd(tuple(self.ids[r] for r in rows), tuple(self.examples[r] for r in rows), self.target_texts)

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
