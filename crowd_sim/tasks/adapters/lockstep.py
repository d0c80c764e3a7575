"""Pieces of work side by side, whose questions are answered together: whenever all who are still at work have asked one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextvars import ContextVar
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

Q = TypeVar("Q")
T = TypeVar("T")


class Lockstep(Generic[Q]):
    """What several threads ask is answered in the thread that runs them; what together, no thread's speed decides."""

    def __init__(self, answer: Callable[[list[Q]], list[Any]]) -> None:
        """`answer`: the answers to questions, in their order."""
        self._answer = answer
        self._told: SimpleQueue[tuple[int, Q | None, Future[Any]]] | None = None

    def ask(self, question: Q) -> Any:
        """The answer to a question of a piece of work; given at once while nothing runs side by side.

        Raises:
            BaseException: this question, or one that was asked together with it, could not be answered.
        """
        if self._told is None:
            return self._answer([question])[0]
        future: Future[Any] = Future()
        self._told.put((_number.get(), question, future))
        return future.result()

    def run(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """What all pieces of work return.

        Raises:
            BaseException: the first of what they raised, once all are over; or an interruption, which all of them heard of.
        """
        told = self._told = SimpleQueue()
        ends: list[Future[T]] = [Future() for _ in works]
        for number, (work, end) in enumerate(zip(works, ends, strict=True)):
            Thread(target=partial(_do, work, number, told, end), daemon=True).start()
        waiting: dict[int, tuple[Q, Future[Any]]] = {}
        stopped: BaseException | None = None
        left = len(works)
        while left:
            try:
                number, question, future = told.get()
            except KeyboardInterrupt as error:
                if stopped is not None:
                    raise
                stopped = error  # heard with the next question: whoever is at work leaves things in order
                continue
            if question is None:
                left -= 1
            else:
                waiting[number] = question, future
            if len(waiting) == left > 0:
                stopped = self._settle([waiting[number] for number in sorted(waiting)], stopped)
                waiting = {}
        self._told = None
        if stopped is not None:
            raise stopped
        return [end.result() for end in ends]

    def _settle(self, asked: Sequence[tuple[Q, Future[Any]]], stopped: BaseException | None) -> BaseException | None:
        """Answer those who wait, unless something has stopped the work; returns what has, if anything."""
        try:
            answers = self._answer([question for question, _ in asked]) if stopped is None else []
        except BaseException as error:
            for _, future in asked:
                future.set_exception(error)
            return None if isinstance(error, Exception) else error
        for (_, future), answer in zip(asked, answers, strict=stopped is None):
            future.set_result(answer)
        for _, future in asked if stopped is not None else ():
            future.set_exception(stopped)
        return stopped


_number: ContextVar[int] = ContextVar("number")
"""Of the piece of work that a thread does."""


def _do(work: Callable[[], T], number: int, told: SimpleQueue[Any], end: Future[T]) -> None:
    _number.set(number)
    try:
        end.set_result(work())
    except BaseException as error:
        end.set_exception(error)
    told.put((number, None, end))
