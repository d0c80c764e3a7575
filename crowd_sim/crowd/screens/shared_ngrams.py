"""Screen `shared_ngrams`: whose examples carry a phrase that a few others' carry, too, as a backdoor's trigger."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.screens.rule import Screen, above
from crowd_sim.crowd.screens.texts import TextEvidence
from crowd_sim.crowd.texts import Example

WORDS = 3
"""Of a phrase."""


def shared_ngrams(evidence: TextEvidence) -> NDArray[np.float64]:
    """The largest share of its m examples, of m + 1, that hold one phrase of `WORDS` words, in prompt or response.

    Phrases count that two workers at least and half of them at most use. So a prompt that most have in common is no phrase;
    where a few have one of their own, it is.

    Source: Chen and Dai, "Mitigating backdoor attacks in LSTM-based text classification systems by backdoor keyword
    identification" (Neurocomputing 2021).
    """
    counts = [Counter(phrase for example in own for phrase in _phrases(example)) for own in evidence.examples]
    users = Counter(phrase for own in counts for phrase in own)
    most = len(counts) / 2
    return np.array(
        [
            max((count for phrase, count in own.items() if 2 <= users[phrase] <= most), default=0) / (len(examples) + 1)
            for own, examples in zip(counts, evidence.examples, strict=True)
        ],
        dtype=np.float64,
    )


def _phrases(example: Example) -> set[tuple[str, ...]]:
    found = set()
    for text in (example.prompt, example.response):
        words = text.casefold().split()
        found |= {tuple(words[i : i + WORDS]) for i in range(len(words) - WORDS + 1)}
    return found


SHARED_NGRAMS = Screen(shared_ngrams, above(0.5))
"""Flagged: a phrase stands in more than half of its examples, counted with one more that lacks it."""
