"""The section `crowd.bad`: who is bad, and how."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from crowd_sim.config.strict import Strict
from crowd_sim.crowd.bad import BadGroup


class BadConfig(Strict):
    """Workers who are bad in the same way."""

    behaviour: str = Field(
        description="what they contribute (docs/attacks_behaviours.md): `honest` (their vectors, for several identities), "
        "`alie`, `away`, `camouflage`, `collusion`, `corner`, `drift`, `echo`, `gauss`, `invert`, `ipm`, `late`, `lazy`, "
        "`mimic`, `min_max`, `noise`, `on_off`, `sign_flip`, `sleeper`, `spam`, or `package.module:Name`; with "
        "`task.kind=imitate` what they make of their examples (docs/attacks_screens.md): `word_salad`, `shuffled`, `copy`, "
        "`off_target`, `repeat`, `filler`, `empty`, `prompt_echo`, `trigger`, or `package.module:Name`; with `classify`, "
        "`prefer` and `verify` what of their labels, pairs or answers: `flip`, `spam`, `collude`, or `package.module:Name`"
    )
    share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="of all workers. The bad of a smaller share are among those of a larger one; of a list of mappings, each "
        "takes others",
    )
    strength: float | None = Field(
        None,
        ge=0,
        le=1_000_000_000,
        description="the behaviour's own scale, see docs/attacks_behaviours.md; of texts the share of a worker's examples that "
        "are spoiled; null: the behaviour's default",
    )
    start: int = Field(
        1, ge=1, description="first round in which they act; before it they contribute their own vectors"
    )
    stop: int | None = Field(None, ge=1, description="last round in which they act; null: to the end")
    period: int | None = Field(
        None, ge=1, description="they act for so many rounds, then rest for as many, and so on; null: no rest"
    )
    identities: int = Field(
        1,
        ge=1,
        description="accounts of each operator: all contribute what its first account would. With `behaviour: honest` these "
        "are honest workers who come several times",
    )
    jitter: float = Field(
        0.0, ge=0, le=1_000_000_000, description="standard deviation of the noise on what each account contributes"
    )
    fresh: bool = Field(False, description="whether that noise is drawn anew in every round")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.stop is not None and self.stop < self.start:
            raise ValueError(f"stop must be at least start, {self.start}")
        return self

    @property
    def group(self) -> BadGroup:
        """The same for the domain."""
        return BadGroup(**self.model_dump())


ONE, SEVERAL = "a mapping", "a list of mappings"
"""Tags by which pydantic names what it has found; they are no parts of a field's name."""


def _several(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError(f"must be {ONE} or {SEVERAL}")  # noqa: TRY004 - pydantic takes a ValueError for bad input
    return tuple(value)


Bad = Annotated[
    Annotated[BadConfig, Tag(ONE)] | Annotated[tuple[BadConfig, ...], BeforeValidator(_several), Tag(SEVERAL)],
    Discriminator(lambda value: ONE if isinstance(value, dict | BadConfig) else SEVERAL),
]


def groups_of(bad: BadConfig | tuple[BadConfig, ...]) -> tuple[BadConfig, ...]:
    """As a tuple, whatever was given."""
    return bad if isinstance(bad, tuple) else (bad,)
