"""What a learner is made from, what it is asked for, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.texts import Example, Item, Turn
from crowd_sim.models.adapters import Adapter, LoraSpec
from crowd_sim.models.generation import Sampling
from crowd_sim.models.language_model import Device, DType, Quantization
from crowd_sim.models.training import Key, Training
from crowd_sim.models.tuning_state import TuningFile
from crowd_sim.random import Purpose


@dataclass(frozen=True)
class LearnerSpec:
    """All that a learner is made from. How a candidate is tuned, and draws outputs, its job says.

    Attributes:
        model, device, dtype, threads: see `load_base`.
        prompt_template: see `crowd_sim.models.prompts.prompt_ids`.
        lora: how adapters look.
        max_tokens: of an example, prompt and response.
        cut: whether longer responses are cut rather than refused.
        phi_kind, phi_model: see `load_phi`; kind `none`: nothing is mapped.
        adapter: a folder of the adapter that runs start from; None: one that changes nothing yet.
        recomputes: whether layers are computed again for their gradients.
        engine: who draws outputs, see `crowd_sim.models.engines`.
        quantization: of the frozen weights, see `load_base`.
    """

    model: str
    device: Device
    dtype: DType
    threads: int
    prompt_template: str | None
    lora: LoraSpec
    max_tokens: int
    cut: bool
    phi_kind: str
    phi_model: str | None
    adapter: str | None = None
    recomputes: bool = False
    engine: str = "local"
    quantization: Quantization = "none"


@dataclass(frozen=True, eq=False)
class TuneJob:
    """A candidate to tune.

    Attributes:
        start: the adapter it starts from.
        examples: what it learns from.
        key: of the order of the examples.
        training: how it is tuned.
        n_tokens: if given, training ends after exactly this many trained tokens.
        kept: where its state is kept while it is tuned; None: nowhere.
    """

    start: Adapter
    examples: tuple[Example, ...]
    key: Key
    training: Training
    n_tokens: int | None = None
    kept: TuningFile | None = None


@dataclass(frozen=True, eq=False)
class OutputJob:
    """A candidate to judge by its outputs.

    Attributes:
        adapter: the candidate.
        prompts: one per output.
        key, purpose: of the draws.
        sampling: how they are drawn.
        held: examples whose loss is wanted, too.
        before: what was said before each prompt; empty: nothing.
    """

    adapter: Adapter
    prompts: tuple[str, ...]
    key: Key
    purpose: Purpose
    sampling: Sampling
    held: tuple[Example, ...] = ()
    before: tuple[tuple[Turn, ...], ...] = ()


@dataclass(frozen=True, eq=False)
class ChoiceJob:
    """A candidate whose choices are wanted; all items have equally many."""

    adapter: Adapter
    items: tuple[Item, ...]


@dataclass(frozen=True, eq=False)
class Outputs:
    """A candidate's outputs.

    Attributes:
        texts: one per prompt.
        vectors: float64[m, d], their Φ, d = 0 without one; NaN where the adapter's weights are not finite.
        n_tokens: generated, with the outputs' ends.
        loss: mean cross-entropy of the tokens of `OutputJob.held`, in nats; NaN where there is none.
    """

    texts: tuple[str, ...]
    vectors: NDArray[np.float64]
    n_tokens: int
    loss: float = nan


@dataclass(frozen=True)
class LearnerInfo:
    """What a run records of a learner.

    Attributes:
        dtype: what the model computes in.
        device: where.
        phi: the name of Φ.
        n_dimensions: d.
        n_cut: examples whose response was cut to `max_tokens`.
        n_cut_targets: target texts that were cut: to what Φ reads, or to `max_tokens` as responses of validation.
        n_parameters: trained per adapter.
        weights: of base, Φ and the adapter that runs start from, see `crowd_sim.models.model_hub.digest`.
    """

    dtype: str
    device: str
    phi: str
    n_dimensions: int
    n_cut: int
    n_cut_targets: int
    n_parameters: int
    weights: str
