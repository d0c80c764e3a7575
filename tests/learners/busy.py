"""Adapters that do change the model: their B is not 0."""

import numpy as np


def busy_adapter(stack, run: int, scale: float = 0.1):
    start = stack.initial(0, run)
    draws = np.random.default_rng(run)
    return {
        name: draws.normal(0, scale, w.shape).astype(np.float32) if name.endswith("B") else w
        for name, w in start.items()
    }
