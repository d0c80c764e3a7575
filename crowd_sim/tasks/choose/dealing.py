"""Which rows judge and which half of the judges they go to: draws keyed by the seed, even by label."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Linked:
    """Rows that share prompts or texts, so that they go together.

    Attributes:
        labels: how many items there are of each.
        workers: whose rows they are, each once.
    """

    labels: Counter[str]
    workers: tuple[str, ...]

    @property
    def stratum(self) -> tuple[str, ...]:
        """The labels, each once."""
        return tuple(sorted(self.labels))


def components(shared: Sequence[Iterable[Hashable]]) -> list[int]:
    """For each row, by what it shares with others, the first row that is linked with it."""
    parent = list(range(len(shared)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[Hashable, int] = {}
    for i, things in enumerate(shared):
        for thing in things:
            a, b = root(i), root(first.setdefault(thing, i))
            parent[max(a, b)] = min(a, b)
    return [root(i) for i in range(len(shared))]


def linked(numbers: Sequence[int], labels: Sequence[str | None], workers: Sequence[str]) -> dict[int, Linked]:
    """By the numbers of `components`, in their order, what is linked: a worker of each row, and the label of each item.

    A row without a label is no item; what is linked without any item is left out.
    """
    counts: defaultdict[int, Counter[str]] = defaultdict(Counter)
    whose: defaultdict[int, dict[str, None]] = defaultdict(dict)
    for number, label, worker in zip(numbers, labels, workers, strict=True):
        counts[number].update(() if label is None else (label,))
        whose[number][worker] = None
    return {number: Linked(own, tuple(whose[number])) for number, own in counts.items() if own}


def held_out(there: dict[int, Linked], share: float, draws: np.random.Generator) -> list[int]:
    """A share of what is linked: as near as can be the same of each label, and within it of each worker.

    A systematic sample with a random start (Madow 1949) of all in the order of labels and workers, otherwise at random. A
    worker is left something where an exchange within the label can do it.
    """
    ranked = _shuffled(there, draws)
    ordered = sorted(ranked, key=lambda number: (there[number].stratum, there[number].workers))
    n = round(share * len(ordered))
    start = draws.random()
    chosen = {ordered[min(int((i + start) * len(ordered) / n), len(ordered) - 1)] for i in range(n)}
    left = Counter(worker for number in ranked if number not in chosen for worker in there[number].workers)
    spare: defaultdict[tuple[str, ...], deque[int]] = defaultdict(deque)
    for number in ranked:
        if number not in chosen:
            spare[there[number].stratum].append(number)
    for number in [number for number in ranked if number in chosen]:
        own, others = there[number], spare[there[number].stratum]
        if all(left[worker] for worker in own.workers):
            continue
        while others and not all(left[worker] > 1 for worker in there[others[0]].workers):
            others.popleft()  # it is somebody's last
        if others:
            taken = others.popleft()
            chosen ^= {number, taken}
            left.subtract(there[taken].workers)
            left.update(own.workers)
    return [number for number in there if number in chosen]


def halved(chosen: Sequence[int], there: dict[int, Linked], draws: np.random.Generator) -> dict[int, int]:
    """The half of each, 0 or 1: at random, but so that both have as many items of each label, as far as that goes.

    The largest first, each goes where there is less of its labels so far, or else fewer items.
    """
    labels, sizes, where = (Counter[str](), Counter[str]()), [0, 0], {}
    for number in sorted(_shuffled(chosen, draws), key=lambda number: -there[number].labels.total()):
        own = there[number].labels
        load = [(sum(n * labels[half][label] for label, n in own.items()), sizes[half]) for half in (0, 1)]
        half = int(load[1] < load[0])
        labels[half].update(own)
        sizes[half] += own.total()
        where[number] = half
    return where


def _shuffled(numbers: Iterable[int], draws: np.random.Generator) -> list[int]:
    own = np.fromiter(numbers, dtype=np.int64)
    return [int(number) for number in own[draws.permutation(len(own))]]
