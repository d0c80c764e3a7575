"""What is refused of any command's options before the command sees them: one that is given twice, and one that is empty."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from crowd_sim.errors import InputError


class Group(TyperGroup):
    """Commands whose options are looked at as they were written."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is called, its name and its arguments.

        Raises:
            InputError: an option is given twice, of which the last would silently count; or it is empty, and a path would then
                be the folder one works in.
        """
        found = super().resolve_command(ctx, args)
        _, command, rest = found
        if isinstance(command, TyperCommand) and not ctx.resilient_parsing:
            _check(command, ctx, list(rest))
        return found


def _check(command: TyperCommand, ctx: Any, words: list[str]) -> None:
    try:
        values, _, order = command.make_parser(type(ctx)(command, parent=ctx)).parse_args(args=words)
    except TyperException:  # told when the command is called, in its name
        return
    for place, parameter in enumerate(order):
        name, value = max(parameter.opts, key=len), values.get(parameter.name)
        several = getattr(parameter, "multiple", False) or parameter.nargs != 1
        if not several and parameter in order[:place]:
            raise InputError(name, value, "must be given once")
        if value == "":
            raise InputError(name, value, "must not be empty")
