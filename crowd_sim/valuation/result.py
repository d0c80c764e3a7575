"""What a valuation gives back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_NORMAL_95 = 1.959963984540054  # the normal quantile of 97.5 %


@dataclass(frozen=True, eq=False)
class ShapleyResult:
    """The Shapley values of one game.

    Attributes:
        values: float64[n], in the units of the game's utility.
        stderr: float64[n], the standard error of each value over the random draws: 0 where nothing was drawn
            (exact, closed form, Kernel SHAP with every coalition enumerated); NaN where the method has no honest
            one (Kernel SHAP otherwise: its weighted least squares reuses every coalition for every player).
        n_evaluations: how many utilities of this game were evaluated, those of the empty and the grand coalition
            included.
        method: the method that was used; never ``"auto"``.
    """

    values: NDArray[np.float64]
    stderr: NDArray[np.float64]
    n_evaluations: int
    method: str

    @property
    def lower(self) -> NDArray[np.float64]:
        """float64[n], where the 95 % interval of each value begins: normal, from ``stderr``; NaN where that is."""
        return self.values - _NORMAL_95 * self.stderr

    @property
    def upper(self) -> NDArray[np.float64]:
        """float64[n], where the 95 % interval of each value ends."""
        return self.values + _NORMAL_95 * self.stderr

    def to_frame(self) -> pd.DataFrame:
        """One row a player: ``player`` (its number in the game), ``value``, ``stderr``, ``lower``, ``upper``."""
        columns = {"value": self.values, "stderr": self.stderr, "lower": self.lower, "upper": self.upper}
        return pd.DataFrame({"player": np.arange(len(self.values)), **columns})
