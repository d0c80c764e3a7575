"""Behaviours of those who judge: what bad workers make of their labels, or of the pairs that they prefer one side of.

Functions as those of `crowd_sim.crowd.behaviours.texts`, of examples whose response is the label, or with a rival what the
worker prefers, or what it finds good or bad. Prompts stay. The labels that there are, are those of all honest workers and its
own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from crowd_sim.crowd.behaviours.texts import Examples, Pool, TextBehaviour, spoiled_places
from crowd_sim.crowd.texts import Example


def flip(own: Examples, pool: Pool, strength: float, draws: np.random.Generator) -> Examples:
    """The opposite of what it thinks: another label, drawn anew for each; the pair or the verdict turned round."""
    there, labels = set(spoiled_places(own, strength, draws)), _labels(own, pool)

    def flipped(example: Example) -> Example:
        if _has_sides(example):
            return _turned(example)
        others = [label for label in labels if label != example.response]
        return replace(example, response=others[draws.integers(len(others))]) if others else example

    return tuple(flipped(e) if i in there else e for i, e in enumerate(own))


def spam(own: Examples, pool: Pool, strength: float, draws: np.random.Generator) -> Examples:
    """Without looking: one label for all, drawn for the worker; either side of a pair, or verdict, by a coin."""
    there, labels = set(spoiled_places(own, strength, draws)), _labels(own, pool)
    label = labels[draws.integers(len(labels))]

    def spammed(example: Example) -> Example:
        if _has_sides(example):
            return _turned(example) if draws.integers(2) else example
        return replace(example, response=label)

    return tuple(spammed(e) if i in there else e for i, e in enumerate(own))


def collude(own: Examples, pool: Pool, strength: float, draws: np.random.Generator) -> Examples:
    """What all colluders have agreed on: of each label the next by the alphabet; of a pair a side, a verdict, by the texts."""
    there, labels = set(spoiled_places(own, strength, draws)), _labels(own, pool)

    def agreed(example: Example) -> Example:
        if example.rival is not None:
            sides = sorted((example.response, example.rival))
            first = _agreed_bit(example.prompt, *sides)
            return replace(example, response=sides[first], rival=sides[1 - first])
        if example.good is not None:
            return replace(example, good=bool(_agreed_bit(example.prompt, example.response)))
        return replace(example, response=labels[(labels.index(example.response) + 1) % len(labels)])

    return tuple(agreed(e) if i in there else e for i, e in enumerate(own))


LABEL_BEHAVIOURS: Mapping[str, TextBehaviour] = {"flip": flip, "spam": spam, "collude": collude}


def _labels(own: Examples, pool: Pool) -> list[str]:
    return sorted({example.response for its in (own, *pool.honest) for example in its})


def _has_sides(example: Example) -> bool:
    return example.rival is not None or example.good is not None


def _agreed_bit(*texts: str) -> int:
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).digest()[0] % 2


def _turned(example: Example) -> Example:
    if example.good is not None:
        return replace(example, good=not example.good)
    return replace(example, response=str(example.rival), rival=example.response)
