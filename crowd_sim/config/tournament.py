"""The section `tournament`: what a round does."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from crowd_sim.config.strict import Strict, listed
from crowd_sim.registry import check_strategy

LARGEST_COORDINATE = 1e50
"""Bound of everyone's and the model's coordinates: products of scores, four of these, must not overflow."""


def _pair(value: Any) -> Any:
    # YAML has sequences, not tuples: strict mode would refuse every list
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("must be [low, high]")
    return tuple(value)


Names = Annotated[tuple[str, ...], BeforeValidator(listed)]
_Pair = Annotated[tuple[float, float], BeforeValidator(_pair)]


class TournamentConfig(Strict):
    """What a round does."""

    rounds: int = Field(100, ge=1, le=1_000_000, description="rounds per run")
    n_groups: int = Field(4, ge=1, description="groups, and so candidates, per round; at most crowd.n_workers")
    grouping: str = Field(
        "random",
        description="`random`, `epsilon_greedy`, `interleaved`, or `package.module:Name`",
        validate_default=True,
    )
    score: str = Field("l2", description="`l2`, `l1`, `dot`, `squared_l2`, or `package.module:Name`; higher is better")
    step: float = Field(
        0.1, gt=0, le=1, description="δ: share of the way to its group's centroid that a candidate moves"
    )
    mistake_probability: float = Field(
        0.05,
        ge=0,
        le=1,
        description="chance that the first of a round's ranking changes places with a random other one",
    )
    reward: str = Field(
        "rank",
        description="`rank` (the group at rank r earns K − r), `marginal` (its candidate's score less the model's), "
        "`calibrated` (what a worker adds to a coalition, estimated from all scores so far), or `package.module:Name`",
    )
    observe: Names = Field(
        (),
        description="further reward mechanisms, whose points are kept beside those of the one that pays: they watch the same "
        "rounds and steer nothing. Their columns are `points_<name>` in workers.parquet and `pearson_<name>`, "
        "`spearman_<name>` among the metrics",
    )
    search: Literal["best", "merge", "halving"] = Field(
        "best",
        description="`best` candidate of a round; `merge`: all that beat the model, merged by how far they beat it "
        "(a round with a mistake takes the mistaken candidate, unmerged); `halving`: the worse half of the candidates leaves "
        "after each part of the training, which the others then get",
    )
    incumbent: bool = Field(True, description="whether a round keeps the old model where nothing beats it")
    drop_used: bool = Field(
        False,
        description="whether the workers of a winning group leave the tournament, as in the paper's LLM experiment",
    )
    initial_range: _Pair = Field((0.0, 5.0), description="the model starts uniform in [low, high] in every coordinate")
    convergence_distance: float = Field(
        5.0, ge=0, description="a run has converged at its first round this near the target"
    )

    @field_validator("initial_range")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        low, high = value
        if not -LARGEST_COORDINATE <= low <= high <= LARGEST_COORDINATE:
            raise ValueError(f"must be [low, high] with low ≤ high, both within ±{LARGEST_COORDINATE:g}")
        return value

    @field_validator("observe")
    @classmethod
    def _observers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("must not list a mechanism twice")
        return tuple(check_strategy("reward", name) for name in value)

    @field_validator("grouping", "score", "reward")
    @classmethod
    def _known(cls, value: str, info: ValidationInfo) -> str:
        return check_strategy(str(info.field_name), value)
