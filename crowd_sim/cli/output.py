"""Standard output that may end before the work does: a reader that has seen enough, a full disk."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from rich.console import Console

MINUS = "\N{MINUS SIGN}"


def _takes_minus(stream: TextIO) -> bool:
    try:
        MINUS.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


class Output:
    """A text stream that takes everything; what cannot be written is dropped, and why is remembered."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._failure: OSError | None = None

    def write(self, text: str) -> int:
        """Write, as far as the stream takes it; a minus that its encoding lacks as a hyphen."""
        shown = text if MINUS not in text or _takes_minus(self._stream) else text.replace(MINUS, "-")
        self._try(lambda: self._stream.write(shown))
        return len(text)

    def flush(self) -> None:
        """Flush, as far as the stream lets itself be."""
        self._try(self._stream.flush)

    def failure(self) -> str:
        """Why not everything has come out; empty where it has."""
        self.flush()
        return "" if self._failure is None else self._failure.strerror or str(self._failure)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _try(self, write: Any) -> None:
        if self._failure is None:
            try:
                write()
            except OSError as error:
                self._failure = error
                self._let_go()

    def _let_go(self) -> None:
        """What is still in the stream's buffer must not fail again as the process ends."""
        with suppress(OSError, ValueError, AttributeError):
            if self._stream.fileno() == sys.__stdout__.fileno():  # type: ignore[union-attr]
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)


def plain_console(*, quiet: bool = False) -> Console:
    """A console to which names are data: what looks like markup or an emoji in them stands as it is."""
    return Console(markup=False, emoji=False, quiet=quiet)


@contextmanager
def unfailing_output() -> Iterator[Output]:
    """`sys.stdout` is an `Output` as long as the context lasts."""
    before, output = sys.stdout, Output(sys.stdout)
    sys.stdout = cast("TextIO", output)
    try:
        yield output
    finally:
        sys.stdout = before
