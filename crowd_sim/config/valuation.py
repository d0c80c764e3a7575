"""The section `valuation`: what everyone was worth."""

from __future__ import annotations

from pydantic import Field, field_validator

from crowd_sim.config.strict import Strict
from crowd_sim.registry import check_strategy


class ValuationConfig(Strict):
    """What everyone was worth."""

    method: str = Field(
        "auto",
        description="estimator of the accurate Shapley values: `auto` (the best for game and budget), `exact`, `closed_form`, "
        "`stratified` (scores l1 and l2), `surrogate` (any game), `chains` (any game of many workers), `kernel_shap`, "
        "`paired_regression`, `permutation`, or `none` (no values, no correlations with them)",
    )
    budget: int = Field(
        10_000,
        ge=1,
        le=10**12,
        description="utility evaluations per game that the estimator may spend; `exact` makes all 2^n whatever it is, and "
        "`kernel_shap` those of nobody and of everyone besides",
    )
    kernel_shap_budget: int = Field(
        10_000,
        ge=0,
        le=10**9,
        description="evaluations of the paper's Kernel SHAP, valued beside the accurate one; 0 leaves it out",
    )

    @field_validator("method")
    @classmethod
    def _known(cls, value: str) -> str:
        return check_strategy("method", value)
