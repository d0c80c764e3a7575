"""What a valuation gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.valuation.faces import dots, html, text
from crowd_sim.valuation.top import Top, top
from crowd_sim.valuation.utility_table import Evaluated
from crowd_sim.valuation.validation import finite, integer

if TYPE_CHECKING:  # importing pandas costs an actor a part of a second of its start
    import pandas as pd
    from matplotlib.axes import Axes

_INDICES = {"Shapley": "SV", "Banzhaf": "BV"}  # as shapiq calls them
NORMAL_95 = 1.959963984540054
"""The normal quantile of 97.5 %."""


def widening(freedom: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """How much wider than the normal the 95 % interval of Student's t is, by its degrees of freedom [...]."""
    # rounded, since what lies behind it rounds by the processor
    quantiles = scipy.special.stdtrit(np.asarray(freedom, dtype=np.float64), 0.975)
    return np.asarray(np.round(quantiles / NORMAL_95, 10), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class ShapleyResult:
    """The Shapley values of one game, or other values of its players.

    Attributes:
        values: float64[n], in the units of the game's utility.
        stderr: float64[n], the standard error of each value over the random draws: 0 where nothing was drawn
            (exact, closed form, Kernel SHAP with every coalition enumerated); NaN where the draws are
            too few for one (Kernel SHAP with no more of them than players, a single pair of permutations), or all that was
            evaluated is one number: nothing tells then by how much a coalition that was not seen would differ.
        n_evaluations: how many utilities of this game were evaluated, those of the empty and the grand coalition
            included; with a rule or an earlier result, how many different ones, the earlier result's included, and those that
            were asked again, in this call, to see that it is the same game.
        method: the method that was used; never ``"auto"``.
        converged: whether a rule other than a limit (the budget, `MaxEvaluations`, `MaxTime`) held at the end, or nothing
            was left to draw; ``None`` where no rule was given.
        evaluated: the utilities themselves, so that `shapley` can continue from here; ``None`` where neither a rule nor
            an earlier result was given.
        kind: whose values they are.
    """

    values: NDArray[np.float64]
    stderr: NDArray[np.float64]
    n_evaluations: int
    method: str
    converged: bool | None = None
    evaluated: Evaluated | None = field(default=None, repr=False)
    kind: str = "Shapley"

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

    def top(self, k: int) -> Top:
        """The first ``k`` players, which of them are surely among the first ``k``, and who else may be; 95 % for all of it.

        Raises:
            InputError: k is not between 1 and the number of players.
        """
        return top(self.values, self.stderr, integer("k", k, 1, len(self.values)))

    @property
    def _of_one(self) -> str:
        return self.kind if self.kind.endswith("value") else f"{self.kind} value"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the values, best first, with their 95 % intervals (without one where it is not known), and return the axes.

        Of more than 60 players the first 40 and the last 20 are drawn, which the axis says.

        Args:
            ax: matplotlib's axes to draw on; absent: those of a new figure.
        """
        return dots(self.values, NORMAL_95 * self.stderr, f"{self._of_one}, 95 % interval", ax)

    def to_shapiq(self, baseline: float = 0.0) -> Any:
        """Shapley or Banzhaf values as `shapiq.InteractionValues` of order 1, for that package's plots.

        Args:
            baseline: v(∅), which a result does not hold.

        Raises:
            InputError: the package shapiq is not installed, or other values, for which it has no name.
        """
        baseline = float(finite("baseline", baseline, ()))
        if self.kind not in _INDICES:
            raise InputError("kind", self.kind, f"must be one of {', '.join(_INDICES)} for shapiq")
        try:
            import shapiq
        except ImportError:
            raise InputError("to_shapiq", None, "needs the package shapiq: pip install shapiq") from None

        n = len(self.values)
        return shapiq.InteractionValues(
            values=np.append(baseline, self.values),
            index=_INDICES[self.kind],
            max_order=1,
            min_order=0,
            n_players=n,
            interaction_lookup={(): 0, **{(i,): i + 1 for i in range(n)}},
            estimated=bool(self.stderr.any()),
            estimation_budget=self.n_evaluations,
            baseline_value=baseline,
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: method, evaluations and the table, of many players the ends of it."""
        return html(f"{self._of_one}s: {self.method}, {self.n_evaluations:,} evaluations", self.to_frame())

    def __str__(self) -> str:
        """Method, evaluations and a line a player, best first; of many players the first and the last."""
        head = f"{self._of_one}s by {self.method}, {self.n_evaluations:,} evaluations"
        return text(head, self.to_frame().sort_values("value", ascending=False, kind="stable"))

    def to_frame(self) -> pd.DataFrame:
        """One row a player: ``player`` (its number in the game), ``value``, ``stderr``, ``lower``, ``upper``."""
        import pandas as pd

        columns = {"value": self.values, "stderr": self.stderr, "lower": self.lower, "upper": self.upper}
        return pd.DataFrame({"player": np.arange(len(self.values)), **columns})
