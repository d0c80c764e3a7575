"""Whether a model can be tuned in packed rows and generate from shared caches: not every architecture can.

Some know a token's place by its index in the row, or carry a state from token to token, so that an example in a packed row
would see the others; some reach for the weights of their linear modules past the adapters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from crowd_sim.errors import InputError
from crowd_sim.models.adapters import Adapter, AdapterStack
from crowd_sim.models.generation import GenerateJob, next_logits
from crowd_sim.models.language_model import Base
from crowd_sim.models.likelihoods import losses_of
from crowd_sim.models.packing import Tokens, pack
from crowd_sim.models.training import Key
from crowd_sim.random import Purpose

_TOLERANCES = {"torch.float32": 1e-4, "torch.bfloat16": 2e-2, "torch.float16": 5e-3}
"""Relative difference of losses that rounding may make; a wrong mask makes more. Of a single token's distribution, on which no
mean is taken, ten times as much."""
_PROMPT, _RESPONSE = 5, 6


def window(base: Base) -> int | None:
    """Tokens that the model's sliding layers see at most; None where it has none.

    The mask of a packed row is used as it is, in sliding layers, too: it is right as long as every example fits into them.
    """
    config = base.model.config.get_text_config()
    kinds = getattr(config, "layer_types", None)
    if kinds is not None and "chunked_attention" in kinds:
        return int(config.attention_chunk_size)
    slides = "sliding_attention" in kinds if kinds is not None else getattr(config, "use_sliding_window", True)
    return int(config.sliding_window) if slides and getattr(config, "sliding_window", None) else None


def check_architecture(base: Base, stack: AdapterStack) -> None:
    """Hold packed losses and cached generation against the model's own answers, a few tokens long; the stack is left empty.

    Raises:
        InputError: they differ, or the model fails.
    """
    import torch

    try:
        reason = _complaint(base, stack)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # of any class: it depends on the architecture
        first = (str(error).strip().splitlines() or [""])[0]
        reason = f"{type(error).__name__}: {first}"
    finally:
        stack.put([], trainable=False)
    if reason:
        allowed = f"must be an architecture that can be tuned in packed rows and generate from a shared cache: {reason}"
        raise InputError("task.model", base.name, allowed)


def _complaint(base: Base, stack: AdapterStack) -> str | None:
    import torch

    # as GPT-Neo's, too wide to show in examples as short as these
    if "local" in getattr(base.model.config, "attention_layers", ()):
        return "its local attention counts places in the row"
    vocabulary = base.model.get_input_embeddings().num_embeddings
    ids = tuple(int(i) for i in np.linspace(0, vocabulary - 1, _PROMPT + _RESPONSE + 2)[1:-1])
    prompt, own = ids[:_PROMPT], ids[_PROMPT:]
    # the second is nearly the first, over again: whoever sees that one knows it
    examples = [Tokens(prompt, response, _RESPONSE) for response in (own, own[1:] + own[:1])]
    idle = stack.initial(0, 0)
    busy = _changed(idle)
    tolerance = _TOLERANCES[str(base.dtype)]

    stack.put([busy], trainable=True)
    packed = losses_of(base, [pack(examples)])[0]
    stack.put([busy], trainable=False)
    logits = _plain(base, [example.prompt + example.response for example in examples])
    predicted = logits[:, _PROMPT - 1 : -1]
    targets = torch.tensor([example.response for example in examples], device=base.device)
    alone = torch.nn.functional.cross_entropy(predicted.flatten(0, 1), targets.flatten())
    loss, expected = float(packed.detach()), float(alone)
    if not abs(loss - expected) <= tolerance * max(1.0, expected):
        return f"the loss of two examples in one row is {loss:.4g}, each by itself {expected:.4g}"

    stack.put([idle], trainable=False)
    short = prompt[2:]  # padded beside the other
    wanted = [logits[0, _PROMPT - 1 : _PROMPT + 1], _plain(base, [(*short, own[0])])[0, len(short) - 1 :]]
    key = Key(0, 0, 0, 0)
    jobs = [GenerateJob(a, (p,), key, Purpose.REPORT_OUTPUTS) for a, p in ((busy, prompt), (idle, short))]
    found = next_logits(base, stack, jobs, own[0])
    away = 0.5 * (found.softmax(-1) - torch.stack(wanted).softmax(-1)).abs().sum(-1).max()
    if not float(away) <= 10 * tolerance:
        return f"the next token's distribution from a cache is {float(away):.2g} away from that without"
    return None


def _plain(base: Base, rows: Sequence[tuple[int, ...]]) -> Any:
    """The model's own logits of rows of one length: float32[m, T, V]."""
    import torch

    with torch.no_grad():
        return base.model(input_ids=torch.tensor(rows, device=base.device), use_cache=False).logits.float()


def _changed(adapter: Adapter) -> Adapter:
    """An adapter whose product is not 0; drawn from nowhere."""
    return {
        name: 0.1 * np.cos(np.arange(w.size)).reshape(w.shape).astype(np.float32) if name.endswith("B") else w
        for name, w in adapter.items()
    }
