"""What is right where several workers judge one thing: what most of them say."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from crowd_sim.crowd.sources.layouts import Answer, Judgement, Label, Pair, Row
from crowd_sim.crowd.verifiers import Rule, meaning_of
from crowd_sim.tasks.choose.rows import subject


@dataclass(frozen=True)
class Majority:
    """What most of those say who judge one thing: a text, a pair, a response, a prompt.

    Attributes:
        right: of each row, whether it is the first of its thing that says so.
        things: how many there are.
        tied: those of which no answer has more workers than every other: nothing is right.
    """

    right: tuple[bool, ...]
    things: int
    tied: int


def majority_of(rows: Sequence[Row], rule: Rule) -> Majority:
    """By one vote a row: a worker has one row of a thing (`crowd_sim.tasks.choose.rows.read_rows`).

    Args:
        rows: of one kind.
        rule: of the verifier, which tells what is the same answer: 4 and 4.0 are one number.
    """
    votes: dict[Hashable, dict[Hashable, list[int]]] = {}
    for place, row in enumerate(rows):
        votes.setdefault(subject(row), {}).setdefault(_verdict(row, rule), []).append(place)
    right = [False] * len(rows)
    tied = 0
    for said in votes.values():
        first, *others = sorted(said.values(), key=len, reverse=True)
        if others and len(others[0]) == len(first):
            tied += 1
        else:
            right[first[0]] = True
    return Majority(tuple(right), len(votes), tied)


def _verdict(row: Row, rule: Rule) -> Hashable:
    said = row.said
    if isinstance(said, Label):
        return said.label
    if isinstance(said, Answer):
        return meaning_of(rule, said.answer)
    if isinstance(said, Judgement):
        return said.good
    assert isinstance(said, Pair)  # noqa: S101 - of the kinds that `read_rows` lets through
    return said.chosen
