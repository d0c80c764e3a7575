"""Shapley values of many players: short chains of coalitions in strata of sizes, and what players are alike in.

What a player adds to a coalition often depends most on its size: early members of a coverage game add much, later ones next to
nothing, and of twenty permutations of 10,000 players hardly any has a given player early. So the sizes are cut into strata, and
a chain adds a few players one by one to a random coalition of a size of its stratum. It knows, as a pair of permutations does,
of v only the odd part d(S) = (v(S) − v(N∖S)) / 2, so that additive and quadratic games are exact.

What player i adds in stratum b is μ_b + u_bi + noise. The covariance T of u over the strata and the noise's variances are
learnt from players who are measured twice in all strata; they say which strata to measure in for everybody, and what a
measurement in one tells about the others: the best linear prediction of the value (Henderson, Biometrics 1975), with its error.

Where the players' features are given, μ_b is what they tell (`from_features`), and u what they do not: each player is predicted
by a fit that has not seen it, so that u is no smaller than it is. Then not everybody has to be measured.

Where everybody is measured, a larger budget asks for nearly all that a smaller one has: who is measured twice is a step of a
ladder, and a chain's draws depend on its stratum, turn and place alone. Stages then cost little more than the last one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.linear_algebra import eigenvectors, pseudo_inverse
from crowd_sim.random import Purpose
from crowd_sim.valuation.complements import with_complements
from crowd_sim.valuation.estimators.from_features import predicted
from crowd_sim.valuation.once import once
from crowd_sim.valuation.request import Request, chunk_rows
from crowd_sim.valuation.result import ShapleyResult, widening
from crowd_sim.valuation.shuffle import shuffle

FEWEST_PLAYERS = 50
_RATIO = 3  # of a stratum's last size to its first
_LONGEST = 128  # chain
_PILOT = 0.2  # share of the budget
_FAR = 10.0  # from the median, in units of the median deviation, is who is like no others
_APART = 0.15  # share of the budget for them, at most
_AGAIN, _FEWEST_SURVEYED = 0.3, 50  # of a few players: share measured twice, and the fewest
_TURNS = 8  # measurements of each of them in every stratum
_LADDER = [step << k for k in range(32) for step in (16, 24)]  # of how many are measured twice
_GOLDEN, _ROOT = 0x9E3779B97F4A7C15, 0x6A09E667F3BCC908  # 2^64 times the fractions of the golden ratio and of √2
_A_SWEEPS_ORDER, _A_SWEEPS_CHAIN, _ALONE = 1, 2, 3  # kinds of streams, besides orders of all players
_NOTHING = 1e-18  # variances, one to the other, whose ratio is rounding
_COMMON = 0.5  # share of a measurement's variance that is alike for all players, at least
_ROUNDING = 8.0 * np.finfo(np.float64).eps

_Vector = NDArray[np.float64]
_Players = NDArray[np.int64]


def minimum_budget(n: int, *, featured: bool = False) -> int:
    """The smallest budget for n players; with their features, some have to be measured, else all."""
    everybody = 8 * n + 2000
    return min(everybody, 2 + 2 * math.ceil(_FEWEST_SURVEYED * _survey_cost(_strata(n)))) if featured else everybody


def chains(request: Request) -> list[ShapleyResult]:
    """Values predicted from what players add at some sizes, with the standard errors of the prediction.

    Each game is valued by itself: where to measure is learnt from it.

    Raises:
        InputError: fewer than 50 players, or a budget below `minimum_budget`.
    """
    n = request.n_players
    if n < FEWEST_PLAYERS:
        raise InputError("method", "chains", f"takes at least {FEWEST_PLAYERS} players; this game has {n}")
    smallest = minimum_budget(n, featured=request.features is not None)
    if request.budget < smallest:
        raise InputError("budget", request.budget, f"must be at least {smallest} for chains with {n} players")
    return [_valued(request.only([g])) for g in range(len(request.games))]


@dataclass(frozen=True)
class _Stratum:
    """Additions to coalitions of the sizes ``low`` to ``high`` − 1; ``number`` counts from 0."""

    number: int
    low: int
    high: int

    @property
    def length(self) -> int:
        """Of a chain."""
        return min(self.high - self.low, _LONGEST)

    @property
    def cost(self) -> float:
        """Pairs of evaluations per addition: a chain has one coalition more, but the empty one is known."""
        return 1.0 + (1.0 / self.length if self.low else 0.0)


def _strata(n: int) -> list[_Stratum]:
    last, bounds = (n + 1) // 2, [0, 1]
    while bounds[-1] < last:
        bounds.append(min(_RATIO * bounds[-1], last))
    if len(bounds) > 3 and bounds[-1] - bounds[-2] < bounds[-2] - bounds[-3]:  # too short for one of its own
        del bounds[-2]
    return [_Stratum(b, low, high) for b, (low, high) in enumerate(itertools.pairwise(bounds))]


@dataclass(frozen=True, eq=False)
class _Chain:
    """``players`` join a random coalition of ``size`` others one by one; ``stream`` is that of its draws."""

    stratum: _Stratum
    size: int
    players: _Players
    stream: np.uint64


@dataclass(eq=False)
class _Seen:
    """What players added: by stratum and player how often, the sum, and the sum of squares, float64[B, n] each."""

    count: _Vector
    total: _Vector
    squares: _Vector
    largest: float

    @classmethod
    def nothing(cls, n_strata: int, n: int) -> _Seen:
        return cls(np.zeros((n_strata, n)), np.zeros((n_strata, n)), np.zeros((n_strata, n)), 0.0)

    def only(self, players: NDArray[np.bool_]) -> _Seen:
        """Of some players."""
        return _Seen(self.count[:, players], self.total[:, players], self.squares[:, players], self.largest)

    @property
    def mean(self) -> _Vector:
        """0 where there is nothing."""
        return self.total / np.maximum(self.count, 1.0)


def _valued(request: Request) -> ShapleyResult:
    n, strata = request.n_players, _strata(request.n_players)
    request, different = once(request)
    weights = np.array([2.0 * (s.high - s.low) / n for s in strata])
    ends = np.array([[False] * n, [True] * n])
    (answer,) = [u for _, u in request.utilities(request.admitted(lambda: iter([ends])))]
    total, pairs = float(answer[0, 1] - answer[0, 0]), (request.budget - 2) // 2
    if request.budget < minimum_budget(n):
        return _surveyed(request, strata, weights, total, pairs, different)
    seen, inner = _Seen.nothing(len(strata), n), strata[1:]
    everyone = np.arange(n)
    plan = _sweep(request, strata[0], everyone, 0)
    _measure(request, plan, total, seen)
    spent = _cost(plan)

    # those who are like no others are measured by themselves; of the rest some twice, from which it is learnt where to go on
    most = min(n // 50, int(_APART * pairs / (2 * _TURNS * len(inner))))
    apart = _like_no_others(seen.mean[0], most)
    rest = everyone[~apart]
    few = _step(min(len(rest), max(int(_PILOT * pairs / (2.0 * sum(stratum.cost for stratum in inner))), 2)), len(rest))
    order = _order(request, n, 0)
    people = order[~apart[order]][:few]
    plan = []
    for turn, stratum in itertools.product(range(_TURNS), inner):
        plan += _alone(stratum, everyone[apart], turn)
    for turn, stratum in itertools.product(range(2), inner):
        n_chains = 0
        for first, stop in itertools.pairwise([0, *(step for step in _LADDER if step < few), few]):
            found = _sweep(request, stratum, people[first:stop], turn, n_chains)
            n_chains += len(found)
            plan += found
    _measure(request, plan, total, seen)
    spent += _cost(plan)

    sweeps = _allocated(
        strata, weights, *_learnt(seen.only(~apart), _expected(request, seen, ~apart)), len(rest), pairs - spent
    )
    plan = []
    for stratum, wanted in zip(inner, sweeps[1:], strict=True):
        for turn in range(2, 2 + math.ceil(wanted)):
            order = _shuffled(request, everyone, _stream(_A_SWEEPS_ORDER, turn, stratum.number, 0))
            some = order[~apart[order]][: round(min(wanted + 2 - turn, 1.0) * len(rest))]
            plan += _chained(stratum, some, turn)
    while spent + _cost(plan) > pairs:
        plan.pop()
    _measure(request, plan, total, seen)
    values, variance = np.empty(n), np.empty(n)
    told = _expected(request, seen, ~apart)
    values[~apart], variance[~apart] = _predicted(seen.only(~apart), told, weights)
    values[apart], variance[apart] = _by_themselves(seen.only(apart), weights)
    return _result(values, variance, total, seen, different(2 + 2 * (spent + _cost(plan))))


def _result(values: _Vector, variance: _Vector, total: float, seen: _Seen, cost: int) -> ShapleyResult:
    # what the values lack to their sum is not known of any player: a few may have most of it, and nobody has seen them; of a
    # vote that was never decided it is everything
    shift = (total - values.sum()) * (variance / variance.sum() if variance.any() else 1.0 / len(values))
    error = np.sqrt(variance + shift**2 + (_ROUNDING * max(seen.largest, abs(total))) ** 2)
    return ShapleyResult(values + shift, error, cost, "chains")


def _survey_cost(strata: Sequence[_Stratum]) -> float:
    """Pairs of evaluations a player: in the first stratum once, in the others once, and again for the share of them."""
    return 1.0 + (1.0 + _AGAIN) * sum(stratum.cost for stratum in strata[1:])


def _surveyed(
    request: Request,
    strata: Sequence[_Stratum],
    weights: _Vector,
    total: float,
    pairs: int,
    different: Callable[[int], int],
) -> ShapleyResult:
    """Of a budget too small to measure everybody: some are, a part of them twice, and features tell of the others."""
    n = request.n_players
    people = _order(request, n, 0)[: int(pairs / _survey_cost(strata)) + 1]
    plan: list[_Chain] = []
    while not plan or _cost(plan) > pairs:
        people, plan = people[:-1], []
        for turn, some in enumerate((people, people[: int(_AGAIN * len(people))])):
            for stratum in strata[turn:]:
                plan += _sweep(request, stratum, some, turn)
    seen = _Seen.nothing(len(strata), n)
    _measure(request, plan, total, seen)
    told = _expected(request, seen, np.ones(n, dtype=np.bool_))
    values, variance = _predicted(seen, told, weights)
    return _result(values, variance, total, seen, different(2 + 2 * _cost(plan)))


def _expected(request: Request, seen: _Seen, players: NDArray[np.bool_]) -> _Vector:
    """What features tell of what some of the players add, by stratum: float64[B, k], beside the mean."""
    found = np.zeros((len(seen.count), int(players.sum())))
    if request.features is None:
        return found
    order = _order(request, request.n_players, 1)
    features, place = request.features[players], np.cumsum(players) - 1
    for b in range(len(found)):
        measured = order[players[order] & (seen.count[b, order] > 0)]
        found[b] = predicted(features, place[measured], seen.mean[b, measured])
    return found


def _like_no_others(first: _Vector, most: int) -> NDArray[np.bool_]:
    """bool[n], who adds to nobody much more or less than the others do; ``most`` of them at most."""
    off = np.abs(first - np.median(first))
    found = np.zeros(len(first), dtype=np.bool_)
    worst = np.argsort(-off, kind="stable")[:most]
    found[worst] = off[worst] > _FAR * np.median(off)
    return found


def _by_themselves(seen: _Seen, weights: _Vector) -> tuple[_Vector, _Vector]:
    """Values and variances of players from their own measurements alone; the first stratum's are exact."""
    values = (seen.mean * weights[:, None]).sum(axis=0)
    within = np.maximum(seen.squares - seen.count * seen.mean**2, 0.0) / np.maximum(seen.count - 1.0, 1.0)
    variance = (weights[1:, None] ** 2 * within[1:] / np.maximum(seen.count[1:], 1.0)).sum(axis=0)
    return values, variance * widening(_TURNS - 1.0) ** 2


def _cost(plan: Sequence[_Chain]) -> int:
    return sum(len(chain.players) + (chain.size > 0) for chain in plan)


def _order(request: Request, n: int, number: int) -> _Players:
    order = np.empty(n, dtype=np.int64)
    shuffle(*_key(request), np.uint64(number), n, order)
    return order


def _key(request: Request) -> tuple[np.uint64, np.uint64, np.uint64]:
    return np.uint64(request.seed), np.uint64(request.run), np.uint64(Purpose.CHAINS)


def _step(few: int, most: int) -> int:
    """The last step of the ladder that is no more than ``few``; ``few`` where it has none, or is all that there are."""
    return few if few == most else max((step for step in _LADDER if step <= few), default=few)


def _stream(kind: int, turn: int, stratum: int, place: int) -> np.uint64:
    """The number of a stream of draws."""
    return np.uint64(kind << 60 | turn << 32 | stratum << 24 | place)


def _shuffled(request: Request, people: _Players, stream: np.uint64) -> _Players:
    order = np.empty(len(people), dtype=np.int64)
    shuffle(*_key(request), stream, len(people), order)
    return people[order]


def _sweep(request: Request, stratum: _Stratum, people: _Players, turn: int, first: int = 0) -> list[_Chain]:
    """Chains in which each of some people joins once, of a turn that has ``first`` chains already."""
    order = _shuffled(request, people, _stream(_A_SWEEPS_ORDER, turn, stratum.number, first))
    return _chained(stratum, order, turn, first)


def _chained(stratum: _Stratum, people: _Players, turn: int, first: int = 0) -> list[_Chain]:
    """People in their order, cut into chains."""
    found = []
    for c, start in enumerate(range(0, len(people), stratum.length)):
        players = people[start : start + stratum.length]
        # chains shorter than the stratum are spread over it, however many they are (Weyl 1916), in every turn and stratum from
        # another place on: a player's measurements must not be of alike sizes
        room = stratum.high - stratum.low - len(players)
        place = ((first + c) * _GOLDEN + (64 * turn + stratum.number) * _ROOT) % 2**64
        offset = (place * (room + 1)) >> 64
        stream = _stream(_A_SWEEPS_CHAIN, turn, stratum.number, first + c)
        found.append(_Chain(stratum, stratum.low + offset, players, stream))
    return found


def _alone(stratum: _Stratum, people: _Players, turn: int) -> list[_Chain]:
    """A chain of its own for each of some people who were not chosen by chance; turns spread over the stratum's sizes."""
    size = stratum.low + int((turn + 0.5) / _TURNS * (stratum.high - stratum.low))
    return [
        _Chain(stratum, size, people[c : c + 1], _stream(_ALONE, turn, stratum.number, int(people[c])))
        for c in range(len(people))
    ]


def _measure(request: Request, plan: Sequence[_Chain], total: float, seen: _Seen) -> None:
    """Evaluate the chains and take what their players add into ``seen``."""
    n = request.n_players
    left = np.empty(0)
    waiting = iter(plan)
    for _, utilities in request.utilities(request.admitted(lambda: _rows(request, plan))):
        left = np.concatenate([left, 0.5 * utilities[0, ::2] - 0.5 * utilities[0, 1::2]])
        used = 0
        while (chain := next(waiting, None)) is not None:
            rows = len(chain.players) + (chain.size > 0)
            if used + rows > len(left):
                waiting = itertools.chain([chain], waiting)
                break
            odd = left[used : used + rows]
            used += rows
            seen.largest = max(seen.largest, float(np.abs(odd).max()))
            added = np.diff(odd) if chain.size else odd - np.append(-0.5 * total, odd[:-1])
            sizes = chain.size + np.arange(len(added))
            added = np.where(2 * sizes == n - 1, 0.5 * added, added)  # the middle size is its own complement's
            b = chain.stratum.number
            seen.count[b, chain.players] += 1.0
            seen.total[b, chain.players] += added
            seen.squares[b, chain.players] += added**2
        left = left[used:]


def _rows(request: Request, plan: Sequence[_Chain]) -> Iterator[NDArray[np.bool_]]:
    """The chains' coalitions, each followed by its complement, in chunks of whole chains."""
    n = request.n_players
    step = max(1, chunk_rows(n) // 2)
    some: list[NDArray[np.bool_]] = []
    count = 0
    for chain in plan:
        rows = np.zeros((len(chain.players) + (chain.size > 0), n), dtype=np.bool_)
        _fill(*_key(request), chain.stream, chain.size, chain.players, rows)
        some.append(rows)
        count += len(rows)
        if count >= step:
            yield with_complements(np.concatenate(some))
            some, count = [], 0
    if some:
        yield with_complements(np.concatenate(some))


@numba.njit(cache=True)
def _fill(
    seed: np.uint64,
    run: np.uint64,
    purpose: np.uint64,
    stream: np.uint64,
    size: int,
    players: NDArray[np.int64],
    out: NDArray[np.bool_],
) -> None:
    """The rows of a chain: ``size`` others, then the players one by one."""
    n = out.shape[1]
    row = np.zeros(n, dtype=np.bool_)
    if size > 0:
        order = np.empty(n, dtype=np.int64)
        shuffle(seed, run, purpose, stream, min(size + len(players), n), order)
        for player in players:
            row[player] = True  # for now: these are no others
        chosen = np.empty(size, dtype=np.int64)
        found = 0
        for other in order:
            if found < size and not row[other]:
                chosen[found] = other
                found += 1
        row[:] = False
        for other in chosen:
            row[other] = True
        out[0] = row
    for t in range(len(players)):
        row[players[t]] = True
        out[t + (1 if size > 0 else 0)] = row


def _learnt(seen: _Seen, told: _Vector) -> tuple[_Vector, _Vector]:
    """The covariance T float64[B, B] of what players add in the mean, and the variances float64[B] of a measurement.

    What features have ``told`` of it, float64[B, n], is no part of T.
    """
    n_strata, mean = len(seen.count), seen.mean
    again = np.maximum(seen.count - 1.0, 0.0).sum(axis=1)
    within = np.maximum(seen.squares - seen.count * mean**2, 0.0).sum(axis=1)
    noise = np.where(again > 0, within / np.maximum(again, 1.0), 0.0)
    mean = mean - told
    covariance = np.zeros((n_strata, n_strata))
    for a, b in itertools.combinations_with_replacement(range(n_strata), 2):
        both = (seen.count[a] > 0) & (seen.count[b] > 0)
        many = int(both.sum())
        if many > 1:
            x, y = mean[a, both], mean[b, both]
            found = float(((x - x.mean()) * (y - y.mean())).sum()) / (many - 1)
            if a == b:
                found -= noise[a] * float((1.0 / seen.count[a, both]).mean())
            covariance[a, b] = covariance[b, a] = found
    values, vectors = eigenvectors(covariance)
    scaled = vectors * np.sqrt(np.maximum(values, 0.0))
    found_all = (scaled[:, None, :] * scaled[None, :, :]).sum(axis=2)
    # what is not known of T counts as apart in every stratum: else it would promise more than it can know
    measured = np.maximum((seen.count > 0).sum(axis=1), 2)
    often = seen.count.sum(axis=1) / measured
    if (noise <= _NOTHING * found_all.diagonal()).all():  # additive, or quadratic: nothing is left to chance
        return found_all, noise
    unsure = np.sqrt(2.0 / measured) * (found_all.diagonal() + noise / np.maximum(often, 1.0))
    return found_all + np.diag(unsure), noise


def _left(covariance: _Vector, noise: _Vector, counts: _Vector, weights: _Vector) -> tuple[float, _Vector]:
    """The variance of a value after ``counts`` float64[B] measurements, and what the means float64[B] count in it."""
    pull, known = np.zeros(len(counts)), counts > 0
    prior = (covariance * weights).sum(axis=1)
    whole = float((prior * weights).sum())
    if not known.any():
        return whole, pull
    inner = covariance[known][:, known]
    inner = inner + np.diag(noise[known] / counts[known])
    pull[known] = (pseudo_inverse(inner) * prior[known]).sum(axis=1)
    return max(whole - float((pull * prior).sum()), 0.0), pull


def _allocated(
    strata: Sequence[_Stratum], weights: _Vector, covariance: _Vector, noise: _Vector, n: int, pairs: int
) -> list[float]:
    """How many sweeps over all players each stratum gets: one after the other, where it tells most for its price."""
    counts, spent = np.zeros(len(strata)), 0.0
    counts[0] = 1.0  # measured, and no chance in it
    while True:
        now = _left(covariance, noise, counts, weights)[0]
        gains = []
        for stratum in strata[1:]:
            counts[stratum.number] += 1.0
            gain = now - _left(covariance, noise, counts, weights)[0]
            counts[stratum.number] -= 1.0
            # where nothing seems to be gained the budget goes where the weight is
            gains.append((gain + 1e-12 * weights[stratum.number] * (now + 1e-300)) / stratum.cost)
        best = strata[1 + int(np.argmax(gains))]
        price = n * best.cost
        if spent + price > pairs:
            counts[best.number] += max(pairs - spent, 0.0) / price
            return [float(count) for count in counts]
        counts[best.number] += 1.0
        spent += price


def _predicted(seen: _Seen, told: _Vector, weights: _Vector) -> tuple[_Vector, _Vector]:
    """Values and their variances, float64[n] each."""
    covariance, noise = _learnt(seen, told)
    mean, n = seen.mean - told, seen.count.shape[1]
    centre = np.array([m[c > 0].mean() if (c > 0).any() else 0.0 for m, c in zip(mean, seen.count, strict=True)])
    patterns, which = np.unique(seen.count, axis=1, return_inverse=True)
    values, variance = np.empty(n), np.empty(n)
    apart = mean - centre[:, None]
    for p in range(patterns.shape[1]):
        rows = which.ravel() == p
        left, pull = _left(covariance, noise, patterns[:, p], weights)
        values[rows] = (pull[:, None] * apart[:, rows]).sum(axis=0)
        variance[rows] = left
    values = values + float((weights * centre).sum()) + (weights[:, None] * told).sum(axis=0)
    return values, variance * _unevenness(seen, noise, apart[0])


def _unevenness(seen: _Seen, noise: _Vector, first: _Vector) -> _Vector:
    """How many times as uncertain as the mean player each one is, float64[n]: those who add much to nobody, or little.

    What a player adds elsewhere varies more, mostly, the farther it is from others in ``first`` float64[n], the stratum without
    chance. By how much is a regression on the square of that, from the players who were measured twice, less its noise.
    """
    n = len(first)
    off, varying = np.square(first - first.mean()), noise > 0.0
    scale = float(off.mean())
    again = np.maximum(seen.count - 1.0, 0.0)[varying].sum(axis=0)
    if scale == 0.0 or (again > 0).sum() < 3:
        return np.ones(n)
    within = np.maximum(seen.squares - seen.count * seen.mean**2, 0.0)[varying] / noise[varying, None]
    some = again > 0
    weight, far, spread = again[some], off[some] / scale, within[:, some].sum(axis=0) / again[some]
    far, spread = (each - (weight * each).sum() / weight.sum() for each in (far, spread))
    whole = float((weight * far**2).sum())
    slope = float((weight * far * spread).sum()) / whole if whole else 0.0
    if slope <= 0.0:
        return np.ones(n)
    chance = float(np.square(weight * far * (spread - slope * far)).sum()) / whole**2
    slope = min(slope * max(1.0 - chance / slope**2, 0.0), 1.0 - _COMMON)
    return 1.0 + slope * (off / scale - 1.0)
