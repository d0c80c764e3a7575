"""What may go wrong without anyone's code being wrong; each prints as one line."""

from __future__ import annotations

from typing import Any

_LONGEST = 300
"""Characters of a message: more is not read."""


class InputError(ValueError):
    """Input that is refused before anything starts.

    Attributes:
        field: where the value stands: a dotted configuration field, an option, or ``file:line``.
        value: the refused value, ``None`` where there is none to show.
        allowed: what would be accepted, as the rest of a sentence.

    ``str(error)`` is always a single line of at most 300 characters.
    """

    def __init__(self, field: str, value: Any, allowed: str) -> None:
        self.field = field
        self.value = value
        self.allowed = allowed
        shown = "" if value is None else f" = {_short(value)}"
        line = " ".join(f"{field}{shown}: {allowed}".split())
        if len(line) > _LONGEST and len(field) > _LONGEST // 3:  # a path, say: its end tells most
            line = " ".join(f"…{field[-_LONGEST // 3 :]}{shown}: {allowed}".split())
        super().__init__(line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…")

    def __reduce__(self) -> tuple[type[InputError], tuple[str, Any, str]]:
        return type(self), (self.field, self.value, self.allowed)


class StrategyError(RuntimeError):
    """User-defined code, named in the configuration, raised something.

    Attributes:
        place: which code, and for whom it was called.
        cause: what it raised, in short.
        trace: the traceback, as text: it crosses processes, where traceback objects do not.
    """

    def __init__(self, place: str, cause: str, trace: str) -> None:
        self.place = place
        self.cause = cause
        self.trace = trace
        super().__init__(f"{place}: {cause}")

    def __reduce__(self) -> tuple[type[StrategyError], tuple[str, str, str]]:
        return type(self), (self.place, self.cause, self.trace)


class ClusterError(RuntimeError):
    """The cluster is not there, too small for the configuration, or gone; the message says which."""


class QuarantinedError(ClusterError):
    """Work that was to blame for as many failures as it may; the message names it."""


class StorageError(RuntimeError):
    """Results cannot be written: the disk is full, or gone. What was written before stands, unless it was removed."""

    _after = "what is finished is safe, and the same command goes on"

    def __init__(self, path: object, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path} cannot be written ({reason}); {self._after}")

    def __reduce__(self) -> tuple[type[StorageError], tuple[object, str]]:
        return type(self), (self.path, self.reason)


class RemovedError(StorageError):
    """The folder of results has been removed while something was at work in it."""

    _after = "what was in it is lost, and the same command begins anew"

    def __init__(self, path: object, reason: str = "it was removed in the meantime") -> None:
        super().__init__(path, reason)


def _short(value: Any, limit: int = 120) -> str:
    text = repr(str(value)) if hasattr(value, "__fspath__") else repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
