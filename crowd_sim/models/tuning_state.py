"""A candidate half tuned, kept in a file: who is stopped in the middle goes on from there, with the same bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crowd_sim.arrays import Arrays, pack, unpack, with_digest, without_digest
from crowd_sim.files import write_bytes
from crowd_sim.models.adapters import Adapter

_DIGITS = 8


@dataclass(frozen=True, eq=False)
class TuningState:
    """A candidate after so many steps; the place in its stream of examples is the number of these.

    Attributes:
        adapter: its weights.
        moments: AdamW's, by name, of every weight; empty before the first step with a gradient, and after the last.
        losses: float64[steps], each step's.
        n_tokens: response tokens trained.
        spent: tokens that its steps were given, see `crowd_sim.models.steps.Step`.
        moved: steps that had a gradient.
        is_over: whether all steps are done.
    """

    adapter: Adapter
    moments: Mapping[str, Mapping[str, NDArray[np.float32]]]
    losses: NDArray[np.float64]
    n_tokens: int
    spent: int
    moved: int
    is_over: bool = False


@dataclass(frozen=True)
class TuningFile:
    """The file of a candidate.

    Attributes:
        path: its name begins with the number of the round and tells all that the candidate depends on.
        every: steps after which it is written, and at the end.
    """

    path: Path
    every: int

    def of(self, stage: str) -> TuningFile:
        """That of a stage that comes before, a job of its own."""
        return replace(self, path=self.path.with_name(f"{self.path.name}-{stage}"))

    def read(self) -> TuningState | None:
        """What was written last; None where nothing was, or what is there is damaged."""
        try:
            arrays, header = unpack(without_digest(self.path.read_bytes()))
            moments, losses = arrays.get("moments", {}), arrays["losses"]
            n_tokens, spent, moved = (int(header[name]) for name in ("n_tokens", "spent", "moved"))
            return TuningState(arrays["adapter"], moments, losses, n_tokens, spent, moved, header["over"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, state: TuningState) -> None:
        """Keep it; candidates of rounds before the last one are of no more use, and forgotten.

        Raises:
            StorageError: it cannot be written.
        """
        arrays: Arrays = {"adapter": state.adapter, "moments": state.moments, "losses": state.losses}
        header = {"n_tokens": state.n_tokens, "spent": state.spent, "moved": state.moved, "over": state.is_over}
        write_bytes(self.path, with_digest(pack(arrays, header)))
        number = int(self.path.name[:_DIGITS])
        for other in self.path.parent.glob("[0-9]*"):
            if int(other.name[:_DIGITS]) < number - 1:
                other.unlink(missing_ok=True)


@dataclass(frozen=True)
class TuningFolder:
    """Where candidates of one learner are kept while they are tuned.

    Attributes:
        path: of the folder; processes may share it.
        every: see `TuningFile`.
    """

    path: Path
    every: int

    def file(self, number: int, name: str) -> TuningFile:
        """The file of a candidate of this round, with a name that tells all that it depends on."""
        return TuningFile(self.path / f"{number:0{_DIGITS}d}-{name}", self.every)
