"""Records with texts in them, from JSONL or Parquet, checked one by one: a broken one is named by its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crowd_sim.crowd.population import first_duplicate
from crowd_sim.crowd.sources.contents import check_is_file, content_of
from crowd_sim.crowd.sources.identifiers import check_names, ends_flaw, text_flaw
from crowd_sim.crowd.sources.parquet import read_parquet
from crowd_sim.errors import InputError

if TYPE_CHECKING:  # imported late: a run of another source should not wait for it
    import pyarrow.parquet

ENDINGS = (".jsonl", ".parquet")


@dataclass(frozen=True)
class Record:
    """One line of JSONL or one row of Parquet.

    Attributes:
        place: ``file:line``, from 1 (JSONL), or ``file:row``, from 0 (Parquet).
        values: what it holds, by key.
    """

    place: str
    values: dict[str, Any]

    def text(self, key: str) -> str:
        """A text that is not blank and can be written as UTF-8.

        Raises:
            InputError: with the record's place.
        """
        value = self.values[key]
        complaint = "a text that is not blank"
        if not isinstance(value, str) or not value.strip():
            raise InputError(self.place, None, f"{key} must be {complaint}, it is {_shown(value)}")
        if not is_unicode(value):
            raise InputError(
                self.place, None, f"{key} must be {complaint} of whole characters, it has half a pair (\\ud…)"
            )
        return value

    def probabilities(self, key: str, length: int | None) -> list[float]:
        """A list of numbers from 0 to 1.

        Args:
            key: whose value it is.
            length: how many there must be; ``None`` for any number but none.

        Raises:
            InputError: with the record's place.
        """
        values = self.values[key]
        if not isinstance(values, list) or not values or not all(_is_probability(value) for value in values):
            raise InputError(self.place, None, f"{key} must be a list of numbers from 0 to 1, it is {_shown(values)}")
        if length is not None and len(values) != length:
            raise InputError(self.place, None, f"{key} must be {length} numbers as in other records, not {len(values)}")
        return [float(value) for value in values]

    def name(self, key: str) -> str:
        """A text as in `text`, or a whole number, which becomes its decimal text.

        Raises:
            InputError: with the record's place.
        """
        value = self.values[key]
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str):
            raise InputError(self.place, None, f"{key} must be a text or a whole number, it is {_shown(value)}")
        return self.text(key)

    def label(self, key: str) -> str:
        """A name as in `name` that nobody takes for another one by what cannot be seen at its ends.

        Raises:
            InputError: with the record's place.
        """
        return self._flawless(key, "a label", ends_flaw)

    def worker(self, key: str) -> str:
        """A name as in `name` that can be a worker's.

        Raises:
            InputError: with the record's place.
        """
        return self._flawless(key, "a worker's name", text_flaw)

    def _flawless(self, key: str, what: str, flaw_of: Callable[[str], str | None]) -> str:
        name = self.name(key)
        if flaw := flaw_of(name):
            raise InputError(self.place, None, f"{key} must be {what}, it is {_shown(name)}: {flaw}")
        return name


def read_records(path: Path, keys: Sequence[str], *, others: bool = False, field: str = "crowd.path") -> list[Record]:
    """Every record of a file, in its order; each has all of ``keys``.

    JSONL: an object per line, in UTF-8 (a byte order mark is allowed); blank lines count but are left out. Parquet: a
    row each; a pandas index that was saved with the file counts only if its name is one of ``keys``.

    Args:
        path: a file that ends in .jsonl or .parquet.
        keys: what every record must have.
        others: whether further keys are allowed (and left out) or refused.
        field: where the path comes from, for the error if there is no such file.

    Raises:
        InputError: another ending, a missing, unreadable or empty file, a missing column; and with its place a line
            that is not a JSON object in UTF-8, or a missing, unknown or repeated key.
    """
    readers = dict(zip(ENDINGS, (_from_jsonl, _from_parquet), strict=True))
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(field, path, f"must be a file that ends in {' or '.join(ENDINGS)}")
    check_is_file(path, field)
    records = [
        Record(record.place, {key: record.values[key] for key in keys}) for record in reader(path, tuple(keys), others)
    ]
    if not records:
        raise InputError(str(path), None, f"at least one record of {', '.join(keys)} is needed, there is none")
    return records


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, text without its line end) of each line of a UTF-8 file.

    Raises:
        InputError: a file that cannot be read, or ``file:line`` of the first that is not UTF-8.
    """
    data = content_of(path)
    # only at \n: a text may hold the other characters at which str.splitlines cuts
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            yield number, line.removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{path}:{number}", None, f"text in UTF-8 is needed ({error.reason})") from error


def is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8: JSON may hold half of a surrogate pair."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _from_jsonl(path: Path, keys: tuple[str, ...], others: bool) -> Iterator[Record]:
    for number, line in read_lines(path):
        if line.strip():
            place = f"{path}:{number}"
            values = parse_object(place, line)
            _check_keys(place, list(values), keys, others, "key")
            yield Record(place, values)


def parsed_json(place: str, text: str, what: str = "JSON") -> Any:
    """What a JSON text holds.

    Raises:
        InputError: it is none, or an object has a key twice.
    """
    repeated: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            names = tuple(name for name, _ in items)
            repeated.append(names[first_duplicate(names) or 0])
        return found

    try:
        values = json.loads(text, object_pairs_hook=pairs)
    except (ValueError, RecursionError) as error:
        raise InputError(place, None, f"{what} is needed ({error})") from error
    if repeated:
        raise InputError(place, repeated[0], "a key must come only once")
    return values


def parse_object(place: str, line: str) -> dict[str, Any]:
    """A JSON object whose keys come once each.

    Raises:
        InputError: with the place.
    """
    values = parsed_json(place, line, "a JSON object")
    if not isinstance(values, dict):
        raise InputError(place, None, f"a JSON object is needed, it is {_shown(values)}")
    return values


def _from_parquet(path: Path, keys: tuple[str, ...], others: bool) -> Iterator[Record]:
    def read(file: pyarrow.parquet.ParquetFile, index: list[str]) -> list[dict[str, Any]]:
        columns = [name for name in file.schema_arrow.names if name in keys or name not in index]
        _check_keys(str(path), columns, keys, others, "column")
        return file.read(list(keys), use_threads=False).to_pylist()

    return (Record(f"{path}:{number}", row) for number, row in enumerate(read_parquet(path, read)))


def _check_keys(place: str, found: list[str], keys: tuple[str, ...], others: bool, what: str) -> None:
    for key in keys:
        if key not in found:
            raise InputError(place, None, f"{what} {key!r} is missing; there are: {', '.join(found) or 'none'}")
    check_names(found, lambda key: InputError(place, key, f"a {what} must come only once"))
    unknown = [key for key in found if key not in keys]
    if unknown and not others:
        raise InputError(place, unknown[0], f"unknown {what}; allowed here: {', '.join(keys)}")


def _is_probability(value: object) -> bool:
    # NaN fails it
    return isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value <= 1.0


def _shown(value: Any, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
