"""Successive halving of a round's candidates (Jamieson, Talwalkar 2016, arXiv 1502.07943).

All candidates get a part of the training, the worse half leaves, the others go on. Each part costs the same, and all together
what tuning every candidate to the end would: the round's examples times the epochs, whatever the number of candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nextafter

from crowd_sim.crowd.texts import Example
from crowd_sim.llm.judging import Judge, mean_and_se
from crowd_sim.llm.services import Learners
from crowd_sim.models.adapters import Adapter
from crowd_sim.models.lora import Judged, Tuning
from crowd_sim.models.tuning import Key


@dataclass(frozen=True, eq=False)
class Survival:
    """K candidates after their last parts.

    Attributes:
        adapters: as they were when they left, or at the end.
        scores, errors: means of their last outputs' scores and standard errors. NaN where tuning diverged.
        standing: what selection ranks them by: their scores, but each below those of all who stayed longer.
        tokens: trained by each.
        tokens_generated: by all.
    """

    adapters: list[Adapter]
    scores: list[float]
    errors: list[float]
    standing: list[float]
    tokens: list[int]
    tokens_generated: int


def halving(
    learners: Learners,
    model: Adapter,
    groups: Sequence[tuple[Example, ...]],
    keys: Sequence[Key],
    epochs: int,
    judge: Judge,
    judged: Callable[[Sequence[Adapter], Sequence[Key]], list[Judged]],
) -> Survival:
    """Tune K candidates from `model` on their groups' examples, the worse half leaving after each part.

    Optimisers start anew with each part, in which a candidate meets its examples in another order.
    """
    adapters = [model] * len(groups)
    scores, errors, tokens = [0.0] * len(groups), [0.0] * len(groups), [0] * len(groups)
    generated = 0
    left: list[list[int]] = []
    alive = list(range(len(groups)))
    n_parts = max(1, (len(groups) - 1).bit_length())
    share = epochs * sum(learners.count(groups)) // n_parts
    for part in range(n_parts):
        own = [_of_part(keys[k], part) for k in alive]
        jobs = [Tuning(adapters[k], groups[k], key, share // len(alive)) for k, key in zip(alive, own, strict=True)]
        for k, tuned in zip(alive, learners.tune(jobs), strict=True):
            adapters[k] = tuned.adapter
            tokens[k] += tuned.n_tokens
        for k, outputs in zip(alive, judged([adapters[k] for k in alive], own), strict=True):
            scores[k], errors[k] = mean_and_se(judge.scores(outputs.vectors))
            generated += outputs.n_tokens
        alive = [k for k in alive if isfinite(scores[k])]  # those whose tuning diverged leave at once
        if not alive:
            break
        if part < n_parts - 1:
            ordered = sorted(alive, key=lambda k: -scores[k])
            alive = sorted(ordered[: (len(ordered) + 1) // 2])
            left.append([k for k in ordered if k not in alive])
    standing = list(scores)
    lowest = min((scores[k] for k in alive), default=inf)
    for k in (k for gone in reversed(left) for k in gone):  # from the last who left to the first
        # below and not level with it: of equal scores the first group's would be ranked higher
        standing[k] = lowest = min(scores[k], nextafter(lowest, -inf))
    return Survival(adapters, scores, errors, standing, tokens, generated)


def _of_part(key: Key, part: int) -> Key:
    return Key(key.seed, key.run, key.round, key.number + (part << 16))
