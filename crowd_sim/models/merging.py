"""Merging adapters: the best adapter of the same rank for a weighted sum of their products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crowd_sim.models.adapters import Adapter


def merge(adapters: Sequence[Adapter], weights: Sequence[float]) -> Adapter:
    """The adapter of the same rank nearest, in the Frobenius norm, to Σ wₖ BₖAₖ in every module.

    Its product is what peft's `add_weighted_adapter(combination_type="svd")` makes; as the sum has rank K · r at most, its
    singular values are found in that small space, after a QR decomposition of the stacked Bs and As, and not in the whole
    matrix's.

    One product has many factors, and what the next steps of tuning change depends on which: B moves the product by the length
    of A's rows. Here they are orthogonal and as long as the adapters' own, in the root mean square, so that merging leaves the
    learning rate at what it was. (Factors of equal length, the roots of the singular values each, would be short as long as the
    product is small: tuned at a fraction of the rate, and not at all from adapters that change nothing.)

    Args:
        adapters: K of one shape.
        weights: K; an adapter of weight 0 counts for nothing, its length neither.
    """
    merged: dict[str, NDArray[np.float32]] = {}
    counted = [pair for pair in zip(adapters, weights, strict=True) if pair[1] != 0.0]
    if counted:
        adapters, weights = [adapter for adapter, _ in counted], [weight for _, weight in counted]
    for name in (name.removesuffix(".lora_A") for name in adapters[0] if name.endswith(".lora_A")):
        a = np.concatenate([adapter[f"{name}.lora_A"] for adapter in adapters]).astype(np.float64)
        b = [w * adapter[f"{name}.lora_B"].astype(np.float64) for w, adapter in zip(weights, adapters, strict=True)]
        left, upper = np.linalg.qr(np.concatenate(b, axis=1))
        right, lower = np.linalg.qr(a.T)
        u, s, vt = np.linalg.svd(upper @ lower.T, full_matrices=False)
        rank = len(adapters[0][f"{name}.lora_A"])
        length = np.sqrt(np.square(a).sum() / len(a)) or 1.0  # of a row
        merged[f"{name}.lora_A"] = _rows(length * (vt[:rank] @ right.T), rank)
        merged[f"{name}.lora_B"] = _rows((left @ (u[:, :rank] * s[:rank])).T / length, rank).T.copy()
    return merged


def _rows(matrix: NDArray[np.float64], rank: int) -> NDArray[np.float32]:
    """`rank` rows: a module smaller than the rank has fewer singular values."""
    out = np.zeros((rank, matrix.shape[1]), dtype=np.float32)
    out[: len(matrix)] = matrix
    return out
