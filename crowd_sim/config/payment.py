"""The section `payment`: who gets what, after the rounds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from crowd_sim.config.strict import Strict
from crowd_sim.registry import NAMES

LABEL_RULES = ("output_agreement", "dmi")
"""Need workers who label the same items; no task has these yet (`crowd_sim.payment.labels`)."""

RULES = ("equal", "points", "shapley", "banzhaf", "beta_shapley", "leave_one_out", "least_core", "gold", *LABEL_RULES)


class PaymentConfig(Strict):
    """Who gets what, after the rounds."""

    rule: str = Field(
        "points",
        description="what is paid for: `points` (of `tournament.reward`), or by name those of a mechanism that rewards or "
        "observes; `shapley`, `banzhaf`, `beta_shapley`, `leave_one_out`, `least_core` (of the run's game), `gold` (what a "
        "worker is worth alone, held against the target), `equal`; `output_agreement` and `dmi` need labels",
    )
    power: float = Field(
        1.0,
        ge=0,
        le=1000,
        description="pay is in proportion to scores to this power, scores below 0 counted as 0; 0 pays all alike",
    )
    budget: float = Field(1.0, gt=1e-100, le=1e100, description="what is divided in each run, to its last binary place")
    identities: Literal["separate", "merge"] = Field(
        "separate",
        description="`merge`: accounts whose mean contributions over the rounds are near-identical are one worker, whose pay "
        "they divide",
    )

    @field_validator("rule")
    @classmethod
    def _known(cls, value: str) -> str:
        if ":" not in value and value not in RULES and value not in NAMES["reward"]:
            raise ValueError(f"must be one of {', '.join((*RULES, *NAMES['reward']))}")
        return value
