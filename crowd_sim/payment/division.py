"""Dividing a budget in proportion to scores, to the last unit.

**Two wishes that no division meets together.** Three equal workers cannot share a budget of 1 in binary fractions, or in
cents: either they are not paid equally, or the budget is not paid in full. Here equality comes first:

- the unit is the last binary place of the budget, so that it is a whole number of units, every pay is one, too, and their
  sums are exact in any order of adding;
- everyone first gets the whole units of their share, worked out in exact fractions;
- what is left goes out in single units, to all workers of one weight or to none of them, the largest fraction first.

So the pays sum to *exactly* the budget wherever some worker has a weight that nobody else has. Where nobody has, fewer units
than the smallest set of equal workers stay unpaid, and are told: the budget is then met to so many units in the last place.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from crowd_sim.elementary import exp, log


def raised(scores: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    """Weights float64[..., n] in [0, 1]: scores over the largest of their row, raised to a power; below 0 counts as 0.

    A row without a score above 0 tells nobody apart: all weigh 1.
    """
    kept = np.maximum(scores, 0.0)
    top = kept.max(axis=-1, keepdims=True)
    if power == 0.0:
        return np.ones_like(kept)
    shares = kept / np.where(top > 0.0, top, 1.0)
    weights = shares if power == 1.0 else exp(power * log(shares))
    return np.where(top > 0.0, weights, 1.0)


def divide(
    weights: NDArray[np.float64], budget: float, heads: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.float64], float]:
    """Pay float64[n] in proportion to weights, and what is left unpaid; see the module.

    Args:
        weights: float64[n], at least 0 and not all 0.
        budget: above 0.
        heads: int64[n], with how many accounts each shares its weight (itself among them); absent: 1 each.

    Returns:
        pays, multiples of the budget's last binary place that sum to it but for the rest; the rest.
    """
    unit = math.ulp(budget)
    total = int(budget / unit)
    heads = np.ones(len(weights), dtype=np.int64) if heads is None else heads
    pairs, members = np.unique(np.column_stack([weights, heads]), axis=0, return_inverse=True)
    exact = _whole_numbers(pairs[:, 0], pairs[:, 1].astype(np.int64))
    # equal shares may come of different pairs
    shares = sorted(set(exact))
    places = {share: place for place, share in enumerate(shares)}
    which = np.array([places[share] for share in exact])[members.ravel()]
    counts = np.bincount(which).tolist()
    whole = sum(share * count for share, count in zip(shares, counts, strict=True))
    divided = [divmod(share * total, whole) for share in shares]
    units = [number for number, _ in divided]
    left = total - sum(number * count for number, count in zip(units, counts, strict=True))
    payable = [place for place, share in enumerate(shares) if share > 0]
    order = sorted(payable, key=lambda place: (divided[place][1], place), reverse=True)
    while order := [place for place in order if counts[place] <= left]:
        for place in order:
            if counts[place] <= left:
                units[place] += 1
                left -= counts[place]
    return np.array(units, dtype=np.float64)[which] * unit, left * unit


def _whole_numbers(weights: NDArray[np.float64], heads: NDArray[np.int64]) -> list[int]:
    """Whole numbers in exactly the proportion of weights / heads."""
    parts, exponents = np.frexp(weights)
    numbers = np.ldexp(parts, 53).astype(np.int64).tolist()
    shifts = np.where(weights > 0.0, exponents - exponents[weights > 0.0].min(), 0).tolist()
    common = math.lcm(*set(heads.tolist()))
    factors = [common // head for head in heads.tolist()]
    return [(number << shift) * factor for number, shift, factor in zip(numbers, shifts, factors, strict=True)]
