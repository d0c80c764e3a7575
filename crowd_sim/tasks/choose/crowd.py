"""What a crowd says of choices or answers: examples to tune on, and items to judge by, which share no prompt and no text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from crowd_sim.config import RunConfig
from crowd_sim.crowd.behaviours.labels import LABEL_BEHAVIOURS
from crowd_sim.crowd.sources.feedback import example_answers, example_labels, example_pairs
from crowd_sim.crowd.sources.layouts import Answer, Judgement, Label, Pair, Row
from crowd_sim.crowd.texts import Example, Item, TextCrowd
from crowd_sim.crowd.verifiers import Rule
from crowd_sim.errors import InputError
from crowd_sim.files import fingerprint_of
from crowd_sim.random import Purpose, generator
from crowd_sim.tasks.choose.dealing import components, halved, held_out, linked
from crowd_sim.tasks.choose.judges import LEAST_ITEMS, Judges, judges_of
from crowd_sim.tasks.choose.rows import BAD, GOOD, Rows, check_alike, label_of, read_rows, shared
from crowd_sim.tasks.imitate.participants import taking_part, with_bad

_QUESTION = "Label this text as one of: {labels}.\n\n{text}"


@dataclass(frozen=True)
class ChoiceCrowd:
    """A crowd and the items that its candidates are judged by.

    Attributes:
        texts: everyone's examples.
        selection, report: disjoint from the examples and from each other, by prompt and by text. An item each of what workers
            judge: what most of them say is right.
        expert: what is right by the trusted records of `task.expert`, as examples; they are the selection's items, then.
        labels: all that there are; empty for pairs.
        remarks: lines about items that are missing or left out, for those who look on.
    """

    texts: TextCrowd
    selection: tuple[Item, ...]
    report: tuple[Item, ...]
    expert: tuple[Example, ...] = ()
    labels: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def items_of(self, worker: int) -> tuple[Item, ...]:
        """What a worker contributes, with its choice for the right one."""
        return tuple(self._item_of(example) for example in self.texts.examples[worker])

    def _item_of(self, example: Example) -> Item:
        if example.good is not None:
            return Item(example.prompt, (example.response,), int(not example.good), example.before)
        if example.rival is not None:
            return Item(example.prompt, (example.response, example.rival), 0, example.before)
        return Item(example.prompt, self.labels, self.labels.index(example.response), example.before)

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
    an item of the report. What several judge, a text, a prompt, a pair, is one item, and right is what most of them say; where
    they are tied, it is none (`crowd_sim.tasks.choose.majority`). What is drawn is keyed by the seed
    (`crowd_sim.tasks.choose.dealing`).

    Raises:
        InputError: what is wrong with a file, too few rows, or items of one label only.
    """
    crowd, kind = config.crowd, config.task.kind
    rows, trusted, remarks = _given(config)
    found = Rows(()) if config.task.expert is None else read_rows(Path(config.task.expert), "task.expert", config)
    remarks = (*remarks, *found.remarks)
    if config.task.asks_rewards and any(isinstance(row.said, Judgement) for row in (*rows, *trusted, *found.rows)):
        allowed = "must ask no reward model (best_of_n, rloo), which is one of pairs, with judgements"
        raise InputError("task.baselines", list(config.task.baselines), allowed)
    together = components([shared(row) for row in (*rows, *trusted, *found.rows)])
    n_items = len(rows) + len(trusted)
    experts = set(together[n_items:])
    # where the crowd is the expert itself, it has nobody else's records to be kept apart from
    kept_apart = set() if config.task.expert == crowd.path else experts
    rule = Rule(config.task.verifier.kind)
    if trusted:
        judges = judges_of("crowd.target", crowd.target, trusted, together[len(rows) : n_items], rule)
    else:
        judges = judges_of("crowd.held_out", crowd.held_out, rows, together[: len(rows)], rule)
    expert = judges_of("task.expert", config.task.expert, found.rows, together[n_items:], rule)
    where = _dealt(config, judges, experts)
    labels = tuple(sorted({row.said.label for row in rows if isinstance(row.said, Label)}))
    check_alike(labels, "crowd.path", crowd.path)
    _check_known((*found.rows, *trusted), labels)
    parts: tuple[list[Item], list[Item]] = ([], [])
    parts[0].extend(_item(row, labels, config) for row, _ in expert.right)
    for row, component in judges.right:
        if component in where:
            parts[where[component]].append(_item(row, labels, config))
    of_worker: dict[str, list[Example]] = {}
    for row, component in zip(rows, together[: len(rows)], strict=True):
        if component not in where and component not in kept_apart:
            of_worker.setdefault(row.worker, []).append(_example(row, labels, config))
    if kind == "classify" and len(labels) < LEAST_ITEMS:
        raise InputError("crowd.path", crowd.path, f"must hold at least two labels, there is {labels[0]!r} alone")
    remarks += judges.remarks(kind) + expert.remarks(kind)
    for name, part, own in zip(("selection", "report"), parts, (expert if found.rows else judges, judges), strict=True):
        if name == "report" and not part and experts.issuperset(judges.linked):
            whose = "crowd.target's" if trusted else "crowd's"
            allowed = f"must hold texts of its own: all of the {whose} are among them, and none is left to the report"
            raise InputError("task.expert", config.task.expert, allowed)
        if len(part) < LEAST_ITEMS:
            raise InputError(own.field, own.value, own.too_few(name, len(part), config))
        remarks += _check_labels(own.field, own.value, name, part, kind)
    if not of_worker:
        raise InputError("crowd.path", crowd.path, "must hold rows that share no prompt and no text with the items")
    _check_workers(config, rows, of_worker)
    right = tuple(names_of(item, kind)[item.right] for item in parts[0])
    texts = TextCrowd(tuple(of_worker), tuple(map(tuple, of_worker.values())), right)
    crowd_of = with_bad(texts.of(range(taking_part(texts, config))), config, LABEL_BEHAVIOURS)
    shown = tuple(_example(row, labels, config) for row, _ in expert.right)
    named = labels if kind == "classify" else ()
    return ChoiceCrowd(crowd_of, tuple(parts[0]), tuple(parts[1]), shown, named, remarks)


def _given(config: RunConfig) -> tuple[tuple[Row, ...], tuple[Row, ...], tuple[str, ...]]:
    """The crowd's rows, trusted ones, and what there is to remark."""
    crowd = config.crowd
    if crowd.source == "example_feedback":
        return *example_pairs(str(crowd.target)), ()
    if crowd.source == "example_answers":
        return example_answers(), (), ()
    if crowd.source == "example_labels":
        return example_labels(), (), ()
    own = read_rows(Path(str(crowd.path)), "crowd.path", config)
    trusted = read_rows(Path(crowd.target), "crowd.target", config) if crowd.target is not None else Rows(())
    return own.rows, trusted.rows, (*own.remarks, *trusted.remarks)


def _dealt(config: RunConfig, judges: Judges, experts: set[int]) -> dict[int, int]:
    """Of what is linked, which is made of items, and whether these are for selection, 0, or for the report, 1."""
    labels = [label_of(row) if right else None for row, right in zip(judges.rows, judges.most.right, strict=True)]
    there = linked(judges.linked, labels, [row.worker for row in judges.rows])
    there = {number: own for number, own in there.items() if number not in experts}
    halves = 1 if config.task.expert is not None else 2
    draws = generator(config.seed, 0, Purpose.ITEMS)
    chosen = list(there)
    if config.crowd.held_out and chosen:
        chosen = held_out(there, config.crowd.held_out * halves, draws)
    return dict.fromkeys(chosen, 1) if halves == 1 else halved(chosen, there, draws)


def _check_known(rows: Sequence[Row], labels: Sequence[str]) -> None:
    """Refuse a trusted label that nobody of the crowd gives: no model could be right."""
    for row in rows:
        if isinstance(row.said, Label) and row.said.label not in labels:
            raise InputError(row.place, row.said.label, f"label must be among the crowd's: {', '.join(labels)}")


def _check_labels(field: str, value: object, name: str, part: Sequence[Item], kind: str) -> tuple[str, ...]:
    """Refuse items of one label, which would please who always says it; a remark on labels that no item has."""
    names = names_of(part[0], kind)
    there = {item.right for item in part}
    if kind == "verify" or (kind == "prefer" and len(part[0].choices) > 1):
        return ()
    if len(there) == 1:
        allowed = f"must leave items of at least two labels to the {name}, there is {names[there.pop()]!r} alone"
        raise InputError(field, value, allowed)
    missing = [label for number, label in enumerate(names) if number not in there]
    told = f"{field} = {value}: no item of the {name} is called {', '.join(missing)}"
    return (told,) if missing else ()


def _check_workers(config: RunConfig, rows: Sequence[Row], of_worker: Mapping[str, object]) -> None:
    """Refuse a crowd that is too small because all that some of its workers say has become items."""
    workers = dict.fromkeys(row.worker for row in rows)
    gone = [worker for worker in workers if worker not in of_worker]
    if gone and config.crowd.n_workers > len(of_worker):
        shown = ", ".join(gone[:3]) + (" …" if len(gone) > 3 else "")
        allowed = (
            f"must be at most {len(of_worker)}: all rows of {len(gone)} of the file's {len(workers)} workers ({shown}) are "
            "items, or share a prompt or a text with one"
        )
        raise InputError("crowd.n_workers", config.crowd.n_workers, allowed)


def names_of(item: Item, kind: str) -> tuple[str, ...]:
    """What may be right of an item: its choices, or of a response that is judged by itself good and bad."""
    return (GOOD, BAD) if kind == "prefer" and len(item.choices) == 1 else item.choices


def _item(row: Row, labels: tuple[str, ...], config: RunConfig) -> Item:
    said = row.said
    if isinstance(said, Label):
        return Item(_question(said.item, labels, config), labels, labels.index(said.label))
    if isinstance(said, Answer):
        return Item(said.prompt.text, (said.answer,), 0, said.prompt.before)
    if isinstance(said, Judgement):
        return Item(said.prompt.text, (said.response,), int(not said.good), said.prompt.before)
    assert isinstance(said, Pair)  # noqa: S101 - of the kinds that `read_rows` lets through
    return Item(said.prompt.text, (said.chosen, said.rejected), 0, said.prompt.before)


def _example(row: Row, labels: tuple[str, ...], config: RunConfig) -> Example:
    said = row.said
    if isinstance(said, Label):
        return Example(_question(said.item, labels, config), said.label)
    if isinstance(said, Answer):
        return Example(said.prompt.text, said.answer, said.prompt.before)
    if isinstance(said, Judgement):
        return Example(said.prompt.text, said.response, said.prompt.before, good=said.good)
    assert isinstance(said, Pair)  # noqa: S101 - of the kinds that `read_rows` lets through
    return Example(said.prompt.text, said.chosen, said.prompt.before, said.rejected)


def _question(text: str, labels: tuple[str, ...], config: RunConfig) -> str:
    # cut before anything is filled in: a label may have braces, too
    parts = (config.task.question or _QUESTION).split("{text}")
    return text.join(part.replace("{labels}", ", ".join(labels)) for part in parts)
