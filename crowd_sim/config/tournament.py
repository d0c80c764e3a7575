"""The section `tournament`: what a round does."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from crowd_sim.config.strict import Strict, listed
from crowd_sim.registry import check_strategy

LARGEST_COORDINATE = 1e50
"""Bound of everyone's and the model's coordinates: products of scores, four of these, must not overflow."""


DEFENCES = (
    "bounds",
    "aggregation",
    "assumed_bad",
    "clipping_radius",
    "weight_power",
    "measure_every",
    "exploit_every",
    "audits",
    "calibration",
)
"""Fields of the tournament against bad workers, and to make more of good ones; off by default."""


EXPLOITING = ("exploit_every", "weight_power")
"""Those of them that texts know, too."""

MERGING = ("merge", "soup", "greedy_soup")
"""Searches whose winner may be nobody's candidate."""


def _pair(value: Any) -> Any:
    # YAML has sequences, not tuples: strict mode would refuse every list
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("must be [low, high]")
    return tuple(value)


Names = Annotated[tuple[str, ...], BeforeValidator(listed)]
_Pair = Annotated[tuple[float, float], BeforeValidator(_pair)]


class CalibrationConfig(Strict):
    """How `calibrated` learns; nothing else looks at it."""

    window: int | None = Field(
        None,
        ge=8,
        le=4096,
        description="scores, the latest, from which the mechanism `calibrated` learns; a fit costs their cube. Absent: 224 for "
        "the last fit, 96 for those before",
    )
    half_life: float | None = Field(
        None,
        gt=0,
        le=1_000_000,
        description="rounds after which half of what a score says is forgotten, where a fit that forgets explains the scores "
        "better than one that does not. Absent: workers are taken to contribute the same in every round",
    )
    errors: bool = Field(
        False, description="whether workers.parquet has the points' standard errors, as `points_stderr`"
    )


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
        "`calibrated` (what a worker adds to a coalition, estimated from all scores so far), `exponentiated` (who would help "
        "the model as it is: it steers well and shares badly, so observe another beside it), or `package.module:Name`",
    )
    observe: Names = Field(
        (),
        description="further reward mechanisms, whose points are kept beside those of the one that pays: they watch the same "
        "rounds and steer nothing. Their columns are `points_<name>` in workers.parquet and `pearson_<name>`, "
        "`spearman_<name>` among the metrics",
    )
    search: Literal["best", "merge", "soup", "greedy_soup", "halving"] = Field(
        "best",
        description="`best` candidate of a round; `merge`: all that beat the model, merged by how far they beat it "
        "(a round with a mistake takes the mistaken candidate, unmerged); `soup`: the mean of all, where it beats the model; "
        "`greedy_soup`: the mean of those with which, in order of their scores, it scores higher than without; `halving`: the "
        "worse half of the candidates leaves after each part of the training, which the others then get",
    )
    outer_momentum: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="of `soup`, as in DiLoCo (arXiv 2311.08105): the mean goes on by so much of the way that the last round "
        "has taken the model; a round that keeps the model stops it",
    )
    incumbent: bool = Field(True, description="whether a round keeps the old model where nothing beats it")
    drop_used: bool = Field(
        False,
        description="whether the workers of a winning group leave the tournament, as in the paper's LLM experiment",
    )
    bounds: _Pair | None = Field(
        None, description="[low, high]: every coordinate that a worker contributes is cut to this range"
    )
    aggregation: Literal["mean", "median", "trimmed_mean", "geometric_median", "centered_clipping", "multi_krum"] = (
        Field(
            "mean",
            description="what a group's candidate moves towards, of what its members contribute: weighted `mean`, `median` "
            "(of every coordinate, weighted), `trimmed_mean` (of every coordinate), `geometric_median`, `centered_clipping` or "
            "`multi_krum` (groups of at most 256)",
        )
    )
    assumed_bad: float = Field(
        0.25,
        ge=0,
        lt=0.5,
        description="share of a group's members, rounded down, that `trimmed_mean` leaves out at either end and `multi_krum` "
        "altogether",
    )
    clipping_radius: float = Field(
        2.0,
        gt=0,
        le=LARGEST_COORDINATE,
        description="`centered_clipping` cuts a member's step from the model to this length",
    )
    weight_power: int = Field(
        2,
        ge=0,
        le=1000,
        description="a worker weighs this power of its points in its group's candidate; the paper's is 2, 0 weighs all alike. "
        "Of texts: in the rounds of `exploit_every`",
    )
    measure_every: int | None = Field(
        None,
        ge=1,
        description="m: every m-th round has random groups and equal weights, so that `calibrated` learns about everyone alike",
    )
    exploit_every: int | None = Field(
        None,
        ge=1,
        description="m: every m-th round has one candidate, of all workers, weighted by points^weight_power: the other rounds "
        "explore in groups, these exploit what points say. Of texts a worker has its weight's share of the examples that are "
        "passed over",
    )
    audits: int = Field(
        0,
        ge=0,
        description="workers a round, in turn, whose candidates are scored alone and never selected: `calibrated` learns from "
        "them. Each costs as much scoring as a group",
    )
    calibration: CalibrationConfig = CalibrationConfig()
    initial_range: _Pair = Field((0.0, 5.0), description="the model starts uniform in [low, high] in every coordinate")
    convergence_distance: float = Field(
        5.0, ge=0, description="a run has converged at its first round this near the target"
    )

    @field_validator("initial_range", "bounds")
    @classmethod
    def _ordered(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is None:
            return None
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
