"""A game whose utilities stay on disk, for games that take seconds or minutes a coalition.

Layout: ``folder/<hash of fingerprint and n>/<writer>.log``. Every writer, one process at a time, appends to a log of its own
and reads those of the others, so that there is nothing to lock and nothing that two of them could break. A log is
a row of records of one length: the packed coalition, ⌈n / 8⌉ bytes; its utility, a little-endian float64; and the CRC-32 of
both, begun with that of fingerprint and n. A record that does not match its checksum (torn by a crash, damaged, of another
game) counts as not there, and the ones around it are unharmed. A record written is safe from the process's end, kill -9
included; it is left to the operating system when it reaches the disk.
"""

from __future__ import annotations

import hashlib
import os
import time
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.valuation.games import AveragingGame, ClosedFormGame, Game, HeartbeatGame, players_of
from crowd_sim.valuation.noise import noise_of
from crowd_sim.valuation.pacing import paced
from crowd_sim.valuation.utility_table import Memory, packed, packed_bytes
from crowd_sim.valuation.validation import real

_SECONDS_PER_WRITE = 0.1
"""The game is called with as many coalitions as take about this long, so that a crash loses no more."""


@dataclass(frozen=True, eq=False)
class CachedGame:
    """``game``, with its utilities looked up in ``folder`` and added to it.

    It may be pickled and sent to evaluators; each process opens the folder for itself, when first called. Processes on one
    machine, or on several with the folder on a file system they share, find each other's utilities; two that want the same
    one at the same moment may both evaluate it. In a process, one thread at a time. What an averaging game knows of itself is
    kept: it is valued as the bare one.

    Attributes:
        game: each of its utilities a function of the coalition alone; called with a few coalitions at a time.
        folder: made where it is not there; may hold any number of games.
        fingerprint: names the game: whatever its utilities depend on (data, model, seeds, versions) has to be in it.
            Games of the same fingerprint and number of players share their utilities.

    Raises:
        InputError: no game, no fingerprint, or a folder that has no name, or cannot be made or written.
    """

    game: Game
    folder: str | Path
    fingerprint: str
    _opened: list[_Store] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        players_of(self.game)
        if not isinstance(self.folder, str | os.PathLike) or not str(self.folder):
            raise InputError("folder", self.folder, "must be the path of a folder")
        if not isinstance(self.fingerprint, str) or not self.fingerprint:
            raise InputError("fingerprint", self.fingerprint, "must be a string that names the game")
        if noise_of(self.game) is not None:
            allowed = "must be None: what is stored would be one answer of many"
            raise InputError("game.noise", noise_of(self.game), allowed)
        # an evaluator may work in another folder than its driver
        object.__setattr__(self, "folder", Path(self.folder).absolute())
        _made(self._path)

    def __reduce__(self) -> tuple[type[CachedGame], tuple[Game, str, str]]:
        return CachedGame, (self.game, str(self.folder), self.fingerprint)

    @property
    def n_players(self) -> int:
        """Number of players."""
        return self.game.n_players

    @property
    def averaging(self) -> AveragingGame | None:
        """The game itself, where it is an averaging game."""
        return self.game if isinstance(self.game, AveragingGame) else None

    def shapley_values(self) -> NDArray[np.float64] | None:
        """Closed-form Shapley values float64[n] of the game, ``None`` where it has none."""
        return self.game.shapley_values() if isinstance(self.game, ClosedFormGame) else None

    def __call__(self, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Utilities float64[m] of ``coalitions`` bool[m, n]; the game is called with those that nobody has stored.

        Raises:
            InputError: the game's answer has the wrong shape, or is no numbers.
            OSError: the folder cannot be written any more: a full disk, say.
        """
        return self._store().utilities(coalitions, self.game)

    def heartbeat(self) -> int:
        """That of the game, where it has one."""
        return self.game.heartbeat() if isinstance(self.game, HeartbeatGame) else 0

    @property
    def _path(self) -> Path:
        key = f"{self.n_players}\n{self.fingerprint}"
        return Path(self.folder) / hashlib.sha256(key.encode()).hexdigest()[:32]

    def _store(self) -> _Store:
        if not self._opened or self._opened[0].process != os.getpid():  # a fork must not write its parent's log
            crc = zlib.crc32(f"{self.n_players}\n{self.fingerprint}".encode())
            self._opened[:] = [_Store(_made(self._path), self.n_players, crc)]
        return self._opened[0]


_Call = Callable[[NDArray[np.bool_]], NDArray[np.float64]]


class _Store:
    """One process's view of the logs in a folder, and its own log."""

    def __init__(self, folder: Path, n_players: int, crc: int) -> None:
        self.process = os.getpid()
        self._folder = folder
        self._crc = crc
        self._memory = Memory(n_players)
        self._read_until: dict[str, int] = {}
        self._own = ""
        self._at_a_time = 1
        self._record = np.dtype([("coalition", np.uint8, packed_bytes(n_players)), ("utility", "<f8"), ("crc", "<u4")])

    def utilities(self, coalitions: NDArray[np.bool_], game: _Call) -> NDArray[np.float64]:
        """Utilities float64[m] of ``coalitions`` bool[m, n], of which ``game`` evaluates those that are not stored."""
        numbers = self._memory.numbers(packed(coalitions))
        left = np.unique(numbers)
        while True:
            if len(left):
                left = left[np.isnan(self._memory.utilities(0, left))]
            if len(left):
                self._read()  # others may have stored some of them in the meantime
                left = left[np.isnan(self._memory.utilities(0, left))]
            if not len(left):
                return self._memory.utilities(0, numbers)
            now, left = left[: self._at_a_time], left[self._at_a_time :]
            start = time.perf_counter()
            answer = _called(game, self._memory.masks(now))
            self._at_a_time = paced(self._at_a_time, len(now), time.perf_counter() - start, _SECONDS_PER_WRITE)
            good = np.isfinite(answer)
            self._append(now[good], answer[good])
            self._memory.put_game(0, now, answer)
            if np.isinf(answer).any():  # not stored, and the caller will say which it is
                return self._memory.utilities(0, numbers)

    def _append(self, numbers: NDArray[np.int64], utilities: NDArray[np.float64]) -> None:
        records = np.empty(len(numbers), dtype=self._record)
        records["coalition"] = self._memory.rows(numbers)
        records["utility"] = utilities
        records["crc"] = self._checksums(records)
        if not self._own:
            self._own = f"{uuid.uuid4().hex}.log"
        try:
            with (self._folder / self._own).open("ab", buffering=0) as log:
                rest = memoryview(records.tobytes())
                while rest:
                    rest = rest[log.write(rest) :]
        except BaseException:
            self._own = ""  # its last record may be torn: nothing may follow it
            raise

    def _read(self) -> None:
        """Take in what others have appended since the last time."""
        for entry in sorted(os.scandir(self._folder), key=lambda entry: entry.name):
            begin, size = self._read_until.get(entry.name, 0), self._record.itemsize
            if entry.name == self._own or not entry.name.endswith(".log"):
                continue
            try:
                count = entry.stat().st_size // size - begin
                if count <= 0:
                    continue
                records = np.fromfile(entry.path, dtype=self._record, count=count, offset=begin * size)
            except OSError:  # not there any more, or not to be read: evaluated anew
                continue
            # whole records only: what is behind them may be in the middle of its writing
            self._read_until[entry.name] = begin + len(records)
            good = records[records["crc"] == self._checksums(records)]
            good = good[np.isfinite(good["utility"])]
            numbers = self._memory.numbers(np.ascontiguousarray(good["coalition"]))
            self._memory.put_game(0, numbers, good["utility"])

    def _checksums(self, records: NDArray[np.void]) -> NDArray[np.uint32]:
        size = records.dtype.itemsize
        content = records.tobytes()
        starts = range(0, len(content), size)
        return np.array([zlib.crc32(content[at : at + size - 4], self._crc) for at in starts], dtype=np.uint32)


def _called(game: _Call, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
    answer = real("game", game(coalitions))
    if answer.shape != (len(coalitions),):
        raise InputError("game", answer.shape, f"must return the shape ({len(coalitions)},)")
    return answer


def _made(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("folder", str(path.parent), f"must be a folder to write in ({error.strerror})") from None
    return path
