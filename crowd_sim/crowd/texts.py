"""What a crowd contributes to the tuning of a language model: every worker owns examples."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from typing import Any

from crowd_sim.errors import InputError

LEAST_HELD_OUT = 2
"""Texts that must be held out at least: the spread of one is unknown."""
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Turn:
    """Something said in a conversation; `role` is system, user or assistant."""

    role: str
    text: str


@dataclass(frozen=True)
class Example:
    """A prompt, and the response that the worker would have the model give to it.

    Attributes:
        prompt, response: texts.
        before: what was said before the prompt.
        rival: the response that the worker prefers `response` to; None where there is none.
        good: whether the worker finds `response` good; None where it would have the model give it.
    """

    prompt: str
    response: str
    before: tuple[Turn, ...] = ()
    rival: str | None = None
    good: bool | None = None


@dataclass(frozen=True)
class Item:
    """A prompt with choices, of which one is right.

    Attributes:
        prompt, before: see `Example`.
        choices: responses.
        right: the number of one. Of a response that is judged by itself 0 where it is good, 1 where it is bad.
    """

    prompt: str
    choices: tuple[str, ...]
    right: int
    before: tuple[Turn, ...] = ()


@dataclass(frozen=True)
class TextCrowd:
    """Everyone's examples, and the texts that show where the tuning should lead.

    Attributes:
        ids: name of each of the n workers, all different.
        examples: per worker, in the order of ``ids``, at least one example.
        target_texts: at least one; the target is the centroid of their Φ.
        elsewhere: texts of the same source about something else, which bad workers take from.
        asked: prompts for outputs where a configuration names none; empty: those of the examples.
        held_out: examples of these workers' that nobody trains on; what outputs are compared with.
        screened: whether screens have left examples out, so that a worker may have none.

    Raises:
        InputError: no worker, a repeated id, a worker without examples, or no target texts.
    """

    ids: tuple[str, ...]
    examples: tuple[tuple[Example, ...], ...]
    target_texts: tuple[str, ...]
    elsewhere: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    held_out: tuple[Example, ...] = ()
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
        """Different prompts for outputs, where a configuration names none: those that nothing was said before."""
        own = (example.prompt for its in self.examples for example in its if not example.before)
        return self.asked or tuple(dict.fromkeys(own))

    @property
    def honest_texts(self) -> tuple[str, ...]:
        """Texts as outputs should be: those that were held out; without any, the target's."""
        return tuple(example.response for example in self.held_out) or self.target_texts

    def unseen(self) -> tuple[Example, ...]:
        """Examples of honest texts on which nobody trains, for a held-out loss; empty where everyone's are trained on."""
        trained = {example.response for own in self.examples for example in own}
        return tuple(example for example in self.held_out or self.validation() if example.response not in trained)

    def of(self, rows: Sequence[int]) -> TextCrowd:
        """These workers only, in this order; the target stays."""
        return replace(self, ids=tuple(self.ids[r] for r in rows), examples=tuple(self.examples[r] for r in rows))

    def identity(self) -> Iterator[bytes]:
        """What tells this crowd from every other one."""
        told: dict[str, Any] = {"ids": self.ids, "target_texts": self.target_texts}
        told["examples"] = [[_told(example) for example in own] for own in self.examples]
        if self.asked:
            told["asked"] = self.asked
        if self.held_out:
            told["held_out"] = [_told(example) for example in self.held_out]
        yield json.dumps(told, sort_keys=True).encode()

    def validation(self) -> tuple[Example, ...]:
        """The target's texts as responses, behind the prompts of `in_turn`, over and over."""
        own = self.in_turn()
        return tuple(replace(own[i % len(own)], response=text) for i, text in enumerate(self.target_texts))

    def in_turn(self) -> tuple[Example, ...]:
        """All examples: everyone's first in the order of the workers, then everyone's second, and so on.

        It undoes a round-robin deal: of `crowd_sim.crowd.sources.goemotions.read_neighbours` the first m are the nearest m.
        """
        turns = zip_longest(*self.examples)
        return tuple(example for turn in turns for example in turn if example is not None)


def _told(example: Example) -> dict[str, Any]:
    # what nobody said must not change the fingerprints of older folders
    told = {name: value for name, value in asdict(example).items() if name not in ("before", "rival", "good") or value}
    return told if example.good is None else told | {"good": example.good}


def hold_out(crowd: TextCrowd, share: float) -> TextCrowd:
    """The crowd without a share of its texts, evenly spread over `TextCrowd.in_turn`; those are held out from the target, too.

    A text that several workers wrote is held out from all of them.

    Raises:
        InputError: too few texts, or a worker would have none left.
    """
    own = crowd.in_turn()
    texts = list(dict.fromkeys(example.response for example in own))
    n = round(share * len(texts))
    if n < LEAST_HELD_OUT:
        allowed = f"must hold out at least {LEAST_HELD_OUT} texts; of the crowd's {len(texts)} these are {n}"
        raise InputError("crowd.held_out", share, allowed)
    # one of every so many, at places that wander: at fixed ones they would be some workers' alone
    chosen = {texts[int((i + i * _GOLDEN % 1) * len(texts) / n)] for i in range(n)}
    left = [tuple(example for example in its if example.response not in chosen) for its in crowd.examples]
    for worker, its in zip(crowd.ids, left, strict=True):
        if not its:
            allowed = f"must leave every worker an example, and worker {worker} would have none"
            raise InputError("crowd.held_out", share, allowed)
    held: dict[str, Example] = {}
    for example in own:
        if example.response in chosen:
            held.setdefault(example.response, example)
    target = tuple(text for text in crowd.target_texts if text not in chosen)
    if not target:
        raise InputError("crowd.held_out", share, "must be lower: no text of the target's would be left")
    return replace(crowd, examples=tuple(left), target_texts=target, held_out=tuple(held.values()))
