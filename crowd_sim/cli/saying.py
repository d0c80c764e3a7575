"""What a command says: lines, a bar while it loads, and the one line that it fails with."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer
from rich.console import Console

from crowd_sim.characters import visible
from crowd_sim.cli.output import plain_console


class NothingDone(Exception):  # noqa: N818 - it is no error
    """A command was interrupted while it loaded."""


@contextmanager
def loading(console: Console, what: str = "modules and input", *, silent: bool = False) -> Iterator[None]:
    """A first line, or a bar, while a command's modules are imported and its input is read: on a busy machine, seconds."""
    from crowd_sim.commands.progress import shown

    with shown(plain_console(quiet=True) if silent else console) as progress:
        progress("load", 0, 0, what)
        try:
            yield
        except KeyboardInterrupt:
            raise NothingDone from None


def say_each(lines: Iterable[str]) -> None:
    """`say` each line."""
    for line in lines:
        say(line)


def say(line: str) -> None:
    """Write a line; characters that a terminal would obey stand in it as numbers."""
    typer.echo(visible(line))


def fail(line: str, status: int) -> NoReturn:
    """End the process with one line on standard error and this exit status."""
    typer.echo("crowd-sim: " + visible(" ".join(line.split())), err=True)
    sys.exit(status)
