"""Judged outputs by content: the same candidate, prompts and draws give the same outputs, and are judged once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import isnan, nan
from pathlib import Path

import numpy as np

from crowd_sim.arrays import pack, unpack, with_digest, without_digest
from crowd_sim.files import write_bytes
from crowd_sim.models.jobs import OutputJob, Outputs, TuneJob


@dataclass(frozen=True, eq=False)
class Judged:
    """What is kept under a name.

    Attributes:
        outputs: of the candidates of one call.
        n_trained: tokens that the candidate was tuned on for it; 0 where it was given.
    """

    outputs: tuple[Outputs, ...]
    n_trained: int = 0


def content_name(jobs: Sequence[OutputJob | TuneJob]) -> str:
    """A digest of all that a call's jobs say, in their order: candidates judged together affect each other's last bits."""
    digest = hashlib.sha256()
    for part in (part for job in jobs for part in _parts(job)):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class OutputCache:
    """In memory and, where one is given, in a folder, a file each; one that is damaged counts as not there.

    Attributes:
        folder: of one learner's outputs; processes may share it.
    """

    folder: Path | None = None
    _known: dict[str, Judged] = field(default_factory=dict, init=False, repr=False)

    def get(self, name: str) -> Judged | None:
        """What is kept under a name."""
        if name not in self._known and self.folder is not None:
            try:
                self._known[name] = _unpacked((self.folder / name).read_bytes())
            except (OSError, ValueError, KeyError, TypeError):  # not there, or damaged
                return None
        return self._known.get(name)

    def put(self, name: str, judged: Judged) -> None:
        """Keep it.

        Raises:
            StorageError: the folder cannot be written.
        """
        self._known[name] = judged
        if self.folder is not None:
            write_bytes(self.folder / name, _packed(judged))


def _parts(job: OutputJob | TuneJob) -> Iterator[bytes]:
    """A job's content, without a doubt where a part ends."""
    if isinstance(job, TuneJob):
        adapter, told = job.start, repr((job.examples, job.key, job.training, job.n_tokens))
    else:
        adapter, told = job.adapter, repr((job.prompts, job.key, job.purpose, job.sampling, *job.held, *job.before))
    yield f"{type(job).__name__} {told}".encode("utf-8", "surrogatepass")
    for name, weights in adapter.items():
        yield f"{name} {weights.shape} {weights.dtype}".encode()
        yield np.ascontiguousarray(weights).tobytes()


def _packed(judged: Judged) -> bytes:
    vectors = {str(k): {"vectors": outputs.vectors} for k, outputs in enumerate(judged.outputs)}
    told = [
        {"texts": outputs.texts, "n_tokens": outputs.n_tokens, "loss": None if isnan(outputs.loss) else outputs.loss}
        for outputs in judged.outputs
    ]
    return with_digest(pack(vectors, {"outputs": told, "n_trained": judged.n_trained}))


def _unpacked(content: bytes) -> Judged:
    arrays, header = unpack(without_digest(content))
    outputs = [
        Outputs(
            tuple(told["texts"]),
            arrays[str(k)]["vectors"],
            told["n_tokens"],
            nan if told["loss"] is None else told["loss"],
        )
        for k, told in enumerate(header["outputs"])
    ]
    return Judged(tuple(outputs), header["n_trained"])
