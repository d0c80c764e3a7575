"""Names are data: what would steer whatever shows them stands as an escape."""

from __future__ import annotations

import unicodedata
from shlex import quote

_STEERING = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's categories of control characters, halves of characters and line ends."""

_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of what stands around them."""


def visible(name: str) -> str:
    """A name as it is, but for characters that would steer a terminal or turn a line, which are shown as escapes."""
    if name.isascii() and name.isprintable():
        return name
    return "".join(escaped(c) if unicodedata.category(c) in _STEERING or c in _TURNING else c for c in name)


def shell_word(path: object) -> str:
    """A path as a command in bash takes it: in quotes where it must be, with the escapes of `visible` where it has some."""
    word = str(path)
    if word.startswith("-"):  # it would be taken for an option
        word = f"./{word}"
    return quote(word) if visible(word) == word else "$'" + "".join(map(_in_bash, word)) + "'"


def _in_bash(character: str) -> str:
    if character in "'\\":
        return f"\\{character}"
    if visible(character) == character:
        return character
    if "\udc80" <= character <= "\udcff":  # a byte that is no text
        return f"\\x{ord(character) - 0xDC00:02x}"
    return f"\\U{ord(character):08x}"


def escaped(character: str) -> str:
    """A character by its number, as Python writes it."""
    return character.encode("unicode_escape").decode()


def csv_cell(value: object) -> object:
    """A value for a CSV file that a spreadsheet may open: a text that it would take for a formula begins with an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
