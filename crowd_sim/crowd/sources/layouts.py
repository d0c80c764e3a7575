"""What the rows of a file say, told by their columns: who would have which answer, prefers what, or calls a text what.

A prompt may be a conversation: earlier turns and a system prompt are kept as such, in the order in which they were said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any, Literal

from crowd_sim.crowd.sources.identifiers import looks_like_identifiers
from crowd_sim.crowd.sources.records import Record
from crowd_sim.crowd.sources.tabular import read_rows
from crowd_sim.crowd.texts import Turn
from crowd_sim.errors import InputError

Kind = Literal["demonstrations", "pairs", "judgements", "ratings", "labels", "answers"]
Others = Literal["ignore", "keep", "refuse"]


@dataclass(frozen=True)
class Prompt:
    """What a response answers: the last thing that was said, and what had been said before."""

    text: str
    before: tuple[Turn, ...] = ()


@dataclass(frozen=True)
class Demonstration:
    """A response that the worker would have the model give."""

    prompt: Prompt
    response: str


@dataclass(frozen=True)
class Pair:
    """Two responses, of which the worker prefers the first."""

    prompt: Prompt
    chosen: str
    rejected: str


@dataclass(frozen=True)
class Judgement:
    """A response that the worker finds good or not."""

    prompt: Prompt
    response: str
    good: bool


@dataclass(frozen=True)
class Rating:
    """A response, and how good the worker finds it."""

    prompt: Prompt
    response: str
    rating: float


@dataclass(frozen=True)
class Label:
    """What a worker calls an item: a text, or the name of one."""

    item: str
    label: str


@dataclass(frozen=True)
class Answer:
    """A prompt whose right answer is known."""

    prompt: Prompt
    answer: str


Said = Demonstration | Pair | Judgement | Rating | Label | Answer


@dataclass(frozen=True)
class Row:
    """A row of a file.

    Attributes:
        place: of it, for errors.
        worker: whose it is.
        said: what it says.
        others: columns that the layout does not know; empty unless they are kept.
    """

    place: str
    worker: str
    said: Said
    others: Mapping[str, Any]


@dataclass(frozen=True)
class Layout:
    """A layout of columns.

    Attributes:
        kind: of what its rows say.
        needed: columns that tell it.
        optional: further ones that it knows.
        read: what a row says, None of a tie; raises InputError.
    """

    kind: Kind
    needed: tuple[str, ...]
    optional: tuple[str, ...]
    read: Callable[[Record], Said | None]


@dataclass(frozen=True)
class Table:
    """All rows of a file.

    Attributes:
        kind: of what they say.
        rows: in the file's order.
        named: whether a column says whose they are.
        ties: rows that are left out, as they prefer nothing.
    """

    kind: Kind
    rows: tuple[Row, ...]
    named: bool = True
    ties: int = 0


def read_table(
    path: Path,
    columns: Mapping[str, str] | None = None,
    worker: str | None = None,
    others: Others = "refuse",
    separator: str | None = None,
) -> Table:
    """Every row of a file, checked.

    Args:
        path: see `crowd_sim.crowd.sources.tabular.read_rows`.
        columns: the name here of columns that a layout knows by another name.
        worker: the column with each row's worker; None: `worker` if there is one, else every row is a worker of its own.
        others: what becomes of columns that the layout does not know.
        separator: of CSV; None: recognised.

    Raises:
        InputError: columns of no layout, or what is wrong with a row, with its place.
    """
    named = dict(columns or {})
    names = {"worker", *(name for layout in LAYOUTS.values() for name in (*layout.needed, *layout.optional))}
    for ours, theirs in named.items():
        if ours not in names:
            allowed = f"{ours!r} is a column of no layout; must be one of {', '.join(sorted(names))}"
            raise InputError(f"crowd.records.columns.{ours}", theirs, allowed)
    records = read_rows(path, separator=separator)
    renamed = {theirs: ours for ours, theirs in named.items()}
    present = set(records[0].values)
    for ours, theirs in named.items():
        if theirs not in present:
            raise InputError(f"crowd.records.columns.{ours}", theirs, f"must be a column: {', '.join(sorted(present))}")
    if worker is not None and worker not in present:
        raise InputError("crowd.records.worker", worker, f"must be a column: {', '.join(sorted(present))}")
    owner = worker or ("worker" if renamed.get("worker", "worker") in present else None)
    layout = layout_of({renamed.get(name, name) for name in present}, records[0].place)
    known = {*layout.needed, *layout.optional} | ({owner} if owner else set())
    rows, ties = [], 0
    for number, record in enumerate(records):
        values = {renamed.get(name, name): value for name, value in record.values.items()}
        own = Record(record.place, values)
        _check_columns(own, layout, owner, known, others)
        name = own.worker(owner) if owner else str(number)
        kept = {name: value for name, value in values.items() if name not in known} if others == "keep" else {}
        said = layout.read(own)
        if said is None:
            ties += 1
        else:
            rows.append(Row(record.place, name, said, kept))
    if not rows:
        raise InputError(str(path), None, f"at least one row that is no tie is needed, there are {ties} ties")
    return Table(layout.kind, tuple(rows), owner is not None, ties)


def layout_of(columns: set[str], place: str) -> Layout:
    """The layout of a row's columns.

    Raises:
        InputError: there is none.
    """
    for layout in LAYOUTS.values():
        if columns >= set(layout.needed):
            return layout
    known = "; ".join(", ".join(layout.needed) for layout in LAYOUTS.values())
    there = _listed(sorted(columns))
    split = (
        "crowd.separator names what stands between them" if len(columns) == 1 else "crowd.records.columns maps names"
    )
    raise InputError(place, None, f"the columns {there} are of no layout ({split}); one of these is needed: {known}")


def _listed(names: list[str], longest: int = 80) -> str:
    """Names in a row, cut where they are many."""
    text = ", ".join(names)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _check_columns(record: Record, layout: Layout, owner: str | None, known: set[str], others: Others) -> None:
    for name in (*layout.needed, *((owner,) if owner else ())):
        if name not in record.values:
            there = ", ".join(record.values) or "none"
            raise InputError(record.place, None, f"column {name!r} is missing; there are: {there}")
    if others == "refuse":
        for name in record.values:
            if name not in known:
                hint = (
                    f"; if it names the workers: crowd.records.worker={name}" if _may_name(name) and not owner else ""
                )
                allowed = (
                    f"unknown column{hint}; known here: {', '.join(sorted(known))}. "
                    "crowd.records.others=ignore allows more"
                )
                raise InputError(record.place, name, allowed)


def _may_name(column: str) -> bool:
    return looks_like_identifiers(column) or column.casefold() in ("author", "authors", "speaker", "writer")


def _messages(record: Record) -> Demonstration:
    return _demonstration(record, "messages", _turns(record, "messages", "role", "content", _ROLES))


def _sharegpt(record: Record) -> Demonstration:
    return _demonstration(record, "conversations", _turns(record, "conversations", "from", "value", _SHAREGPT))


def _demonstration(record: Record, key: str, turns: tuple[Turn, ...]) -> Demonstration:
    if len(turns) < 2 or turns[-1].role != "assistant" or turns[-2].role != "user":
        raise InputError(record.place, None, f"{key} must end with a turn of the user and one of the assistant")
    return Demonstration(Prompt(turns[-2].text, turns[:-2]), turns[-1].text)


_ROLES = {"system": "system", "user": "user", "assistant": "assistant"}
_SHAREGPT = {"system": "system", "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}


def _turns(record: Record, key: str, role: str, content: str, roles: Mapping[str, str]) -> tuple[Turn, ...]:
    turns = record.values[key]
    if isinstance(turns, str):  # as CSV has it
        raise InputError(record.place, None, f"{key} must be a list of turns, it is a text")
    if not isinstance(turns, list) or not turns:
        raise InputError(record.place, None, f"{key} must be a list of at least one turn")
    found: list[Turn] = []
    for number, turn in enumerate(turns):
        where = f"{key}.{number}"
        if not isinstance(turn, dict) or role not in turn or content not in turn:
            raise InputError(record.place, None, f"{where} must have {role} and {content}")
        who = turn[role]
        if who not in roles:
            raise InputError(record.place, who, f"{where}.{role} must be one of {', '.join(roles)}")
        text = Record(record.place, {f"{where}.{content}": turn[content]}).text(f"{where}.{content}")
        wanted = "user" if not found or found[-1].role != "user" else "assistant"
        if roles[who] != wanted and not (roles[who] == "system" and number == 0):
            raise InputError(record.place, who, f"{where}.{role} must be the {wanted}'s: turns take turns")
        found.append(Turn(roles[who], text))
    return tuple(found)


def _prompt(record: Record, key: str = "prompt") -> Prompt:
    """A text, or a list of turns that ends with the user's."""
    if not isinstance(record.values[key], list):
        system = record.values.get("system")
        before = (Turn("system", record.text("system")),) if system else ()
        return Prompt(record.text(key), before)
    turns = _turns(record, key, "role", "content", _ROLES)
    if turns[-1].role != "user":
        raise InputError(record.place, None, f"{key} must end with a turn of the user")
    return Prompt(turns[-1].text, turns[:-1])


def _response(record: Record, key: str) -> str:
    """A text, or a list of one turn, the assistant's."""
    value = record.values[key]
    if isinstance(value, list):
        if len(value) != 1 or not isinstance(value[0], dict) or value[0].get("role") != "assistant":
            raise InputError(record.place, None, f"{key} must be a text or one turn of the assistant")
        return Record(record.place, {key: value[0].get("content")}).text(key)
    return record.text(key)


def _prompted(key: str) -> Callable[[Record], Said]:
    return lambda record: Demonstration(_prompt(record), _response(record, key))


def _instruction(record: Record) -> Demonstration:
    given = record.values.get("input")
    text = record.text("instruction") + (f"\n\n{record.text('input')}" if given else "")
    return Demonstration(_prompt(Record(record.place, {**record.values, "prompt": text})), record.text("output"))


def _pair(record: Record) -> Pair:
    if "prompt" in record.values:
        pair = Pair(_prompt(record), _response(record, "chosen"), _response(record, "rejected"))
    else:
        pair = _implicit(record)
    if pair.chosen == pair.rejected:
        raise InputError(record.place, None, "chosen and rejected must differ")
    return pair


def _implicit(record: Record) -> Pair:
    """Two conversations that begin in the same way; of texts in the form `Human: … Assistant: …` the last answers differ."""
    if isinstance(record.values["chosen"], list) and isinstance(record.values["rejected"], list):
        sides = [_turns(record, key, "role", "content", _ROLES) for key in ("chosen", "rejected")]
        first, second = (
            _demonstration(record, key, turns) for key, turns in zip(("chosen", "rejected"), sides, strict=True)
        )
        if first.prompt != second.prompt:
            raise InputError(
                record.place, None, "chosen and rejected must be the same conversation up to the last turn"
            )
        return Pair(first.prompt, first.response, second.response)
    texts = [record.text("chosen"), record.text("rejected")]
    marks = [text.rfind(_ASSISTANT) for text in texts]
    if min(marks) < 0:
        allowed = f"a column prompt is needed, or texts with {_ASSISTANT.strip()!r} before their last answers"
        raise InputError(record.place, None, allowed)
    heads = {text[:mark] for text, mark in zip(texts, marks, strict=True)}
    if len(heads) > 1:
        raise InputError(record.place, None, "chosen and rejected must be the same conversation up to the last answer")
    turns = _dialogue(record, heads.pop())
    answers = [text[mark + len(_ASSISTANT) :].strip() for text, mark in zip(texts, marks, strict=True)]
    if not all(answers):
        raise InputError(record.place, None, "chosen and rejected must end with an answer")
    return Pair(Prompt(turns[-1].text, turns[:-1]), *answers)


_ASSISTANT, _HUMAN = "\n\nAssistant:", "\n\nHuman:"


def _dialogue(record: Record, text: str) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    for part in ("\n\n" + text.strip()).split(_HUMAN)[1:]:
        human, _, assistant = part.partition(_ASSISTANT)
        turns.append(Turn("user", human.strip()))
        if assistant.strip():
            turns.append(Turn("assistant", assistant.strip()))
    roles = [turn.role for turn in turns]
    if not turns or roles[-1] != "user" or any(a == b for a, b in pairwise(roles)):
        raise InputError(
            record.place, None, f"a conversation of {_HUMAN.strip()!r} and {_ASSISTANT.strip()!r} in turn is needed"
        )
    return tuple(turns)


_TIES = ("tie", "tie (bothbad)")


def _winner(record: Record) -> Pair | None:
    who = record.values["winner"]
    sides = {"a": 0, "b": 1, "model_a": 0, "model_b": 1}
    if isinstance(who, str) and who.strip().lower() in _TIES:
        return None
    if not isinstance(who, str) or who.strip().lower() not in sides:
        raise InputError(
            record.place, who, f"winner must be {', '.join(sides)}, or {' or '.join(_TIES)}, which is left out"
        )
    texts = [_response(record, "a"), _response(record, "b")]
    if texts[0] == texts[1]:
        raise InputError(record.place, None, "a and b must differ")
    first = sides[who.strip().lower()]
    return Pair(_prompt(record), texts[first], texts[1 - first])


_TRUE = {"true": True, "1": True, "yes": True, "good": True, "false": False, "0": False, "no": False, "bad": False}


def _judgement(record: Record) -> Judgement:
    value = record.values["label"]
    good = value if isinstance(value, bool) else _TRUE.get(str(value).strip().lower())
    if good is None:
        raise InputError(record.place, value, "label must be true or false")
    return Judgement(_prompt(record), _response(record, "completion"), good)


def _rating(record: Record) -> Rating:
    value = record.values["rating"]
    try:
        number = float(value) if not isinstance(value, bool) else float("nan")
    except (TypeError, ValueError):
        number = float("nan")
    if not isfinite(number):
        raise InputError(record.place, value, "rating must be a finite number")
    return Rating(_prompt(record), _response(record, "response"), number)


def _label(key: str) -> Callable[[Record], Said]:
    return lambda record: Label(record.name(key), record.label("label"))


def _answer(record: Record) -> Answer:
    return Answer(_prompt(record), record.name("answer"))


LAYOUTS = {
    "messages": Layout("demonstrations", ("messages",), (), _messages),
    "sharegpt": Layout("demonstrations", ("conversations",), (), _sharegpt),
    "a_b_winner": Layout("pairs", ("prompt", "a", "b", "winner"), ("system",), _winner),
    "chosen_rejected": Layout("pairs", ("chosen", "rejected"), ("prompt", "system"), _pair),
    "prompt_completion_label": Layout("judgements", ("prompt", "completion", "label"), ("system",), _judgement),
    "prompt_response_rating": Layout("ratings", ("prompt", "response", "rating"), ("system",), _rating),
    "prompt_response": Layout("demonstrations", ("prompt", "response"), ("system",), _prompted("response")),
    "prompt_completion": Layout("demonstrations", ("prompt", "completion"), ("system",), _prompted("completion")),
    "instruction_output": Layout("demonstrations", ("instruction", "output"), ("input", "system"), _instruction),
    "task_worker_label": Layout("labels", ("task", "worker", "label"), (), _label("task")),
    "text_label": Layout("labels", ("text", "label"), (), _label("text")),
    "prompt_answer": Layout("answers", ("prompt", "answer"), ("system",), _answer),
}
"""By name; of those whose columns are all there the first."""
