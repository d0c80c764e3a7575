"""Rows of a file, whatever its format: JSONL, a JSON array, CSV, Parquet, or a folder that `datasets` has saved."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crowd_sim.crowd.sources.contents import check_is_file
from crowd_sim.crowd.sources.identifiers import check_names
from crowd_sim.crowd.sources.parquet import read_parquet
from crowd_sim.crowd.sources.records import Record, parse_object, read_lines
from crowd_sim.errors import InputError
from crowd_sim.paths import is_file, is_folder

if TYPE_CHECKING:  # imported late: a run of another source should not wait for it
    import pyarrow.parquet

ENDINGS = (".jsonl", ".json", ".csv", ".parquet")


def read_rows(path: Path, field: str = "crowd.path", separator: str | None = None) -> list[Record]:
    """Every row of a file or folder, in its order, with all of its columns.

    JSONL and JSON arrays hold objects, whose keys may differ from row to row. CSV is UTF-8 with a line of names and a comma,
    semicolon or tab between its values, which are texts. A folder is a `datasets` data set as `save_to_disk` leaves it, or
    several of which one is called train.

    Args:
        path: ends in .jsonl, .json, .csv or .parquet, or is a folder.
        field: where the path comes from, for the error if there is no such file.
        separator: of CSV; None: recognised.

    Raises:
        InputError: what cannot be read, with its place: ``file:line`` from 1, of JSON, Parquet and Arrow ``file:row`` from 0.
    """
    if is_folder(path):
        rows = list(_from_folder(path, field))
    else:
        from_csv = partial(_from_csv, separator=separator)
        every: tuple[Callable[[Path], Iterator[Record]], ...] = (_from_jsonl, _from_json, from_csv, _from_parquet)
        readers = dict(zip(ENDINGS, every, strict=True))
        reader = readers.get(path.suffix.lower())
        if reader is None:
            raise InputError(field, path, f"a folder, or a file that ends in {', '.join(ENDINGS)}")
        check_is_file(path, field)
        rows = list(reader(path))
    if not rows:
        raise InputError(str(path), None, "at least one row is needed, there is none")
    return rows


def _from_jsonl(path: Path) -> Iterator[Record]:
    for number, line in read_lines(path):
        if line.strip():
            place = f"{path}:{number}"
            yield Record(place, parse_object(place, line))


def _from_json(path: Path) -> Iterator[Record]:
    text = _text(path)
    decoder, at, row = json.JSONDecoder(), _skip(text, 0), -1
    if text[at : at + 1] != "[":
        raise InputError(str(path), None, "an array of JSON objects is needed")
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]":
        row += 1  # an array may stand on one line
        here = f"{path}:{row}"
        try:
            _, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise InputError(here, None, f"a JSON object is needed ({error})") from error
        yield Record(here, parse_object(here, text[at:end]))
        at = _skip(text, end)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at : at + 1] != "]":
            raise InputError(here, None, "a comma or the end of the array is needed after it")
    at = _skip(text, at + 1)
    if at < len(text):
        raise InputError(str(path), None, "nothing may follow the array")


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _from_csv(path: Path, separator: str | None = None) -> Iterator[Record]:
    from crowd_sim.crowd.sources.csvtable import open_csv  # with pyarrow, which other runs need not wait for

    text = io.StringIO(_text(path), newline="")
    reader = csv.reader(text, strict=True, delimiter=open_csv(path, separator).separator)
    first = 1
    try:
        names = next(reader, [])
        _check_names(f"{path}:1", names)
        first = reader.line_num + 1
        for values in reader:
            place = f"{path}:{first}"
            first = reader.line_num + 1
            if not values:
                continue  # a blank line
            if len(values) != len(names):
                hint = "; crowd.separator names what stands between them" if len(names) == 1 else ""
                allowed = f"{len(names)} values are needed as in line 1, there are {len(values)}{hint}"
                raise InputError(place, None, allowed)
            yield Record(place, dict(zip(names, values, strict=True)))
    except csv.Error as error:
        raise InputError(f"{path}:{first}", None, f"CSV is needed ({error})") from error


def _from_parquet(path: Path) -> Iterator[Record]:
    def read(file: pyarrow.parquet.ParquetFile, index: list[str]) -> list[dict[str, Any]]:
        columns = [name for name in file.schema_arrow.names if name not in index]
        _check_names(str(path), columns)
        return file.read(columns, use_threads=False).to_pylist()

    return (Record(f"{path}:{number}", row) for number, row in enumerate(read_parquet(path, read)))


def _from_folder(path: Path, field: str) -> Iterator[Record]:
    folder = path / "train" if is_file(path / "dataset_dict.json") else path
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        names = [str(entry["filename"]) for entry in state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        allowed = f"must be a data set as datasets.save_to_disk leaves it, with a state.json ({error})"
        raise InputError(field, path, allowed) from None
    import pyarrow as pa

    if state.get("_indices_data_files"):
        raise InputError(field, path, "must be saved after flatten_indices: its rows are in another order")
    for name in names:
        file = folder / name
        if file.parent != folder:
            raise InputError(field, path, f"must name files of its own, not {name}")
        try:
            with pa.OSFile(str(file), "rb") as source, pa.ipc.open_stream(source) as stream:
                rows = stream.read_all().to_pylist()
        except (OSError, ValueError, pa.ArrowException) as error:
            raise InputError(str(file), None, f"a readable Arrow file is needed ({error})") from error
        yield from (Record(f"{file}:{number}", row) for number, row in enumerate(rows))


def _text(path: Path) -> str:
    return "\n".join(line for _, line in read_lines(path))


def _check_names(place: str, names: Sequence[str]) -> None:
    for name in names:
        if not name.strip():
            raise InputError(place, name, "a column needs a name")
    check_names(names, lambda name: InputError(place, name, "a column must come only once"))
