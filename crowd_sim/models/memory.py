"""Too little memory is no bug: what was too much at once is done in halves, which changes no more than the last bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crowd_sim.errors import InputError

_SAYS = ("DefaultCPUAllocator: can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")
"""What torch's errors of no class of their own say."""

_events: list[dict[str, Any]] = []


def take_events() -> list[dict[str, Any]]:
    """What there is to tell of this process's memory since the last call: details of an event each."""
    taken = _events[:]
    del _events[: len(taken)]
    return taken


class Room:
    """How much there is memory for at once, as far as is known; found out anew by each call that computes something."""

    def __init__(self, what: str, device: Any) -> None:
        """Of things of this kind, in the plural, on this device."""
        self._what, self._device = what, str(device)
        self._most: int | None = None

    def holds(self, n: int) -> bool:
        """Whether so many may be tried: a single one always."""
        return self._most is None or n <= self._most

    def full(self, error: Exception, n: int) -> None:
        """So many were too much, as this error says. Leave its handler before the next try: its traceback holds the memory.

        Raises:
            InputError: it was one alone.
            Exception: the error itself, where it tells of something else.
        """
        if not _is_out_of_memory(error):
            raise error
        if n < 2:
            allowed = (
                f"has no memory for one of the {self._what} alone: lower task.max_tokens or task.generation.max_new_tokens, "
                "or choose a smaller model"
            )
            raise InputError("task.device", self._device, allowed) from None
        self._most = (n + 1) // 2
        _events.append({"what": self._what, "at_once": n, "from_now_on": self._most})


def halves(items: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
    """The first half of a sequence, and the rest."""
    middle = len(items) // 2
    return items[:middle], items[middle:]


def _is_out_of_memory(error: Exception) -> bool:
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _SAYS)
