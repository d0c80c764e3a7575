"""Optimisers that are counted, and stop where one likes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Stopped(Exception):
    """The process ended here."""


def tell_steps(told: Callable[[int], object]) -> Any:
    """Tells the number of every optimiser's step that is over, until what is returned is removed."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    number = 0

    def hook(*_: object) -> None:
        nonlocal number
        number += 1
        told(number)

    return register_optimizer_step_post_hook(hook)


@contextmanager
def after_steps(told: Callable[[int], object]) -> Iterator[None]:
    """The same as long as the context lasts."""
    handle = tell_steps(told)
    try:
        yield
    finally:
        handle.remove()


def stopping_at(last: int) -> Callable[[int], None]:
    """Stops after this step."""

    def told(number: int) -> None:
        if number == last:
            raise Stopped

    return told
