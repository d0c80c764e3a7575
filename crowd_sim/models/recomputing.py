"""Gradient checkpointing: what a layer computes forward is forgotten, and computed again on the way back (arXiv 1604.06174).

Done by hand: transformers' own goes with its training mode, in which models also drop units at random.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from crowd_sim.errors import InputError
from crowd_sim.models.language_model import Base


def recompute(base: Base) -> None:
    """Have a model's layers computed again wherever gradients are taken; generation stays as it is.

    Raises:
        InputError: a model without a list of layers.
    """
    layers = list(_layers(base.model))
    if not layers:
        allowed = f"must be false: {base.name} has no list of layers"
        raise InputError("task.gradient_checkpointing", True, allowed)
    for layer in layers:
        layer.forward = _recomputed(layer.forward)


def _layers(module: Any) -> Iterator[Any]:
    """The members of lists of modules, none of them inside of another."""
    import torch

    for child in module.children():
        if isinstance(child, torch.nn.ModuleList):
            yield from child
        else:
            yield from _layers(child)


def _recomputed(forward: Any) -> Any:
    import torch
    from torch.utils.checkpoint import checkpoint

    def recomputed(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        # nothing is drawn at random: the model is in evaluation mode
        return checkpoint(partial(forward, **kwargs), *args, use_reentrant=False, preserve_rng_state=False)

    return recomputed
