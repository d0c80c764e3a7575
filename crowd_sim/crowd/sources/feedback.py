"""A crowd's own feedback, from a file of (worker, prompt, response), and the texts that show its target."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path

from crowd_sim.crowd.sources.contents import check_is_file
from crowd_sim.crowd.sources.layouts import Pair, Prompt, Row, read_table
from crowd_sim.crowd.sources.records import Record, read_lines, read_records
from crowd_sim.crowd.texts import Example, TextCrowd
from crowd_sim.errors import InputError

KEYS = ("worker", "prompt", "response")
EXAMPLE_TARGETS = ("warm", "terse")


def read_feedback(path: Path, target_path: Path) -> TextCrowd:
    """Everyone's examples: workers in the order in which they first come, a worker's examples in the file's order.

    Args:
        path: .jsonl (an object per line) or .parquet, with ``worker`` (a text or a whole number), ``prompt`` and
            ``response`` (texts that are not blank), and nothing else.
        target_path: the texts that show where the tuning should lead, as `read_target_texts` reads them.

    Raises:
        InputError: what is wrong, with ``file:line`` (Parquet: ``file:row``, from 0) where it is in one; a worker whose
            only record lacks a response is found so.
    """
    return _grouped(read_records(path, KEYS), read_target_texts(target_path))


def read_target_texts(path: Path, field: str = "crowd.target") -> tuple[str, ...]:
    """The target's texts, in the file's order.

    Args:
        path: .txt (UTF-8, a text per line, blank lines left out), or .jsonl or .parquet with ``text`` and nothing else.
        field: where the path comes from, for the error if it is no such file.

    Raises:
        InputError: another ending, a missing or empty file, or the place of a broken text.
    """
    if path.suffix.lower() != ".txt":
        if path.suffix.lower() not in (".jsonl", ".parquet"):
            raise InputError(field, path, "must be a file that ends in .txt, .jsonl or .parquet")
        return tuple(record.text("text") for record in read_records(path, ("text",), field=field))
    check_is_file(path, field)
    texts = tuple(line.strip() for _, line in read_lines(path) if line.strip())
    if not texts:
        raise InputError(str(path), None, "at least one text is needed, there is none")
    return texts


def example_feedback(target: str) -> TextCrowd:
    """The small crowd that comes with the project: eight workers, four of each style, eight examples each.

    Workers warm-1 to warm-4 answer warmly and at length enough to encourage; terse-1 to terse-4 tersely and
    technically. All prompts are questions of everyday computing. The texts were written for this project.

    Args:
        target: the style of the target's texts, ``warm`` or ``terse``.

    Raises:
        InputError: another target.
    """
    if target not in EXAMPLE_TARGETS:
        raise InputError("crowd.target", target, f"must be one of {', '.join(EXAMPLE_TARGETS)}")
    with as_file(files("crowd_sim.crowd.sources") / "examples") as folder:
        return read_feedback(folder / "feedback.jsonl", folder / f"target_{target}.txt")


def example_pairs(target: str) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """What the workers of `example_feedback` prefer, and trusted rows of every second prompt, of the target's style.

    A worker prefers its answer to that of the other style's worker of the same number.

    Raises:
        InputError: another target.
    """
    crowd = example_feedback(target)
    said = {
        (worker, example.prompt): example.response
        for worker, own in zip(crowd.ids, crowd.examples, strict=True)
        for example in own
    }
    turned = {"warm": "terse", "terse": "warm"}
    rows: list[Row] = []
    for number, ((worker, prompt), response) in enumerate(said.items()):
        style, _, own = worker.partition("-")
        pair = Pair(Prompt(prompt), response, said[f"{turned[style]}-{own}", prompt])
        rows.append(Row(f"example_feedback:{number + 1}", worker, pair, {}))
    second = set(list(dict.fromkeys(prompt for _, prompt in said))[1::2])
    shown = zip(rows, said, strict=True)
    return tuple(rows), tuple(row for row, (who, prompt) in shown if who.startswith(target) and prompt in second)


def example_answers() -> tuple[Row, ...]:
    """The small crowd of `verify` that comes with the project: eight workers, eight capitals each."""
    with as_file(files("crowd_sim.crowd.sources") / "examples" / "capitals.jsonl") as path:
        return read_table(path).rows


def example_labels() -> tuple[Row, ...]:
    """The small crowd of `classify` that comes with the project: 48 texts of customers, three of eight workers on each.

    Workers w1 to w6 tell praise from a complaint; w7 says the other thing always and w8 praise of everything. No text is both
    of theirs, so that most say what is right. The texts were written for this project.
    """
    with as_file(files("crowd_sim.crowd.sources") / "examples" / "opinions.jsonl") as path:
        return read_table(path).rows


def _grouped(records: Sequence[Record], target_texts: tuple[str, ...]) -> TextCrowd:
    of_worker: dict[str, list[Example]] = {}
    for record in records:
        example = Example(record.text("prompt"), record.text("response"))
        of_worker.setdefault(record.worker("worker"), []).append(example)
    return TextCrowd(tuple(of_worker), tuple(map(tuple, of_worker.values())), target_texts)
