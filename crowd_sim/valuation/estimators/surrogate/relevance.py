"""The relevances of the surrogate's prior, learnt from what pairs are worth: where their `loss` is least."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from crowd_sim.elementary import exp, log
from crowd_sim.linear_algebra import product
from crowd_sim.valuation.estimators.surrogate.descent import least
from crowd_sim.valuation.estimators.surrogate.likelihood import FIRST_NOISE, LEAST_NOISE, Sample, log_sizes, loss
from crowd_sim.valuation.estimators.surrogate.prior import Known, Prior, Repeats

MOST_APART = 100  # players; of more, all have the same relevance
ENOUGH = 400  # pairs, from which on what is learnt is worth polishing

_APART, _ALIKE = 3.0, 1e3  # penalties on squares of log relevances less their mean; the other all but forbids to differ
_FREER = 1.0
_FIRST_RATE = 0.3
_NUGGET = -1.0, -23.0, 9.0  # logarithms, relative to the variance: the first guess, the least and the most
_FEWEST, _FEW, _MANY = 128, 256, 512  # pairs to learn from
_CALLS, _POLISHING = 20, 6  # of the loss in a stage
_GAIN, _POLISHED = 0.1, 0.3  # of the log likelihood, which the last step promises; the other at the end

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Learnt:
    """A prior that was learnt, and what to go on from with further features.

    Attributes:
        prior: what it is about.
        logs: the numbers that `loss` takes.
        apart: the penalty on what tells relevances apart.
    """

    prior: Prior
    logs: Vector
    apart: float


def learnt(
    signs: Vector,
    columns: Vector,
    worth: Vector,
    known: Known | None,
    *,
    linear: bool,
    repeats: Repeats | None = None,
    after: Learnt | None = None,
    polished: bool = False,
    freer: bool = False,
) -> Learnt:
    """The prior for ``worth`` float64[m] of the pairs ``signs`` [m, n] with trend ``columns`` [m, p].

    All relevances alike first, then each on its own, from the last few hundred pairs: fewer tell where to begin with more.

    Args:
        signs: of one coalition of each pair, in random order.
        columns: what is fitted without a prior.
        worth: of the pairs.
        known: further features.
        linear: whether there is a linear part; there is not where the trend has it.
        repeats: of a game with noise, whose variance is learnt too.
        after: where it begins, learnt of the same pairs without the last of the ``known`` features.
        polished: by a few steps with more pairs.
        freer: with relevances that are freer to differ than they were ``after``.
    """
    n, unit = signs.shape[1], float(np.abs(worth).max())
    worth = worth / unit
    parts = _parts(signs, known, linear=linear)
    at = np.append(log(np.array([_FIRST_RATE] * n + [FIRST_NOISE])), [0.0] * (1 + len(parts)))
    low = np.array([-9.0] * n + [float(log(LEAST_NOISE)), -0.5] + [-12.0] * len(parts))
    high = np.array([1.0] * n + [3.0, 2.5] + [6.0] * len(parts))
    if repeats is not None:
        at, low, high = np.append(at, _NUGGET[0]), np.append(low, _NUGGET[1]), np.append(high, _NUGGET[2])
    apart = _APART if n <= MOST_APART else _ALIKE
    if after is not None:
        apart = _FREER if freer else after.apart
    stages = [(_FEWEST if n <= MOST_APART else _FEW, _ALIKE, _CALLS)]
    if n <= MOST_APART:
        stages.append((_FEW, _APART, _CALLS))
    if after is not None:
        at[: len(after.logs)] = after.logs
        stages = [(_MANY, apart, _POLISHING) if polished else (_FEW, apart, _CALLS)]
    for count, penalty, calls in stages:
        some, m = slice(-count, None), min(count, len(worth))
        chosen = [part[some] for part in parts]
        sample = Sample(
            signs=signs[some],
            columns=columns[some],
            worth=worth[some],
            grams=np.array([product(part, np.ascontiguousarray(part.T)) for part in chosen]).reshape(-1, m, m),
            apart=penalty,
            room=np.empty((4, m, m)),
            repeats=None if repeats is None else repeats.only(some, unit),
        )
        at = least(partial(loss, sample=sample), at, low, high, calls, _POLISHED if polished else _GAIN)
        if penalty == _ALIKE:
            at[:n] = at[:n].mean()
    noise, power = at[n : n + 2]
    nugget, variances = 0.0, exp(at[n + 2 :]).tolist()
    if repeats is not None:
        nugget = variances.pop()
    prior = Prior(
        rates=exp(at[:n]),
        spread=exp(-power * log_sizes(n)),
        linear=variances[0] if linear else 0.0,
        noise=float(exp(noise)) + LEAST_NOISE * sum(variances),
        known=known,
        variances=tuple(variances[1:] if linear else variances),
        nugget=nugget,
    )
    return Learnt(prior, at, apart)


def _parts(signs: Vector, known: Known | None, *, linear: bool) -> list[Vector]:
    """The features of the pairs ``signs`` [m, n], by the variance that they share."""
    own = [np.sqrt(1.0 / signs.shape[1]) * signs] if linear else []
    return own if known is None else [*own, *known.features(signs)]
