"""What a candidate is tuned for: functions of how likely its responses are, and of how likely they were before.

A *unit* is what an objective looks at as a whole: a response, or a pair of them. Units are packed into rows, and each function
gives a row's share of its step's loss, so that the shares of all rows add up to the loss of the batch in one piece. The
reference is the adapter that tuning starts from; no second model is held.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Options:
    """The numbers of objectives.

    Attributes:
        beta: how much the reference counts (`dpo`, `ipo`, `kto`, `spin`), or the odds ratio (`orpo`).
        label_smoothing: probability that a pair's label is turned round, in [0, 0.5).
        sft_weight: of the chosen responses' cross-entropy, added to the losses of pairs.
        clip: the ratio to the old policy counts within 1 ± clip (`rloo`).
        kl: nats that a whole output is likelier than under the reference are taken off its reward, times this (`rloo`).
    """

    beta: float = 0.1
    label_smoothing: float = 0.0
    sft_weight: float = 0.0
    clip: float = 0.2
    kl: float = 0.0


@dataclass(frozen=True, eq=False)
class Responses:
    """The responses of a row's u units, a each: the first is what is learnt from, the second what is learnt against.

    Attributes:
        logps: float32[u, a], summed log-probabilities; they can be differentiated.
        reference: float32[u, a], the same under the reference.
        lengths: float32[u, a], tokens.
        gains: float32[u], what a unit is worth: 1 or 0 for good or bad (`kto`), its advantage (`rloo`, `grpo`), whether it is
            kept (`raft`).
        n_units: units in the whole step.
        n_tokens: tokens of the first responses in the whole step; with `raft` those that are kept.
        kl: mean log-ratio of responses to others' prompts, at least 0 (`kto`).
    """

    logps: Any
    reference: Any
    lengths: Any
    gains: Any
    n_units: int
    n_tokens: float
    kl: float = 0.0


Objective = Callable[[Responses, Options], Any]
"""(responses, options) → the row's share of the step's loss, a scalar."""


def sft(row: Responses, options: Options) -> Any:
    """Cross-entropy of the first responses' tokens, in nats per token."""
    del options
    return -row.logps[:, 0].sum() / row.n_tokens


def dpo(row: Responses, options: Options) -> Any:
    """Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290).

    With label smoothing the unbiased loss for labels that are turned round with that probability (Chowdhury et al. 2024,
    arXiv 2403.00409).
    """
    logits = options.beta * _margins(row.logps - row.reference)
    noise = options.label_smoothing
    losses = -(1 - noise) * _log_sigmoid(logits) + noise * _log_sigmoid(-logits)
    return losses.sum() / ((1 - 2 * noise) * row.n_units) + _sft_share(row, options)


def ipo(row: Responses, options: Options) -> Any:
    """Identity preference optimisation (Azar et al. 2023, arXiv 2310.12036), by token."""
    margins = _margins((row.logps - row.reference) / row.lengths)
    return ((margins - 1 / (2 * options.beta)) ** 2).sum() / row.n_units + _sft_share(row, options)


def kto(row: Responses, options: Options) -> Any:
    """Kahneman-Tversky optimisation (Ethayarajh et al. 2024, arXiv 2402.01306): single responses that are good or bad."""
    import torch

    away = options.beta * (row.logps[:, 0] - row.reference[:, 0] - row.kl)
    return (1 - torch.sigmoid((2 * row.gains - 1) * away)).sum() / row.n_units


def orpo(row: Responses, options: Options) -> Any:
    """Odds ratio preference optimisation (Hong et al. 2024, arXiv 2403.07691): without a reference."""
    import torch

    means = row.logps / row.lengths
    # log(1 − eˣ) without cancellation on either side of −log 2
    others = torch.where(means < -np.log(2), torch.log1p(-torch.exp(means)), torch.log(-torch.expm1(means)))
    return sft(row, options) - options.beta * _log_sigmoid(_margins(means - others)).sum() / row.n_units


def raft(row: Responses, options: Options) -> Any:
    """Reward-ranked fine-tuning (Dong et al. 2023, arXiv 2304.06767): cross-entropy of the outputs that are kept."""
    del options
    return -(row.gains * row.logps[:, 0]).sum() / row.n_tokens


def rloo(row: Responses, options: Options) -> Any:
    """REINFORCE, leave one out (Ahmadian et al. 2024, arXiv 2402.14740): whole outputs, ratios clipped; see `leave_one_out`."""
    import torch

    ratios = torch.exp(row.logps[:, 0] - row.reference[:, 0])
    clipped = ratios.clamp(1 - options.clip, 1 + options.clip)
    return -torch.minimum(ratios * row.gains, clipped * row.gains).sum() / row.n_units


def grpo(row: Responses, options: Options) -> Any:
    """Group relative policy optimisation (Shao et al. 2024, arXiv 2402.03300), outputs weighed alike; see `group_relative`.

    As long as the policy that drew the outputs is the one that is tuned, every ratio is 1: with one step per batch, value and
    gradient are those of the ratios token by token.
    """
    del options
    ratios = 1 + (row.logps[:, 0] - row.logps[:, 0].detach()) / row.lengths[:, 0]
    return -(row.gains * ratios).sum() / row.n_units


OBJECTIVES: dict[str, tuple[Objective, int]] = {
    "sft": (sft, 1),
    "dpo": (dpo, 2),
    "ipo": (ipo, 2),
    "kto": (kto, 1),
    "orpo": (orpo, 2),
    "spin": (dpo, 2),  # the second response is the model's own (Chen et al. 2024, arXiv 2401.01335; 2405.17888)
    "raft": (raft, 1),
    "rloo": (rloo, 1),
    "grpo": (grpo, 1),
}
"""Objectives by name, and how many responses a unit of each has."""


DRAWING = ("raft", "rloo", "grpo")
"""Objectives that learn from the rewards of the model's own outputs."""


def worth(objective: str, rewards: NDArray[np.float64]) -> NDArray[np.float64]:
    """`Responses.gains` of outputs, by the rewards float64[p, g] of all to each prompt: float64[p, g].

    `raft` keeps the best to each prompt, if its reward is above 0.
    """
    if objective == "raft":
        return best_of(rewards) * (rewards > 0)
    return leave_one_out(rewards) if objective == "rloo" else group_relative(rewards)


def kept_near(
    rewards: NDArray[np.float64], now: NDArray[np.float64], before: NDArray[np.float64], kl: float
) -> NDArray[np.float64]:
    """Rewards of outputs, less a penalty for leaving the reference: float64[m] each.

    The penalty is `kl` times the output's log-ratio, log-probability `now` less that `before`, whose mean over outputs is the
    divergence from the reference (Ziegler et al. 2019, arXiv 1909.08593; of whole outputs as in Ahmadian et al. 2024).
    """
    return rewards - kl * (now - before)


def leave_one_out(rewards: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each output's reward less the mean of the others' to its prompt: float64[p, g] → float64[p, g]."""
    n = rewards.shape[1]
    return (rewards - rewards.mean(axis=1, keepdims=True)) * n / (n - 1)


def group_relative(rewards: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each output's reward, standardised among those to its prompt: float64[p, g] → float64[p, g]."""
    spread = rewards.std(axis=1, ddof=1, keepdims=True)
    return (rewards - rewards.mean(axis=1, keepdims=True)) / (spread + 1e-4)


def best_of(rewards: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 for the output of the highest reward to each prompt (of equals the first), 0 for the others: float64[p, g]."""
    return np.eye(rewards.shape[1])[rewards.argmax(axis=1)]


def _sft_share(row: Responses, options: Options) -> Any:
    return options.sft_weight * sft(row, options) if options.sft_weight else 0.0


def _margins(values: Any) -> Any:
    return values[:, 0] - values[:, 1]


def _log_sigmoid(values: Any) -> Any:
    import torch

    return torch.nn.functional.logsigmoid(values)
