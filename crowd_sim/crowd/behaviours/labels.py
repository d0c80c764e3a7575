"""Behaviours of those who judge: what bad workers make of their labels, or of the pairs that they prefer one side of.

Functions as those of `crowd_sim.crowd.behaviours.texts`, of examples whose response is the label or, with a rival, what the
worker prefers. Prompts stay. The labels that there are, are those of all honest workers and its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from crowd_sim.crowd.behaviours.texts import Examples, Pool, TextBehaviour, spoiled_places
from crowd_sim.crowd.texts import Example


def flip(own: Examples, pool: Pool, strength: float, draws: np.random.Generator) -> Examples:
    """The opposite of what it thinks: another label, drawn anew for each; the pair turned round."""
    there, labels = set(spoiled_places(own, strength, draws)), _labels(own, pool)

    def flipped(example: Example) -> Example:
        if example.rival is not None:
            return _turned(example)
        others = [label for label in labels if label != example.response]
        return replace(example, response=others[draws.integers(len(others))]) if others else example

    return tuple(flipped(e) if i in there else e for i, e in enumerate(own))


def spam(own: Examples, pool: Pool, strength: float, draws: np.random.Generator) -> Examples:
    """Without looking: one label for all, drawn for the worker; either side of a pair, by a coin."""
    there, labels = set(spoiled_places(own, strength, draws)), _labels(own, pool)
    label = labels[draws.integers(len(labels))]

    def spammed(example: Example) -> Example:
        if example.rival is not None:
            return _turned(example) if draws.integers(2) else example
        return replace(example, response=label)

    return tuple(spammed(e) if i in there else e for i, e in enumerate(own))


def collude(own: Examples, pool: Pool, strength: float, draws: np.random.Generator) -> Examples:
    """What all colluders have agreed on: of each label the next by the alphabet; of a pair a side by its texts."""
    there, labels = set(spoiled_places(own, strength, draws)), _labels(own, pool)

    def agreed(example: Example) -> Example:
        if example.rival is not None:
            sides = sorted((example.response, example.rival))
            first = hashlib.sha256("\0".join((example.prompt, *sides)).encode("utf-8", "surrogatepass")).digest()[0] % 2
            return replace(example, response=sides[first], rival=sides[1 - first])
        return replace(example, response=labels[(labels.index(example.response) + 1) % len(labels)])

    return tuple(agreed(e) if i in there else e for i, e in enumerate(own))


LABEL_BEHAVIOURS: Mapping[str, TextBehaviour] = {"flip": flip, "spam": spam, "collude": collude}


def _labels(own: Examples, pool: Pool) -> list[str]:
    return sorted({example.response for its in (own, *pool.honest) for example in its})


def _turned(example: Example) -> Example:
    return replace(example, response=str(example.rival), rival=example.response)
