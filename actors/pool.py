"""A pool of actors of one kind: what fails is replaced, its work repeated, by the one policy of `crowd_sim.actors.failure`.

Actors hold nothing but what they were built of, so a new one is as good as the old. Answers are asked for in the order of the
calls, whatever the order in which they arrive.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import GetTimeoutError, RayError

from crowd_sim.actors.failure import POLL, Decision, Failure, Past, budget_spent, decide
from crowd_sim.actors.ray_errors import failure_of, plain
from crowd_sim.actors.run_metrics import RunMetrics
from crowd_sim.errors import ClusterError, QuarantinedError

if TYPE_CHECKING:
    from crowd_sim.config import FailureConfig


@dataclass(frozen=True)
class Work:
    """A call of an actor's method.

    Attributes:
        member: number of the actor.
        method, arguments: of the call.
        name: what a person would call it.
        may_kill: whether it is a suspect when its actor dies; a whole run, say, is not, as it goes on where it was.
    """

    member: int
    method: str
    arguments: tuple[Any, ...]
    name: str
    may_kill: bool = True


@dataclass
class PendingCall:
    """Work that has been sent: the answer to come, to whom it was sent, and since when it is waited for."""

    work: Work
    ref: Any
    actor: Any
    since: float


class Pool:
    """So many actors, each replaced when it fails."""

    def __init__(
        self,
        kind: str,
        make: Callable[[int], Any],
        number: int,
        limits: FailureConfig,
        measures: RunMetrics,
        on_idle: Callable[[], None] | None = None,
        heartbeat: str = "",
    ) -> None:
        """Start `make(i)` for every i; they get ready while the caller goes on.

        Args:
            kind: what messages call an actor.
            make: starts the actor of a number.
            number: how many.
            limits: deadline, and budgets of failures.
            measures: told what is in flight and what fails.
            on_idle: called every `POLL` seconds while an answer is waited for.
            heartbeat: the actors' method, answered by a thread of its own, that returns a number; one whose number has changed
                since it was last asked is alive, and its deadline begins anew.
        """
        self._kind, self._make, self._limits, self._measures = kind, make, limits, measures
        self._on_idle, self._heartbeat = on_idle, heartbeat
        self._past = [Past()] * number
        self._asked: dict[int, Any] = {}
        self._heartbeats = [0] * number
        self._flying = 0
        self.actors: list[Any] = []
        self._ready: list[Any] = []
        self._answered: list[float] = []
        for member in range(number):
            self.actors.append(make(member))
            self._ready.append(self.actors[member].__ray_ready__.remote())
            self._answered.append(0.0)

    def __len__(self) -> int:
        return len(self.actors)

    def submit(self, work: Work) -> PendingCall:
        """Send work; `answer` waits for it."""
        self._count(1)
        return self._sent(work)

    def answer(self, ticket: PendingCall) -> Any:
        """The answer, from whichever actor gives it.

        Raises:
            ClusterError: more has failed than may.
            InputError, StrategyError: the code that ran raised it.
            RayTaskError: it raised something else; with its traceback.
        """
        while True:
            try:
                value = self._wait(ticket)
            except _Failed as failed:
                self._replace(ticket, failed)
                ticket = self._sent(ticket.work)
            else:
                break
        self._count(-1)
        self.is_alive(ticket.work.member)
        self._past[ticket.work.member] = Past()
        return value

    def gather(self, works: Iterable[Work]) -> list[Any]:
        """The answers to all, in their order; each is sent before the next is asked for."""
        tickets = [self.submit(work) for work in works]
        return [self.answer(ticket) for ticket in tickets]

    def is_alive(self, member: int) -> None:
        """The actor has given a sign of life: its deadline begins anew."""
        self._answered[member] = time.monotonic()

    def has_progressed(self, member: int) -> None:
        """What the actor has done will not have to be done again: its failures so far count no more."""
        self._past[member] = Past()

    def close(self) -> None:
        """Give the actors' resources back."""
        for actor in self.actors:
            ray.kill(actor)
        self._measures.queued(self._kind, 0)

    def _count(self, calls: int) -> None:
        self._flying += calls
        self._measures.queued(self._kind, self._flying)
        self._measures.lives()

    def _sent(self, work: Work) -> PendingCall:
        actor, since = self.actors[work.member], time.monotonic()
        return PendingCall(work, getattr(actor, work.method).remote(*work.arguments), actor, since)

    def _wait(self, ticket: PendingCall) -> Any:
        """The answer; looks up every `POLL` seconds, so that nobody waits for what cannot come."""
        member = ticket.work.member
        is_ready = self._answered[member] > 0.0  # it, or the one that has taken its place, had started
        while True:
            try:
                return ray.get(ticket.ref, timeout=POLL)
            except GetTimeoutError:
                self._measures.lives()
                if self._on_idle:
                    self._on_idle()
                if self._heartbeat:
                    self._listen()
                if not is_ready and self._is_ready(member):
                    is_ready, ticket.since = True, max(ticket.since, time.monotonic() - POLL)
                waited = time.monotonic() - max(ticket.since, self._answered[member])
                if is_ready and waited > self._limits.deadline:
                    raise _Failed(Failure.HANG, f"no answer for {waited:.0f} s") from None
                if not is_ready and waited > self._limits.start:
                    raise self._cannot_start(member) from None
            except RayError as error:
                raise _raised(error) from None

    def _replace(self, ticket: PendingCall, failed: _Failed) -> None:
        """Put a new actor in the place of one that failed, unless an earlier answer has shown it and it is done."""
        member = ticket.work.member
        if self.actors[member] is not ticket.actor:
            return
        start = time.monotonic()
        self._measures.failed(self._kind, member, failed.failure, ticket.work.name)
        suspect = ticket.work.may_kill and (failed.failure is Failure.HANG or self._is_ready(member))
        while True:
            with suppress(RayError):
                ray.kill(self.actors[member])  # one that hangs, or cannot be reached, must not come back
            self._charge(ticket.work, failed, suspect)
            self.actors[member] = self._make(member)
            self._ready[member] = self.actors[member].__ray_ready__.remote()
            try:
                self._await_start(member)
            except _Failed as again:
                failed, suspect = again, False
            else:
                break
        self._measures.recovered(self._kind, member, time.monotonic() - start)

    def _charge(self, work: Work, failed: _Failed, suspect: bool) -> None:
        """Raise, unless the failure is to be made good."""
        failure, past, limits = failed.failure, self._past[work.member], self._limits
        decision = decide(failure, past, limits, suspect=suspect)
        self._past[work.member] = now = past.after(failure, suspect)
        if decision is Decision.QUARANTINE:
            what = f"{self._kind} {failure.said(limits)} at it {now.blamed} times"
            raise QuarantinedError(f"{work.name} is quarantined: {what}")
        if decision is Decision.GIVE_UP:
            raise budget_spent(f"{self._kind} {work.member}", failure, limits, failed.why)

    def _listen(self) -> None:
        """Ask all actors for their heartbeats; those whose number has changed are alive."""
        for member, actor in enumerate(self.actors):
            if member not in self._asked:
                self._asked[member] = getattr(actor, self._heartbeat).remote()
            if not ray.wait([self._asked[member]], timeout=0)[0]:
                continue
            with suppress(RayError):  # one that died shows when its work is asked for
                if (heartbeat := ray.get(self._asked.pop(member), timeout=POLL)) != self._heartbeats[member]:
                    self._heartbeats[member] = heartbeat
                    self.is_alive(member)

    def _await_start(self, member: int) -> None:
        start = time.monotonic()
        while time.monotonic() - start < self._limits.start:
            try:
                ray.get(self._ready[member], timeout=POLL)
            except GetTimeoutError:
                self._measures.lives()
                continue
            except RayError as error:
                raise _raised(error) from None
            return
        raise self._cannot_start(member)

    def _is_ready(self, member: int) -> bool:
        """Whether the actor had come into being, be it dead by now."""
        try:
            ray.get(self._ready[member], timeout=POLL if self._answered[member] else 0)
        except RayError:
            return False
        return True

    def _cannot_start(self, member: int) -> ClusterError:
        free = ray.available_resources()
        return ClusterError(
            f"{self._kind} {member} could not be started within {self._limits.start:g} s; the cluster has "
            f"{free.get('CPU', 0.0):g} CPUs and {free.get('GPU', 0.0):g} GPUs free"
        )


def _raised(error: RayError) -> Exception:
    """A bug, or what the policy is to decide about."""
    failure = failure_of(error)
    return plain(error) if failure is Failure.BUG else _Failed(failure, str(error))


class _Failed(Exception):  # noqa: N818 it never leaves this module
    def __init__(self, failure: Failure, why: str) -> None:
        super().__init__(why)
        self.failure, self.why = failure, why
