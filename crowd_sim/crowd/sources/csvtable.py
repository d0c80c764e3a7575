"""CSV files read in one vectorised pass; only where that fails is the broken line searched for, record by record."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from crowd_sim.errors import InputError

Check = Callable[[dict[str, str]], str | None]
"""What is wrong with a record, as the rest of a sentence ("a number in column x …"), or ``None``."""


# no more than Arrow converts, lest the search pass what the fast pass refused: "+1", "1_000", another script's digits
_NUMBER = re.compile(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"-?[0-9]{1,18}")


def is_number(text: str) -> bool:
    """Whether a field is a finite decimal number."""
    return _NUMBER.fullmatch(text.strip(" \t")) is not None and math.isfinite(float(text))


def is_integer(text: str) -> bool:
    """Whether a field is a whole number of at most 18 digits."""
    return _INTEGER.fullmatch(text.strip(" \t")) is not None


def read_header(path: Path) -> tuple[str, ...]:
    """Column names of a CSV file.

    Raises:
        InputError: if the file is missing, unreadable or empty, or two columns have the same name.
    """
    for line, names in _records(path):
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise InputError(f"{path}:{line}", repeated[0], "a column's name must come only once")
        return tuple(names)
    raise InputError(str(path), None, "a header line and at least one row are needed, the file is empty")


def read_columns(path: Path, types: Mapping[str, pa.DataType], check: Check) -> pa.Table:
    """The columns named in ``types``, converted strictly: an empty field is never a missing value.

    Args:
        path: the file; UTF-8, comma-separated, quotes as in RFC 4180, a header line first.
        types: what each column must be. Other columns are not read, but each line must have its fields.
        check: what is wrong with one record; it must refuse whatever the types refuse.

    Raises:
        InputError: ``file:line`` of the first broken line; or the file, if it has no rows or lacks a column.
    """
    header = read_header(path)
    for name in types:
        if name not in header:
            raise InputError(f"{path}:1", None, f"column {name!r} is missing; there are: {', '.join(header)}")
    try:
        table = pyarrow.csv.read_csv(
            path,
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict(types), include_columns=list(types), null_values=[], strings_can_be_null=False
            ),
        )
    except pa.ArrowException as error:
        raise broken_line(path, check, str(error)) from error
    # Arrow takes a quote that is never closed, and with it the rest of the file, for one long field
    if b'"' in path.read_bytes() and sum(1 for _ in _records(path)) != table.num_rows + 1:
        raise broken_line(path, check, "quotes must come in pairs, around whole fields")
    if table.num_rows == 0:
        raise InputError(str(path), None, "at least one row below the header is needed, there is none")
    return table


def broken_line(path: Path, check: Check, otherwise: str) -> InputError:
    """The error that names the first line which is not as it should be.

    Args:
        path: the file, known to be broken somewhere.
        check: as in `read_columns`. It may count what it has seen: records come in the file's order.
        otherwise: said of the whole file if every line passes.
    """
    records = _records(path)
    try:
        _, header = next(records)
        for line, fields in records:
            if len(fields) != len(header):
                return InputError(f"{path}:{line}", None, f"{len(header)} fields are needed, there are {len(fields)}")
            complaint = check(dict(zip(header, fields, strict=True)))
            if complaint is not None:
                return InputError(f"{path}:{line}", None, complaint)
    except InputError as error:
        return error
    return InputError(str(path), None, otherwise)


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of each record, blank lines left out; a record's line is the one it starts on."""
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for fields in reader:
                if fields:
                    yield line, fields
                line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}:{line}", None, f"a readable line of CSV is needed ({error})") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}:{_undecodable_line(path)}", None, f"text in UTF-8 is needed ({error.reason})"
        ) from error
    except OSError as error:
        raise InputError(str(path), None, f"a file that can be read is needed ({error.strerror})") from error


def _undecodable_line(path: Path) -> int:
    # the reader decodes by the block, ahead of its lines
    data = path.read_bytes()
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return data.count(b"\n", 0, error.start) + 1
    return 1
