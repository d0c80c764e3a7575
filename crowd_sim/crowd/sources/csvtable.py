"""CSV files read in one vectorised pass; only where that fails is the broken line searched for, record by record."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from crowd_sim.arrow import arrow_file
from crowd_sim.crowd.population import first_duplicate
from crowd_sim.crowd.sources.contents import content_of
from crowd_sim.errors import InputError

Check = Callable[[dict[str, str]], str | None]
"""What is wrong with a record, as the rest of a sentence ("a number in column x …"), or ``None``."""


# no more than Arrow converts, lest the search pass what the fast pass refused: "+1", "1_000", another script's digits
_NUMBERS = {
    decimal: re.compile(rf"-?([0-9]+{re.escape(decimal)}?[0-9]*|{re.escape(decimal)}[0-9]+)([eE][+-]?[0-9]+)?")
    for decimal in ".,"
}
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_THOUSANDS = re.compile(r"-?[0-9]{1,3}(,[0-9]{3})+")
_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
_LOOKED_AT = 50
"""Records by which a separator is recognised."""

BLOCK = 1 << 20


def is_number(text: str, decimal: str = ".") -> bool:
    """Whether a field is a finite decimal number."""
    stripped = text.strip(" \t")
    return _NUMBERS[decimal].fullmatch(stripped) is not None and math.isfinite(float(stripped.replace(decimal, ".")))


def is_integer(text: str) -> bool:
    """Whether a field is a whole number of at most 18 digits."""
    return _INTEGER.fullmatch(text.strip(" \t")) is not None


@dataclass(frozen=True)
class CsvFile:
    """A text file with a header line, fields, and quotes as in RFC 4180.

    Attributes:
        path: of the file, for errors.
        content: what it holds; UTF-8.
        separator: between fields.
    """

    path: Path
    content: bytes
    separator: str = ","

    @cached_property
    def header(self) -> tuple[str, ...]:
        """Column names.

        Raises:
            InputError: the file is empty, or a column has no name, or two columns have the same.
        """
        for line, names in self.records():
            place = first_duplicate(tuple(names))
            if place is not None:
                what = names[place] or None
                raise InputError(f"{self.path}:{line}", what, f"a column's name must come only once{_unnamed(names)}")
            if "" in names:
                raise InputError(f"{self.path}:{line}", None, f"every column needs a name{_unnamed(names)}")
            return tuple(names)
        raise InputError(str(self.path), None, "a header line and at least one row are needed, the file is empty")

    def columns(self, types: Mapping[str, pa.DataType], check: Check, decimal: str = ".") -> pa.Table:
        """The columns named in ``types``, converted strictly: an empty field is never a missing value.

        Args:
            types: what each column must be. Other columns are not read, but each line must have its fields.
            check: what is wrong with one record; it must refuse whatever the types refuse.
            decimal: what stands before the fraction of a number.

        Raises:
            InputError: ``file:line`` of the first broken line; or the file, if it has no rows or lacks a column.
        """
        known = set(self.header)
        for name in types:
            if name not in known:
                there = f"column {name!r} is missing; there are: {', '.join(self.header)}"
                raise InputError(f"{self.path}:1", None, there)
        try:
            table = self._converted(types, decimal)
        except pa.ArrowException as error:
            raise self.broken_line(check, str(error)) from error
        # Arrow takes a quote that is never closed, and with it the rest of the file, for one long field
        if b'"' in self.content and sum(1 for _ in self.records()) != table.num_rows + 1:
            raise self.broken_line(check, "quotes must come in pairs, around whole fields")
        if table.num_rows == 0:
            raise InputError(str(self.path), None, "at least one row below the header is needed, there is none")
        return table

    def _converted(self, types: Mapping[str, pa.DataType], decimal: str) -> pa.Table:
        longest = self.content.find(b"\n") + 1
        return pyarrow.csv.read_csv(
            arrow_file(self.content),
            read_options=pyarrow.csv.ReadOptions(block_size=min(max(BLOCK, 64 * longest), 1 << 30)),
            parse_options=pyarrow.csv.ParseOptions(delimiter=self.separator, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict(types),
                include_columns=list(types),
                null_values=[],
                strings_can_be_null=False,
                decimal_point=decimal,
            ),
        )

    def decimal(self, numbers: list[str]) -> str:
        """What stands before the fraction in the columns that must be numbers: a comma where only that makes all of them one.

        Raises:
            InputError: every comma might as well stand before thousands.
        """
        types = dict.fromkeys(numbers, pa.float64())
        if b"," not in self.content:
            return "."
        try:
            self._converted(types, ".")
        except pa.ArrowException:
            try:
                self._converted(types, ",")
            except pa.ArrowException:
                return "."
        else:
            return "."
        cells = (record[name] for record in self._named() for name in numbers)
        if all(_THOUSANDS.fullmatch(cell.strip(" \t")) for cell in cells if "," in cell):
            allowed = (
                "a comma stands before three digits everywhere: crowd.decimal=',' if it begins the fraction; thousands "
                "are not separated"
            )
            raise InputError(str(self.path), None, allowed)
        return ","

    def _named(self) -> Iterator[dict[str, str]]:
        records = self.records()
        next(records)
        return (dict(zip(self.header, fields, strict=False)) for _, fields in records)

    def broken_line(self, check: Check, otherwise: str) -> InputError:
        """The error that names the first line which is not as it should be.

        Args:
            check: as in `columns`. It may count what it has seen: records come in the file's order.
            otherwise: said of the whole file if every line passes.
        """
        records = self.records()
        try:
            _, header = next(records)
            for line, fields in records:
                if len(fields) != len(header):
                    return self.error(line, f"{len(header)} fields are needed, there are {len(fields)}")
                complaint = check(dict(zip(header, fields, strict=True)))
                if complaint is not None:
                    return self.error(line, complaint)
        except InputError as error:
            return error
        return InputError(str(self.path), None, otherwise)

    def error(self, line: int, complaint: str) -> InputError:
        """What is wrong with a line."""
        return InputError(f"{self.path}:{line}", None, complaint)

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """(line, fields) of each record, blank lines left out; a record's line is the one it starts on."""
        line = 1
        try:
            text = io.StringIO(self.content.decode("utf-8-sig"), newline="")
        except UnicodeDecodeError as error:
            where = self.content.count(b"\n", 0, error.start) + 1
            raise InputError(f"{self.path}:{where}", None, f"text in UTF-8 is needed ({error.reason})") from error
        try:
            reader = csv.reader(text, strict=True, delimiter=self.separator)
            for fields in reader:
                if fields:
                    yield line, fields
                line = reader.line_num + 1
        except csv.Error as error:
            raise self.error(line, f"a readable line of CSV is needed ({error})") from error


def open_csv(path: Path, separator: str | None = None, field: str = "crowd.path") -> CsvFile:
    """A text file, whose separator is recognised where it is not given.

    Raises:
        InputError: no file, none that can be read, or more than one separator that it might have.
    """
    content = content_of(path, field)
    if separator is not None:
        return CsvFile(path, content, separator)
    head = content.partition(b"\n")[0]
    there = [mark for mark in _SEPARATORS if mark.encode() in head]
    if len(there) < 2:
        return CsvFile(path, content, there[0] if there else ",")
    even = [mark for mark in there if _is_even(CsvFile(path, content, mark))]
    if len(even) != 1:
        names = " or ".join(_SEPARATORS[mark] for mark in there)
        allowed = f"{names}: which one stands between the fields is not plain; crowd.separator names it"
        raise InputError(f"{path}:1", None, allowed)
    return CsvFile(path, content, even[0])


def _is_even(file: CsvFile) -> bool:
    """Whether the first records have the same number of fields, more than one."""
    try:
        lengths = {len(fields) for _, fields in islice(file.records(), _LOOKED_AT)}
    except InputError:
        return False
    return len(lengths) == 1 and lengths.pop() > 1


def _unnamed(names: list[str]) -> str:
    """What to do about a column without a name, if there is one."""
    if "" not in names:
        return ""
    number = names.index("") + 1
    return f": column {number} has none; is it pandas' index? write it by to_csv(index=False), or name it in the header"
