"""Texts through a transformer, in batches that depend on the list of texts alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.models.memory import Room, halves
from crowd_sim.models.model_hub import require
from crowd_sim.progress import Progress, quiet

BATCH_SIZE = 32

Forward = Callable[[Any, Any], Any]
"""(token ids int64[b, l], mask int64[b, l]) -> rows float32[b, d]; torch tensors."""


@dataclass(frozen=True)
class Batcher:
    """How texts become tokens, and where they are computed.

    Attributes:
        tokenizer: of the model; it has a padding token.
        max_length: tokens; of longer texts the rest is left out.
        device: a torch device.
    """

    tokenizer: Any
    max_length: int
    device: str

    def __call__(
        self, texts: Sequence[str], forward: Forward, n_dimensions: int, progress: Progress = quiet
    ) -> NDArray[np.float64]:
        """``forward`` of every text: float64[m, d], in the order of ``texts``.

        Texts are ordered by their number of tokens (of equals the earlier first), cut into batches of 32 and padded on the
        right. Where memory does not suffice a batch is computed in halves. On a CPU every batch is computed by one thread, as
        many batches at a time as torch has threads: sums over several threads would depend on how many there are.

        Args:
            texts: [m]; a text may be empty.
            forward: what is computed.
            n_dimensions: d.
            progress: told how many texts are done.
        """
        import torch

        if not texts:
            return np.zeros((0, n_dimensions))
        tokens = self._tokens(texts)
        order = sorted(range(len(texts)), key=lambda row: (len(tokens[row]), row))
        batches = [order[start : start + BATCH_SIZE] for start in range(0, len(order), BATCH_SIZE)]

        def compute(rows: Sequence[int]) -> NDArray[np.float64]:
            if self.device == "cpu":
                torch.set_num_threads(1)  # of this Python thread
            if room.holds(len(rows)):
                try:
                    with torch.inference_mode():
                        ids, mask = self._padded([tokens[row] for row in rows])
                        return np.asarray(forward(ids, mask).double().cpu().numpy())
                except Exception as error:
                    room.full(error, len(rows))
            return np.concatenate([compute(half) for half in halves(rows)])

        room = Room("texts", self.device)
        n_threads = torch.get_num_threads()
        out, done = np.empty((len(texts), n_dimensions)), 0
        try:
            with ThreadPoolExecutor(n_threads if self.device == "cpu" else 1) as pool:
                for rows, values in zip(batches, pool.map(compute, batches), strict=True):
                    out[rows] = values
                    done += len(rows)
                    progress("texts", done, len(texts))
        finally:
            torch.set_num_threads(n_threads)  # threads that start later take the last number set by anyone
        return out

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, with those that `max_length` leaves out."""
        if not texts:
            return []
        found = self.tokenizer(list(texts), padding=False, split_special_tokens=True, verbose=False)["input_ids"]
        return [len(ids) for ids in found]

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        # control tokens that a text spells out are text
        cut = {"truncation": True, "max_length": self.max_length}
        found = self.tokenizer(list(texts), padding=False, split_special_tokens=True, **cut)["input_ids"]
        # a tokenizer that adds no token of its own leaves nothing of an empty text
        return [ids or [self.tokenizer.pad_token_id] for ids in found]

    def _padded(self, tokens: list[list[int]]) -> tuple[Any, Any]:
        import torch

        length = max(map(len, tokens))
        ids = torch.full((len(tokens), length), self.tokenizer.pad_token_id, dtype=torch.long)
        mask = torch.zeros((len(tokens), length), dtype=torch.long)
        for row, own in enumerate(tokens):
            ids[row, : len(own)] = torch.tensor(own, dtype=torch.long)
            mask[row, : len(own)] = 1
        return ids.to(self.device), mask.to(self.device)


def load_batcher(model: str, folder: Any, config: Any, device: str, max_length: int | None = None) -> Batcher:
    """The batcher of a model's folder.

    Args:
        model: its name, for the errors.
        folder: the folder.
        config: the model's configuration.
        device: as in `crowd_sim.models.phi.load_phi`.
        max_length: tokens; ``None`` or too many: as many as model and tokenizer take.

    Raises:
        InputError: no tokenizer that can be read, or one without a padding token.
    """
    transformers = require("transformers", "phi.model", model)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # of any class: it depends on the file that is missing or damaged
        raise InputError("phi.model", model, f"a tokenizer that can be read is needed ({error})") from error
    if tokenizer.pad_token_id is None:
        raise InputError("phi.model", model, "a tokenizer with a padding token is needed")
    limits = [tokenizer.model_max_length, max_length]
    positions = getattr(config, "max_position_embeddings", None)
    if positions:
        # RoBERTa and its kin count positions from the padding token's number on
        limits.append(positions - (config.pad_token_id + 1 if "roberta" in config.model_type else 0))
    return Batcher(tokenizer, min(limit for limit in limits if limit), device)


def check_device(device: str) -> None:
    """Checks that torch is there and can use a device.

    Raises:
        InputError: it is not, or cannot.
    """
    torch = require("torch", "phi.device", device)
    try:
        torch.zeros(1, device=device)
    # torch's three ways to say so: no such device, a build without it, and a kind of device that holds no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).strip().splitlines()[0]
        raise InputError(
            "phi.device", device, f"must be a device that torch can use here, as cpu or cuda ({first})"
        ) from error
