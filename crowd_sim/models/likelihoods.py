"""How likely responses are: the one primitive that objectives, choices and held-out losses are made of.

Responses are packed, row k goes through the k-th adapter in use, and all of it can be differentiated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.models.adapters import Adapter, AdapterStack
from crowd_sim.models.fused_ops import cross_entropies
from crowd_sim.models.language_model import Base
from crowd_sim.models.memory import Room, halves
from crowd_sim.models.packing import Packed, Tokens, attention, pack, rows_of

TRAINED_TOKENS = 256
"""Predicted tokens of a packed row, about: what attention costs grows with the square of a row, what a prompt costs with their
number."""
ROW_TOKENS = 1024
"""Tokens of a packed row at most, prompts included, unless a configuration says otherwise."""


_SCALES = (4096.0, 512.0, 64.0, 8.0, 1.0)


def scales_of(base: Base) -> tuple[float, ...]:
    """What a loss may be multiplied by before its gradient is taken, the first with which that is finite; powers of two.

    In float16 what is small becomes 0 on the way back, in the other types nothing that matters.
    """
    return _SCALES if str(base.dtype) == "torch.float16" else (1.0,)


def token_losses(base: Base, rows: Sequence[Packed]) -> Sequence[Any]:
    """Cross-entropies of the predicted tokens of each row: K tensors float32[M_k], in nats, differentiable.

    Row k goes through the k-th adapter in use.
    """
    import torch

    width = max(len(row.ids) for row in rows)
    ids = torch.zeros((len(rows), width), dtype=torch.int64)
    positions = torch.zeros((len(rows), width), dtype=torch.int64)
    allowed = np.stack([attention(row, width) for row in rows])
    for k, row in enumerate(rows):
        ids[k, : len(row.ids)] = torch.from_numpy(row.ids)
        positions[k, : len(row.ids)] = torch.from_numpy(row.positions)
    device, kind = base.device, base.dtype
    mask = torch.zeros(allowed.shape, dtype=kind, device=device)
    mask.masked_fill_(~torch.from_numpy(allowed).to(device), torch.finfo(kind).min)
    needed = np.unique(np.concatenate([row.sources for row in rows]))  # places whose output matters
    logits = base.model(
        input_ids=ids.to(device),
        position_ids=positions.to(device),
        attention_mask=mask[:, None],
        logits_to_keep=torch.from_numpy(needed).to(device),
        use_cache=False,
    ).logits
    places = [k * len(needed) + np.searchsorted(needed, row.sources) for k, row in enumerate(rows)]
    losses = cross_entropies(
        logits.flatten(0, 1),
        torch.from_numpy(np.concatenate(places)).to(device),
        torch.from_numpy(np.concatenate([row.targets for row in rows])).to(device),
    )
    return losses.split([len(row.targets) for row in rows])


def losses_of(base: Base, rows: Sequence[Packed]) -> Any:
    """Mean cross-entropy of the predicted tokens of each row: float32[K], differentiable.

    Row k goes through the k-th adapter in use.
    """
    import torch

    return torch.stack([part.mean() for part in token_losses(base, rows)])


def log_likelihoods(base: Base, rows: Sequence[Packed]) -> list[Any]:
    """Summed log-probabilities of every response: K tensors float32[n_examples], in the order in which a row was packed.

    They can be differentiated. Row k goes through the k-th adapter in use.
    """
    return [summed(row, losses) for row, losses in zip(rows, token_losses(base, rows), strict=True)]


def summed(row: Packed, losses: Any) -> Any:
    """Log-probabilities of a row's responses, float32[n_examples], of its tokens' cross-entropies float32[M]."""
    import torch

    owners = torch.from_numpy(row.owners).to(losses.device)
    return torch.zeros(row.n_examples, device=losses.device).index_add(0, owners, -losses)


def responses_of(
    base: Base, stack: AdapterStack, adapter: Adapter, examples: Sequence[Tokens], row_tokens: int = ROW_TOKENS
) -> NDArray[np.float64]:
    """Summed log-probabilities of every response under one adapter: float64[m], in nats; nothing is trained."""
    stack.put([adapter], trainable=False)
    return passing(base, examples, row_tokens)


def passing(base: Base, examples: Sequence[Tokens], row_tokens: int = ROW_TOKENS) -> NDArray[np.float64]:
    """The same under the adapter in use; where memory does not suffice for a row, of its halves.

    Raises:
        InputError: it does not suffice for one response.
    """
    found, room = np.empty(len(examples)), Room("responses", base.device)
    for numbers in rows_of(examples, TRAINED_TOKENS, row_tokens) if examples else ():
        _pass(base, examples, numbers, room, found)
    return found


def _pass(
    base: Base, examples: Sequence[Tokens], numbers: Sequence[int], room: Room, found: NDArray[np.float64]
) -> None:
    """Put those of these numbers into `found`."""
    import torch

    if room.holds(len(numbers)):
        try:
            with torch.no_grad():
                (own,) = log_likelihoods(base, [pack([examples[i] for i in numbers])])
        except Exception as error:
            room.full(error, len(numbers))
        else:
            found[numbers] = own.double().cpu().numpy()
            return
    for half in halves(numbers):
        _pass(base, examples, half, room, found)
