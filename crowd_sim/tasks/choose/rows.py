"""The rows of files of those who judge, as the task takes them: ratings and verdicts become pairs."""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from crowd_sim.config import RunConfig
from crowd_sim.crowd.sources.layouts import Answer, Judgement, Label, Pair, Prompt, Rating, Row, Table, read_table
from crowd_sim.crowd.verifiers import Rule, check_answer
from crowd_sim.errors import InputError

_WANTED = {"classify": "labels", "prefer": "pairs, ratings or judgements", "verify": "answers"}
GOOD, BAD = "good", "bad"
"""What a judgement says of a response."""


@dataclass(frozen=True)
class Rows:
    """What a file says.

    Attributes:
        rows: of one kind: labels, pairs, judgements or answers.
        remarks: lines about what was left out.
    """

    rows: tuple[Row, ...]
    remarks: tuple[str, ...] = ()


def read_rows(path: Path, field: str, config: RunConfig) -> Rows:
    """The rows of a file.

    Ratings, and judgements without the objective `kto`, become pairs: of all two responses of a prompt that one worker rates
    differently the higher rated is chosen (as InstructGPT has it of ranks, arXiv 2203.02155). Whose rows a file does not say
    is one voice if the file is trusted, and somebody else each time in the crowd's.

    Raises:
        InputError: what is wrong with a file, or rows of another kind.
    """
    crowd, kind = config.crowd, config.task.kind
    try:
        table = read_table(path, crowd.records.columns, crowd.records.worker, crowd.records.others, crowd.separator)
    except InputError as error:
        if error.field != "crowd.path":
            raise
        raise InputError(field, error.value, error.allowed) from None  # it is the crowd's in one case of three
    wanted = _WANTED[kind]
    if table.kind not in wanted:
        allowed = f"must hold {wanted} with task.kind={kind}, not {table.kind}"
        raise InputError(field, str(path), allowed)
    _check_once(table.rows)
    rule = Rule(config.task.verifier.kind)
    for row in table.rows:
        if isinstance(row.said, Answer):
            check_answer(rule, row.said.answer, row.place)
    if table.kind == "ratings" or (table.kind == "judgements" and config.task.objective != "kto"):
        return _paired(table, path, field)
    told = f"{field} = {path}: {table.ties} ties prefer nothing and are left out"
    return Rows(table.rows, (told,) if table.ties else ())


def shared(row: Row) -> tuple[Hashable, ...]:
    """What a row must not have in common with one of another split."""
    said = row.said
    if isinstance(said, Label):
        return (("text", " ".join(said.item.split())),)
    if isinstance(said, Answer):
        return (said.prompt,)
    if isinstance(said, Judgement):
        return (said.prompt, ("text", said.response))
    assert isinstance(said, Pair)  # noqa: S101 - of the kinds that `read_rows` lets through
    return (said.prompt, ("text", said.chosen), ("text", said.rejected))


def subject(row: Row) -> Hashable:
    """What a worker says something of: a text, a prompt, a pair whichever way round, a response."""
    said = row.said
    if isinstance(said, Pair):
        return said.prompt, frozenset((said.chosen, said.rejected))
    if isinstance(said, Judgement | Rating):
        return said.prompt, said.response
    return shared(row)


def label_of(row: Row) -> str:
    """What halves should have alike: the label, or whether a response is good; of others nothing."""
    if isinstance(row.said, Label):
        return row.said.label
    if isinstance(row.said, Judgement):
        return GOOD if row.said.good else BAD
    return ""


def check_alike(labels: Sequence[str], field: str, path: str | None) -> None:
    """Refuse labels that nobody can tell apart.

    Raises:
        InputError: names two.
    """
    seen: dict[str, str] = {}
    for label in labels:
        plain = "".join(c for c in unicodedata.normalize("NFKC", label) if unicodedata.category(c) != "Cf")
        other = seen.setdefault(" ".join(plain.split()), label)
        if other != label:
            raise InputError(field, path, f"must hold labels that can be told apart, not {other!a} and {label!a}")


def _check_once(rows: Sequence[Row]) -> None:
    said: dict[tuple[str, Hashable], str] = {}
    for row in rows:
        before = said.setdefault((row.worker, subject(row)), row.place)
        if before != row.place:
            allowed = f"is a worker who has judged the same before, at {before}: which of the two counts is not known"
            raise InputError(row.place, row.worker, allowed)


def _paired(table: Table, path: Path, field: str) -> Rows:
    voices: dict[tuple[str, Prompt], list[Row]] = {}
    for row in table.rows:
        assert isinstance(row.said, Judgement | Rating)  # noqa: S101 - of these kinds alone
        voice = "" if field != "crowd.path" and not table.named else row.worker
        voices.setdefault((voice, row.said.prompt), []).append(row)
    pairs, ties = [], 0
    for own in voices.values():
        for two in combinations(own, 2):
            low, high = sorted(two, key=_worth)
            if _worth(low) == _worth(high):
                ties += 1
            else:
                pairs.append(_pair(high, low))
    if not pairs:
        unnamed = "" if table.named else "; whose the rows are, a column must say: crowd.records.worker"
        what = "rated differently" if table.kind == "ratings" else "of which one is good and one bad"
        kto = "" if table.kind == "ratings" else ", or task.objective must be kto"
        allowed = f"must hold two responses to a prompt, of one worker, that are {what}{kto}; there are none{unnamed}"
        raise InputError(field, str(path), allowed)
    told = f"{field} = {path}: {ties} pairs of responses are alike to those who rate them and left out"
    return Rows(tuple(pairs), (told,) if ties else ())


def _worth(row: Row) -> float:
    return row.said.rating if isinstance(row.said, Rating) else float(row.said.good)  # type: ignore[union-attr]


def _pair(high: Row, low: Row) -> Row:
    chosen, rejected = high.said, low.said
    assert isinstance(chosen, Judgement | Rating)  # noqa: S101 - of these kinds alone
    assert isinstance(rejected, Judgement | Rating)  # noqa: S101
    return replace(high, said=Pair(chosen.prompt, chosen.response, rejected.response))
