"""What a valuation gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crowd_sim.valuation.utility_table import Evaluated

if TYPE_CHECKING:  # importing pandas costs an actor a part of a second of its start
    import pandas as pd

NORMAL_95 = 1.959963984540054
"""The normal quantile of 97.5 %."""


@dataclass(frozen=True, eq=False)
class ShapleyResult:
    """The Shapley values of one game.

    Attributes:
        values: float64[n], in the units of the game's utility.
        stderr: float64[n], the standard error of each value over the random draws: 0 where nothing was drawn
            (exact, closed form, Kernel SHAP with every coalition enumerated); NaN where the draws are
            too few for one (Kernel SHAP with no more of them than players).
        n_evaluations: how many utilities of this game were evaluated, those of the empty and the grand coalition
            included; with a rule or an earlier result, how many different ones, the earlier result's included.
        method: the method that was used; never ``"auto"``.
        converged: whether a rule other than a limit (the budget, `MaxEvaluations`, `MaxTime`) held at the end, or nothing
            was left to draw; ``None`` where no rule was given.
        evaluated: the utilities themselves, so that `shapley` can continue from here; ``None`` where neither a rule nor
            an earlier result was given.
    """

    values: NDArray[np.float64]
    stderr: NDArray[np.float64]
    n_evaluations: int
    method: str
    converged: bool | None = None
    evaluated: Evaluated | None = field(default=None, repr=False)

    @property
    def lower(self) -> NDArray[np.float64]:
        """float64[n], where the 95 % interval of each value begins: normal, from ``stderr``; NaN where that is."""
        return self.values - NORMAL_95 * self.stderr

    @property
    def upper(self) -> NDArray[np.float64]:
        """float64[n], where the 95 % interval of each value ends."""
        return self.values + NORMAL_95 * self.stderr

    @property
    def relative_error(self) -> float:
        """The expected error, √Σ stderr² / ‖values − mean(values)‖: 0 where nothing was drawn, NaN where ``stderr`` is.

        Infinite for values that were drawn and are all the same.
        """
        error = float(np.sqrt((self.stderr**2).sum()))
        spread = float(np.sqrt(((self.values - self.values.mean()) ** 2).sum()))
        if spread > 0.0 or error == 0.0:
            return error and error / spread
        return error * np.inf

    def to_frame(self) -> pd.DataFrame:
        """One row a player: ``player`` (its number in the game), ``value``, ``stderr``, ``lower``, ``upper``."""
        import pandas as pd

        columns = {"value": self.values, "stderr": self.stderr, "lower": self.lower, "upper": self.upper}
        return pd.DataFrame({"player": np.arange(len(self.values)), **columns})
