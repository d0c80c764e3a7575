"""Games that answer differently each time: what an estimator asks for is a coalition together with the number of a draw.

The number travels as further columns of the coalition's mask: whatever evaluates, remembers or logs coalitions then tells two
draws of one coalition apart, and a keyed game is a function of its row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError

DRAW_BITS = 64
NOISE = ("keyed", "fresh")


def noise_of(game: Any, field: str = "game") -> str | None:
    """``"keyed"`` or ``"fresh"`` where the game says that it is noisy, else ``None``.

    Raises:
        InputError: naming ``field``, where it says something else.
    """
    noise = getattr(game, "noise", None)
    if noise is not None and not (isinstance(noise, str) and noise in NOISE):
        raise InputError(f"{field}.noise", noise, f"must be one of {', '.join(NOISE)}, or None")
    return noise


def common_noise(games: Sequence[Any]) -> bool:
    """Whether the games are noisy.

    Raises:
        InputError: some are, and others are not.
    """
    noisy = [noise_of(game, f"games[{g}]" if len(games) > 1 else "game") is not None for g, game in enumerate(games)]
    if any(noisy) and not all(noisy):
        g = noisy.index(False)
        raise InputError(f"games[{g}].noise", None, "must be set as in the other games, or all games be without")
    return noisy[0]


def with_draws(coalitions: NDArray[np.bool_], draws: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Coalitions bool[m, n] with the numbers int64[m] of their draws behind them: bool[m, n + 64]."""
    bits = np.unpackbits(draws.astype("<i8")[:, None].view(np.uint8), axis=1, bitorder="little").view(np.bool_)
    return np.concatenate([coalitions, bits], axis=1)


def split_draws(rows: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Back: coalitions bool[m, n] and draws int64[m] of ``rows`` bool[m, n + 64]."""
    bits = np.packbits(rows[:, -DRAW_BITS:], axis=1, bitorder="little")
    return rows[:, :-DRAW_BITS], bits.view("<i8")[:, 0].astype(np.int64)
