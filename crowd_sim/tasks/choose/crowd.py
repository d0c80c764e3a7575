"""What a crowd says of choices or answers: examples to tune on, and items to judge by, which share no prompt and no text."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from crowd_sim.config import RunConfig
from crowd_sim.crowd.behaviours.labels import LABEL_BEHAVIOURS
from crowd_sim.crowd.sources.feedback import example_answers, example_pairs
from crowd_sim.crowd.sources.layouts import Answer, Label, Pair, Row, read_table
from crowd_sim.crowd.texts import Example, Item, TextCrowd
from crowd_sim.crowd.verifiers import Rule, check_answer
from crowd_sim.errors import InputError
from crowd_sim.files import fingerprint_of
from crowd_sim.tasks.imitate.participants import taking_part, with_bad

_GOLDEN = (5**0.5 - 1) / 2
_QUESTION = "Label this text as one of: {labels}.\n\n{text}"
LEAST_ITEMS = 2
"""Of selection and of report: one has no standard error."""


@dataclass(frozen=True)
class ChoiceCrowd:
    """A crowd and the items that its candidates are judged by.

    Attributes:
        texts: everyone's examples.
        selection, report: disjoint from the examples and from each other, by prompt and by text.
        expert: the trusted records of `task.expert`, as examples; they are the selection's items, then.
        labels: all that there are; empty for pairs.
        ties: rows that prefer nothing and are left out.
    """

    texts: TextCrowd
    selection: tuple[Item, ...]
    report: tuple[Item, ...]
    expert: tuple[Example, ...] = ()
    labels: tuple[str, ...] = ()
    ties: int = 0

    def items_of(self, worker: int) -> tuple[Item, ...]:
        """What a worker contributes, with its choice for the right one."""
        return tuple(
            Item(e.prompt, (e.response, e.rival), 0, e.before)
            if e.rival is not None
            else Item(e.prompt, self.labels, self.labels.index(e.response), e.before)
            for e in self.texts.examples[worker]
        )

    def identity(self) -> Iterator[bytes]:
        """What tells this crowd and these items from every other."""
        yield from self.texts.identity()
        yield fingerprint_of(
            {"items": [[asdict(item) for item in part] for part in (self.selection, self.report)]}
        ).encode()


def load_choices(config: RunConfig) -> ChoiceCrowd:
    """The crowd of `classify`, `prefer` or `verify`; an item of the last has one choice, the answer.

    Items are those of the trusted file `crowd.target`, half for selection and half for the report; without it a share
    `crowd.held_out` of the crowd's own rows for either. With `task.expert` the selection's are its records, and all others are
    for the report. Rows that share a prompt or a text with an item are not trained on, and none that does with the expert's is
    an item of the report.

    Raises:
        InputError: what is wrong with a file, or too few rows.
    """
    crowd, kind = config.crowd, config.task.kind
    (rows, ties), (trusted, trusted_ties) = _given(config)
    expert, expert_ties = _rows(Path(config.task.expert), config) if config.task.expert is not None else _NOTHING
    together = _components([*rows, *trusted, *expert])
    n_items = len(rows) + len(trusted)
    experts = set(together[n_items:])
    # where the crowd is the expert itself, it has nobody else's records to be kept apart from
    kept_apart = set() if config.task.expert == crowd.path else experts
    judged = together[len(rows) : n_items] if trusted else together[: len(rows)]
    halves = 1 if expert else 2
    where = _dealt([c for c in judged if c not in experts], 1.0 if trusted else crowd.held_out * halves, halves)
    labels = tuple(sorted({row.said.label for row in rows if isinstance(row.said, Label)}))
    parts: tuple[list[Item], list[Item]] = ([], [])
    parts[0].extend(_item(row, labels, config) for row in expert)
    for row, component in zip(trusted or rows, judged, strict=True):
        if component in where:
            parts[where[component]].append(_item(row, labels, config))
    of_worker: dict[str, list[Example]] = {}
    for row, component in zip(rows, together[: len(rows)], strict=True):
        if component not in where and component not in kept_apart:
            of_worker.setdefault(row.worker, []).append(_example(row, labels, config))
    for name, part in zip(("selection", "report"), parts, strict=True):
        if len(part) < LEAST_ITEMS:
            field, value = ("crowd.target", crowd.target) if trusted else ("crowd.held_out", crowd.held_out)
            if expert and name == "selection":
                field, value = "task.expert", config.task.expert
            allowed = f"must leave at least {LEAST_ITEMS} items to the {name}, there are {len(part)}"
            raise InputError(field, value, allowed)
    if not of_worker:
        raise InputError("crowd.path", crowd.path, "must hold rows that share no prompt and no text with the items")
    if kind == "classify" and len(labels) < LEAST_ITEMS:
        raise InputError("crowd.path", crowd.path, f"must hold at least two labels, there is {labels[0]!r} alone")
    right = tuple(item.choices[item.right] for item in parts[0])
    texts = TextCrowd(tuple(of_worker), tuple(map(tuple, of_worker.values())), right)
    crowd_of = with_bad(texts.of(range(taking_part(texts, config))), config, LABEL_BEHAVIOURS)
    own = tuple(_example(row, labels, config) for row in expert)
    ties += trusted_ties + expert_ties
    of_labels = labels if kind == "classify" else ()
    return ChoiceCrowd(crowd_of, tuple(parts[0]), tuple(parts[1]), own, of_labels, ties)


_Rows = tuple[tuple[Row, ...], int]
"""Rows, and how many ties were left out."""
_NOTHING: _Rows = ((), 0)


def _given(config: RunConfig) -> tuple[_Rows, _Rows]:
    """The crowd's rows, and trusted ones."""
    crowd = config.crowd
    if crowd.source == "example_feedback":
        rows, trusted = example_pairs(str(crowd.target))
        return (rows, 0), (trusted, 0)
    if crowd.source == "example_answers":
        return (example_answers(), 0), _NOTHING
    shown = _rows(Path(crowd.target), config) if crowd.target is not None else _NOTHING
    return _rows(Path(str(crowd.path)), config), shown


def _rows(path: Path, config: RunConfig) -> _Rows:
    crowd, kind = config.crowd, config.task.kind
    table = read_table(path, crowd.records.columns, crowd.records.worker, crowd.records.others, crowd.separator)
    wanted = {"classify": "labels", "prefer": "pairs", "verify": "answers"}[kind]
    if table.kind != wanted:
        raise InputError("crowd.path", str(path), f"must hold {wanted} with task.kind={kind}, not {table.kind}")
    rule = Rule(config.task.verifier.kind)
    for row in table.rows:
        if isinstance(row.said, Answer):
            check_answer(rule, row.said.answer, row.place)
    return table.rows, table.ties


def _shared(row: Row) -> tuple[Hashable, ...]:
    """What a row must not have in common with one of another split."""
    said = row.said
    if isinstance(said, Label):
        return (("text", " ".join(said.item.split())),)
    if isinstance(said, Answer):
        return (said.prompt,)
    assert isinstance(said, Pair)  # noqa: S101 - of the kind that `_rows` lets through
    return (said.prompt, ("text", said.chosen), ("text", said.rejected))


def _components(rows: Sequence[Row]) -> list[int]:
    """For each row the first that is linked with it by prompts or texts in common."""
    parent = list(range(len(rows)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[Hashable, int] = {}
    for i, row in enumerate(rows):
        for shared in _shared(row):
            a, b = root(i), root(first.setdefault(shared, i))
            parent[max(a, b)] = min(a, b)
    return [root(i) for i in range(len(rows))]


def _dealt(components: Sequence[int], share: float, halves: int) -> dict[int, int]:
    """Of a share of the components, evenly spread, where each goes: 0 selection, 1 report, where all of one half go."""
    different = list(dict.fromkeys(components))
    n = round(share * len(different))
    # at places that wander: at fixed ones they would be some workers' alone
    chosen = [different[int((i + i * _GOLDEN % 1) * len(different) / n)] for i in range(n)]
    return {component: i % 2 if halves == 2 else 1 for i, component in enumerate(chosen)}


def _item(row: Row, labels: tuple[str, ...], config: RunConfig) -> Item:
    said = row.said
    if isinstance(said, Label):
        if said.label not in labels:
            raise InputError(row.place, said.label, f"label must be among the crowd's: {', '.join(labels)}")
        return Item(_question(said.item, labels, config), labels, labels.index(said.label))
    if isinstance(said, Answer):
        return Item(said.prompt.text, (said.answer,), 0, said.prompt.before)
    assert isinstance(said, Pair)  # noqa: S101 - of the kind that `_rows` lets through
    return Item(said.prompt.text, (said.chosen, said.rejected), 0, said.prompt.before)


def _example(row: Row, labels: tuple[str, ...], config: RunConfig) -> Example:
    said = row.said
    if isinstance(said, Label):
        return Example(_question(said.item, labels, config), said.label)
    if isinstance(said, Answer):
        return Example(said.prompt.text, said.answer, said.prompt.before)
    assert isinstance(said, Pair)  # noqa: S101 - of the kind that `_rows` lets through
    return Example(said.prompt.text, said.chosen, said.prompt.before, said.rejected)


def _question(text: str, labels: tuple[str, ...], config: RunConfig) -> str:
    before, after = (config.task.question or _QUESTION).replace("{labels}", ", ".join(labels)).split("{text}")
    return before + text + after
