"""What may go wrong without anyone's code being wrong; each prints as one line."""

from __future__ import annotations

from typing import Any


class InputError(ValueError):
    """Input that is refused before anything starts.

    Attributes:
        field: where the value stands: a dotted configuration field, an option, or ``file:line``.
        value: the refused value, ``None`` where there is none to show.
        allowed: what would be accepted, as the rest of a sentence.

    ``str(error)`` is always a single line.
    """

    def __init__(self, field: str, value: Any, allowed: str) -> None:
        self.field = field
        self.value = value
        self.allowed = allowed
        shown = "" if value is None else f" = {_short(value)}"
        super().__init__(" ".join(f"{field}{shown}: {allowed}".split()))

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
    """Results cannot be written: the disk is full, or gone. What was written before stands."""

    def __init__(self, path: object, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path} cannot be written ({reason}); what is finished is safe, and the same command goes on")

    def __reduce__(self) -> tuple[type[StorageError], tuple[object, str]]:
        return type(self), (self.path, self.reason)


def _short(value: Any, limit: int = 120) -> str:
    text = repr(str(value)) if hasattr(value, "__fspath__") else repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
