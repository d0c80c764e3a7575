"""What outputs to the items of `verify` earn: the likeliest output to each prompt, held against its answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.crowd.texts import Item
from crowd_sim.crowd.verifiers import Rule, verifier_of
from crowd_sim.models.adapters import Adapter
from crowd_sim.models.generation import Sampling
from crowd_sim.models.jobs import OutputJob
from crowd_sim.models.training import Key
from crowd_sim.random import Purpose

_MOST_CONSTANT = 200
"""Constant outputs that are tried for the floor."""


def output_job(config: RunConfig, adapter: Adapter, items: Sequence[Item], key: Key, purpose: Purpose) -> OutputJob:
    """The likeliest output to each item's prompt."""
    sampling = Sampling(config.task.generation.max_new_tokens, 0.0)
    prompts, before = tuple(item.prompt for item in items), tuple(item.before for item in items)
    return OutputJob(adapter, prompts, key, purpose, sampling, before=before if any(before) else ())


def rewards_of(config: RunConfig, items: Sequence[Item], texts: Sequence[str]) -> NDArray[np.float64]:
    """float64[m], of an output to each item.

    Raises:
        InputError, StrategyError: of a user-defined verifier.
    """
    verifier = config.task.verifier
    verify = verifier_of(Rule(verifier.kind, verifier.pattern))
    pairs = zip(items, texts, strict=True)
    return np.array([float(verify(item.prompt, text, item.choices[0])) for item, text in pairs])


def floor_of(config: RunConfig, items: Sequence[Item], texts: Sequence[str]) -> float:
    """The highest mean reward of one output to all items: of the empty one, the answers and these texts."""
    tried = list(dict.fromkeys(["", *(item.choices[0] for item in items), *texts]))[:_MOST_CONSTANT]
    return max(float(rewards_of(config, items, [text] * len(items)).mean()) for text in tried)
