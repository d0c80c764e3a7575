"""Checkpoints of a run: the last two states, each in a file that is whole or not there, with a checksum.

One that cannot be used is set aside, and the one before it counts: one that is cut short or has a flipped bit, or that another
version or, in a folder whose configuration was changed, another configuration has left.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from crowd_sim.files import write_bytes

if TYPE_CHECKING:  # whoever only asks how far a run is needs no configuration
    from crowd_sim.config import CheckpointConfig

_KEPT = 2
_KIND, _FORMAT = b"crowd-sim checkpoint ", b"3"
"""What a file begins with; format 1 was pickled, and nothing of it is read; in format 2 the name had no checksum."""

_LARGEST_SHARE = 1 / 20
"""Of a run's time that checkpoints may take."""

_Flaw = Literal["damaged", "unusable"]
Stage = Literal["round", "values"]


@dataclass(frozen=True)
class Checkpoint:
    """A state that was kept.

    Attributes:
        round: after which it was taken; of a valuation, after how many evaluations.
        content: `crowd_sim.tournament.log.TournamentLog.pack` or `crowd_sim.valuation.log.ValuationLog.pack`.
        stage: which of the two.
    """

    round: int
    content: bytes
    stage: Stage = "round"


class Checkpoints:
    """The checkpoints in a run folder."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        """Of the run folder whose configuration and people have this fingerprint."""
        self._folder = folder / "checkpoints"
        self._print_of = fingerprint

    def write(self, checkpoint: Checkpoint) -> None:
        """Keep a state; of earlier ones only the last is left. Later ones, of no use to who has come here, are left alone.

        Raises:
            StorageError: it cannot be written.
        """
        body = self._print_of.encode() + b"\n" + checkpoint.content
        path = self._path(checkpoint.round, checkpoint.stage)
        write_bytes(path, _KIND + _FORMAT + b" " + checksum_of(path.stem, body) + b"\n" + body)
        for old in [other for other in self._paths(checkpoint.stage) if other <= path][_KEPT:]:
            old.unlink(missing_ok=True)

    def read(self) -> Iterator[Checkpoint]:
        """The states that can be read, of each stage the latest first; others are set aside."""
        for path in [*self._paths("round"), *self._paths("values")]:
            checkpoint = self._read(path)
            if isinstance(checkpoint, Checkpoint):
                yield checkpoint
            elif checkpoint is not None:
                _set_aside(path, checkpoint)

    def last(self, stage: Stage = "round") -> Checkpoint | None:
        """The latest state of a stage that can be read; changes nothing in the folder."""
        found = map(self._read, self._paths(stage))
        return next((checkpoint for checkpoint in found if isinstance(checkpoint, Checkpoint)), None)

    def set_aside(self, round_number: int, stage: Stage = "round") -> None:
        """Take the one after this round out of the row: its content is of no use."""
        _set_aside(self._path(round_number, stage), "unusable")

    def _path(self, number: int, stage: Stage) -> Path:
        return self._folder / f"{stage}-{number:08d}.checkpoint"

    def _paths(self, stage: Stage) -> list[Path]:
        return sorted(self._folder.glob(f"{stage}-*.checkpoint"), reverse=True)

    def _read(self, path: Path) -> Checkpoint | _Flaw | None:
        try:
            head, _, body = path.read_bytes().partition(b"\n")
        except OSError:
            return None
        if head != _KIND + _FORMAT + b" " + checksum_of(path.stem, body):
            earlier = any(head.startswith(_KIND + number) for number in (b"1 ", b"2 "))
            of_body = hashlib.sha256(body).hexdigest().encode()
            return "unusable" if earlier and head.endswith(b" " + of_body) else "damaged"
        fingerprint, _, content = body.partition(b"\n")
        if fingerprint.decode(errors="replace") != self._print_of:
            return "unusable"
        stage, _, number = path.stem.partition("-")
        return Checkpoint(int(number), content, "values" if stage == "values" else "round")


def is_whole(path: Path) -> bool:
    """Whether a checkpoint is what was written, of whatever run."""
    head, _, body = path.read_bytes().partition(b"\n")
    return head == _KIND + _FORMAT + b" " + checksum_of(path.stem, body)


def checksum_of(name: str, body: bytes) -> bytes:
    """Of a checkpoint's content and of the name of its file, which says after which round it was taken."""
    return hashlib.sha256(name.encode() + b"\n" + body).hexdigest().encode()


def _set_aside(path: Path, why: _Flaw) -> None:
    with suppress(FileNotFoundError):  # two managers, one of which died before it was heard, tell of the same
        path.replace(path.with_suffix(f".{why}"))


class CheckpointSchedule:
    """When the next checkpoint is due."""

    def __init__(self, config: CheckpointConfig) -> None:
        self._config = config
        self._last = time.monotonic()
        self._pause = config.seconds

    def is_due(self, round_number: int, rounds: int) -> bool:
        """Whether the state after this round of so many should be kept: always the last, for its values may take long."""
        every = self._config.rounds
        return round_number == rounds or (every > 0 and round_number % every == 0) or self.has_paused()

    def has_paused(self) -> bool:
        """Whether the last one was long enough ago."""
        return time.monotonic() - self._last >= self._pause

    def took(self, seconds: float) -> None:
        """A checkpoint was taken and cost this much."""
        self._last = time.monotonic()
        self._pause = max(self._config.seconds, seconds / _LARGEST_SHARE)
