"""Small heads that guess probabilities from features, fitted to all texts but a fifth each.

Every text is left out of one of five heads, so that their quality is measured on texts that a head has not seen, on all of
them, and none is lost to the fit. Together, by their mean, they are a little better than one.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.models.distilled import logits
from crowd_sim.progress import Progress, quiet
from crowd_sim.random import Purpose, generator

N_HEADS = 5
N_HIDDEN = 512
N_EPOCHS = 15
BATCH_SIZE = 64
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.01
DROPOUT = 0.5


@dataclass(frozen=True)
class Heads:
    """Fitted heads, and what they say of the texts that they have not seen.

    Attributes:
        tensors: as `crowd_sim.models.distilled.SHAPES`.
        held_out: probabilities float64[m, n_labels], each row by the one head that was not fitted to its text.
    """

    tensors: dict[str, Any]
    held_out: NDArray[np.float64]


def fit_heads(
    features: NDArray[np.float64],
    scores: NDArray[np.float64],
    keys: Sequence[int],
    seed: int,
    progress: Progress = quiet,
) -> Heads:
    """Five heads: features, standardised, to 512 rectified units to a sigmoid per label, by binary cross-entropy.

    AdamW for 15 epochs in batches of 64, its rate on a half cosine from 1e-3 to 0, half of features and units dropped out.
    Draws are keyed by (seed, head, ``Purpose.DISTILL``) and each head is computed by one thread: equal input, equal bits.

    Args:
        features: float64[m, f].
        scores: what to guess, probabilities float64[m, n_labels].
        keys: [m]; texts of one key are left out together.
        seed: of the draws.
        progress: told how many heads are fitted.

    Raises:
        InputError: fewer texts, all different, than heads.
    """
    import torch

    fold = _folds(keys, seed)
    x = torch.tensor(features, dtype=torch.float32)
    y = torch.tensor(scores, dtype=torch.float32)
    centre, scale = x.mean(dim=0), x.std(dim=0) + 1e-6
    x = (x - centre) / scale

    def fit_one(head: int) -> tuple[list[Any], NDArray[np.float64]]:
        torch.set_num_threads(1)  # of this Python thread
        seen = torch.tensor(fold != head)
        weights = _fit(x[seen], y[seen], int(generator(seed, head, Purpose.DISTILL).integers(2**63)))
        with torch.inference_mode():
            return weights, logits(x[~seen], *weights).double().sigmoid().numpy()

    n_threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(n_threads) as pool:
            fitted = []
            for one in pool.map(fit_one, range(N_HEADS)):
                fitted.append(one)
                progress("heads", len(fitted), N_HEADS)
    finally:
        torch.set_num_threads(n_threads)
    held_out = np.empty(scores.shape)
    for head, (_, guesses) in enumerate(fitted):
        held_out[fold == head] = guesses
    names = ("hidden.weight", "hidden.bias", "out.weight", "out.bias")
    stacked = {name: torch.stack([weights[i] for weights, _ in fitted]) for i, name in enumerate(names)}
    return Heads({"centre": centre, "scale": scale} | stacked, held_out)


def _folds(keys: Sequence[int], seed: int) -> NDArray[np.int64]:
    different, place = np.unique(np.asarray(keys), return_inverse=True)
    if len(different) < N_HEADS:
        raise InputError("--texts", None, f"at least {N_HEADS} different texts are needed, there are {len(different)}")
    order = generator(seed, N_HEADS, Purpose.DISTILL).permutation(len(different))
    return order[place] % N_HEADS


def _fit(x: Any, y: Any, seed: int) -> list[Any]:
    import torch

    draws = torch.Generator().manual_seed(seed)

    def drawn(n_out: int, n_in: int) -> Any:
        return (2 * torch.rand((n_out, n_in), generator=draws) - 1) / n_in**0.5

    n_features, n_labels = x.shape[1], y.shape[1]
    weights = [drawn(N_HIDDEN, n_features), torch.zeros(N_HIDDEN), drawn(n_labels, N_HIDDEN), torch.zeros(n_labels)]
    weights = [weight.requires_grad_() for weight in weights]
    optimiser = torch.optim.AdamW(weights, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    n_steps = N_EPOCHS * -(-len(x) // BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, n_steps)
    for _ in range(N_EPOCHS):
        for rows in torch.randperm(len(x), generator=draws).split(BATCH_SIZE):
            hidden = torch.relu(torch.nn.functional.linear(_dropped(x[rows], draws), weights[0], weights[1]))
            guesses = torch.nn.functional.linear(_dropped(hidden, draws), weights[2], weights[3])
            optimiser.zero_grad()
            torch.nn.functional.binary_cross_entropy_with_logits(guesses, y[rows]).backward()
            optimiser.step()
            schedule.step()
    return [weight.detach() for weight in weights]


def _dropped(x: Any, draws: Any) -> Any:
    import torch

    kept = torch.rand(x.shape, generator=draws) >= DROPOUT
    return x * kept / (1 - DROPOUT)
