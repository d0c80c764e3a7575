"""What a candidate is tuned from, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.verifiers import Rule
from crowd_sim.models.adapters import Adapter
from crowd_sim.models.likelihoods import ROW_TOKENS
from crowd_sim.models.objectives import Options
from crowd_sim.models.packing import Tokens
from crowd_sim.models.reward_model import Reward
from crowd_sim.models.tuning_state import TuningFile


@dataclass(frozen=True)
class Drawing:
    """How outputs to learn from are drawn, and what they earn.

    Attributes:
        n_outputs: to a prompt.
        max_new_tokens, temperature: see `crowd_sim.models.generation.Sampling`.
        rule: what they earn.
        reward: what they earn instead, by their Φ.
    """

    n_outputs: int
    max_new_tokens: int
    temperature: float
    rule: Rule = field(default_factory=Rule)
    reward: Reward | None = None


@dataclass(frozen=True)
class Training:
    """How a candidate is tuned.

    Attributes:
        epochs: passes over the examples.
        batch_size: examples per optimiser step.
        learning_rate: of AdamW without weight decay, at its highest.
        max_grad_norm: an adapter's gradient is scaled down to this norm.
        row_tokens: of a packed row at most, prompts included.
        objective: a name in `crowd_sim.models.objectives.OBJECTIVES`.
        options: its numbers.
        drawing: of outputs, where the objective asks for the model's own.
        sft_epochs: passes of `sft` over the examples before those of the objective.
        schedule, warmup: how the learning rate changes, see `crowd_sim.models.schedules`.
    """

    epochs: int = 3
    batch_size: int = 8
    learning_rate: float = 1e-3
    max_grad_norm: float = 1.0
    row_tokens: int = ROW_TOKENS
    objective: str = "sft"
    options: Options = field(default_factory=Options)
    drawing: Drawing | None = None
    sft_epochs: int = 0
    schedule: str = "constant"
    warmup: float = 0.0


@dataclass(frozen=True)
class Key:
    """Whose random stream it is: a seed, a run, a round, and the number of the candidate in it."""

    seed: int
    run: int
    round: int
    number: int


@dataclass(frozen=True, eq=False)
class PackedTuneJob:
    """One candidate to tune.

    Attributes:
        start: the adapter it starts from.
        examples: what it learns from.
        key: of the order of the examples.
        n_tokens: if given, training ends after exactly this many trained tokens, however many epochs that takes; with another
            objective than `sft` with the first unit that reaches them.
        objective: a name in `crowd_sim.models.objectives.OBJECTIVES`.
        options: its numbers.
        rivals: the second response of each unit, where the objective has pairs; `examples` are the first.
        gains: what each unit is worth, see `Responses`, where the objective asks for it.
        draw: the model's own outputs, where the objective learns from those: (adapter, the numbers of a step's examples, the
            step's number) → outputs and `gains`.
        kept: where its state is kept while it is tuned; None: nowhere.
    """

    start: Adapter
    examples: tuple[Tokens, ...]
    key: Key
    n_tokens: int | None = None
    objective: str = "sft"
    options: Options = field(default_factory=Options)
    rivals: tuple[Tokens, ...] = ()
    gains: tuple[float, ...] = ()
    draw: Callable[[Adapter, NDArray[np.int64], int], tuple[list[Tokens], NDArray[np.float64]]] | None = None
    kept: TuningFile | None = None


@dataclass(frozen=True, eq=False)
class TunedAdapter:
    """A tuned candidate.

    Attributes:
        adapter: its weights.
        losses: float64[steps], each step's: with `sft` the mean cross-entropy of its tokens, in nats.
        n_tokens: response tokens trained, all epochs together.
    """

    adapter: Adapter
    losses: NDArray[np.float64]
    n_tokens: int
