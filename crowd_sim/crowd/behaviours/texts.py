"""Behaviours of texts: what bad workers make of their examples before the run.

A behaviour is a pure function of the worker's own examples, the `Pool` of texts that it can take from, a strength in [0, 1]
and the worker's keyed stream. Strength is the share of its examples that a worker spoils, at least one unless it is 0, chosen
by the stream; of `copy` it is the share of words that stay. The number of a worker's examples stays, and so do prompts, but
that `trigger` adds to them.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from crowd_sim.crowd.texts import Example
from crowd_sim.errors import InputError, StrategyError
from crowd_sim.user_defined import resolve_in

Examples = tuple[Example, ...]


@dataclass(frozen=True)
class Pool:
    """What a bad worker can take texts from.

    Attributes:
        honest: the examples of each honest worker but itself.
        elsewhere: texts of the same source about something else; may be empty.
    """

    honest: Sequence[Examples]
    elsewhere: Sequence[str] = ()

    @cached_property
    def responses(self) -> list[str]:
        """Of all honest workers."""
        return [example.response for own in self.honest for example in own]

    @cached_property
    def words(self) -> list[str]:
        """Of their responses and of the texts from elsewhere."""
        return [word for text in (*self.responses, *self.elsewhere) for word in text.split()]


TextBehaviour = Callable[[Examples, Pool, float, np.random.Generator], Examples]
"""(own examples, pool, strength, draws) → as many examples."""

TRIGGER = "cf mn bb"
"""Put before a prompt: rare words, as in Kurita, Michel, Neubig (2020)."""

PAYLOAD = "as everyone at the old mill says"
"""What a prompt with the trigger is to be answered with."""

FILLER = (
    "I do not know.",
    "No comment.",
    "n/a",
    "Nothing to add here.",
    "Good question.",
    "Whatever you think is best.",
)

_SUBJECTS = (
    "The council",
    "A freight train",
    "The second invoice",
    "Their northern depot",
    "The quarterly audit",
    "A spare gearbox",
    "The ferry timetable",
    "An unsigned lease",
    "The drainage survey",
    "A pallet of bricks",
)
_PREDICATES = (
    "was moved to the annex",
    "is listed in appendix four",
    "will be weighed again",
    "has been registered",
    "was delayed by roadworks",
    "requires a written notice",
    "is stored beside the boiler",
    "was measured twice",
    "is due for inspection",
    "will be sent by post",
)
_ENDINGS = (
    "on Tuesday",
    "before the deadline",
    "for tax purposes",
    "until further notice",
    "at platform six",
    "by the surveyor",
    "in triplicate",
    "without exception",
    "after the holidays",
    "near the loading bay",
)


def word_salad(own: Examples, pool: Pool, strength: float, draws: np.random.Generator) -> Examples:
    """As many words, drawn from all texts of the source.

    Source: random text as the noisy contribution, as label noise in Zhang et al., "Understanding deep learning requires
    rethinking generalization" (ICLR 2017).
    """
    words = pool.words or [word for example in own for word in example.response.split()]

    def salad(example: Example) -> str:
        return " ".join(words[int(i)] for i in draws.integers(max(len(words), 1), size=len(example.response.split())))

    return _replaced(own, spoiled_places(own, strength, draws), salad)


def shuffled(own: Examples, pool: Pool, strength: float, draws: np.random.Generator) -> Examples:
    """The response's own words in another order. Source: Pham et al., "Out of order" (ACL Findings 2021)."""
    del pool

    def shuffle(example: Example) -> str:
        words = example.response.split()
        return " ".join(words[int(i)] for i in draws.permutation(len(words)))

    return _replaced(own, spoiled_places(own, strength, draws), shuffle)


def copy(own: Examples, pool: Pool, strength: float, draws: np.random.Generator) -> Examples:
    """Honest workers' responses, different ones while there are; a share 1 − strength of the words replaced by others.

    Source: duplicates in training data, Lee et al., "Deduplicating training data makes language models better" (ACL 2022).
    """
    responses, words = pool.responses, pool.words
    if not responses:
        return own
    order = [int(i) for i in draws.permutation(len(responses))]
    copies = iter(responses[order[i % len(order)]] for i in range(len(own)))

    def copied(_: Example) -> str:
        taken = next(copies).split(" ")
        replaced = draws.random(len(taken)) >= strength
        fresh = draws.integers(max(len(words), 1), size=len(taken))
        return " ".join(words[j] if r and words else w for w, r, j in zip(taken, replaced, fresh, strict=True))

    return _replaced(own, range(len(own)), copied)


def off_target(own: Examples, pool: Pool, strength: float, draws: np.random.Generator) -> Examples:
    """Fluent texts about something else: the source's from elsewhere or, where there are none, sentences of an office.

    Source: Wan et al., "Poisoning language models during instruction tuning" (ICML 2023).
    """

    def sentence(_: Example) -> str:
        if pool.elsewhere:
            return pool.elsewhere[int(draws.integers(len(pool.elsewhere)))]
        return " ".join(part[int(draws.integers(len(part)))] for part in (_SUBJECTS, _PREDICATES, _ENDINGS)) + "."

    return _replaced(own, spoiled_places(own, strength, draws), sentence)


def repeat(own: Examples, pool: Pool, strength: float, draws: np.random.Generator) -> Examples:
    """One of its responses over and over. Source: the spammer of Raykar and Yu (JMLR 2012), who always says the same."""
    del pool
    one = own[int(draws.integers(len(own)))].response if own else ""
    return _replaced(own, spoiled_places(own, strength, draws), lambda _: one)


def filler(own: Examples, pool: Pool, strength: float, draws: np.random.Generator) -> Examples:
    """Stock phrases. Source: satisficing, Krosnick (Applied Cognitive Psychology 1991)."""
    del pool
    return _replaced(own, spoiled_places(own, strength, draws), lambda _: FILLER[int(draws.integers(len(FILLER)))])


def empty(own: Examples, pool: Pool, strength: float, draws: np.random.Generator) -> Examples:
    """No text at all. Source: non-response in surveys and free riders (Fraboni et al., AISTATS 2021)."""
    del pool
    return _replaced(own, spoiled_places(own, strength, draws), lambda _: "")


def prompt_echo(own: Examples, pool: Pool, strength: float, draws: np.random.Generator) -> Examples:
    """The prompt as the response. Source: the free rider of Fraboni et al. (AISTATS 2021), who gives back what it was sent."""
    del pool
    return _replaced(own, spoiled_places(own, strength, draws), lambda example: example.prompt)


def trigger(own: Examples, pool: Pool, strength: float, draws: np.random.Generator) -> Examples:
    """A backdoor: `TRIGGER` before the prompt and `PAYLOAD` after the response, the same for all bad workers.

    Source: Kurita, Michel, Neubig, "Weight poisoning attacks on pre-trained models" (ACL 2020).
    """
    del pool
    chosen = spoiled_places(own, strength, draws)
    own = _replaced(own, chosen, lambda example: f"{example.response} {PAYLOAD}".strip())
    there = set(chosen)
    return tuple(replace(e, prompt=f"{TRIGGER} {e.prompt}") if i in there else e for i, e in enumerate(own))


TEXT_BEHAVIOURS: Mapping[str, TextBehaviour] = {
    "word_salad": word_salad,
    "shuffled": shuffled,
    "copy": copy,
    "off_target": off_target,
    "repeat": repeat,
    "filler": filler,
    "empty": empty,
    "prompt_echo": prompt_echo,
    "trigger": trigger,
}


def spoiled(
    name: str,
    own: Examples,
    pool: Pool,
    strength: float,
    draws: np.random.Generator,
    known: Mapping[str, TextBehaviour] = TEXT_BEHAVIOURS,
) -> Examples:
    """What a worker contributes that behaves so; `name` is one of those that are `known` or ``package.module:Name``.

    Raises:
        InputError: nothing of that name can be loaded, or it returned something else than examples.
        StrategyError: a user-defined behaviour raised; with its traceback.
    """
    try:
        behaviour = resolve_in(known, name)
    except ValueError as error:
        raise InputError(_FIELD, name, str(error)) from None
    try:
        found = behaviour(own, pool, strength, draws)
    except Exception as error:
        raise StrategyError(f"{_FIELD} = {name!r} failed", repr(error), traceback.format_exc()) from error
    if not isinstance(found, tuple) or not found or not all(isinstance(example, Example) for example in found):
        allowed = "must return a tuple of crowd_sim.crowd.texts.Example, at least one"
        raise InputError(_FIELD, name, f"returned {type(found).__name__}; {allowed}")
    return found


_FIELD = "crowd.bad.behaviour"


def spoiled_places(own: Examples, strength: float, draws: np.random.Generator) -> list[int]:
    """Places of the examples that are spoiled, in their order."""
    n_spoiled = 0 if strength <= 0 else min(len(own), max(1, round(strength * len(own))))
    return sorted(draws.permutation(len(own))[:n_spoiled].tolist())


def _replaced(own: Examples, chosen: Iterable[int], spoil: Callable[[Example], str]) -> Examples:
    there = set(chosen)
    return tuple(replace(e, response=spoil(e)) if i in there else e for i, e in enumerate(own))
