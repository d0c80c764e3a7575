"""The section `screens`: who is suspicious by what it contributes, and what follows from it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from crowd_sim.config.strict import Strict, listed


class ScreensConfig(Strict):
    """Screens; none without the section."""

    action: Literal["report", "merge", "exclude"] = Field(
        "report",
        description="`report`: tables and metrics say who is flagged. `merge`: besides, vectors that are duplicates share one "
        "worker's weight, and of near-duplicate texts one stays. `exclude`: besides, who is flagged weighs nothing (of texts: "
        "contributes none) and ends without points",
    )
    use: Annotated[tuple[str, ...], BeforeValidator(listed)] = Field(
        (),
        description="which screens; empty: all of the task's, but `peers`. Of vectors `near_model`, `inconsistency`, "
        "`duplicates`, `constants`; of texts `duplicates`, `repetition`, `prompt_overlap`, `shared_ngrams`, "
        "`target_distance`; of labels and pairs `expert`, which needs `task.expert`; of pairs `peers`, a reward on "
        "`task.phi` that is fitted to all others' pairs",
    )
    from_round: int = Field(
        4,
        ge=2,
        description="of vectors: the first round in which the action shows, by the evidence of all rounds before it; anew in "
        "every round",
    )

    @property
    def asks_peers(self) -> bool:
        """Whether everyone is read by a reward model of all others."""
        return "peers" in self.use

    @field_validator("use")
    @classmethod
    def _different(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("must not list a screen twice")
        return value
