"""One frozen, validated model per concept. A run is its configuration and its seed.

Fields are strict: nothing is converted silently, unknown keys are errors. The descriptions below are the configuration
reference of the README (`python -m experiments.reference`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from crowd_sim.errors import InputError
from crowd_sim.strategies import check_strategy


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


# YAML has sequences, not tuples: strict mode would refuse every list
_Pair = Annotated[tuple[float, float], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)]


class CrowdConfig(_Model):
    """Who contributes."""

    source: str = Field(
        "synthetic",
        description="`synthetic` (drawn by the documented generator), `movielens`, `vectors`, or `package.module:Name`",
    )
    path: str | None = Field(
        None,
        description="`movielens`: folder with ratings.csv and movies.csv (default: the environment's `CROWD_SIM_DATA`); "
        "`vectors`: a CSV or Parquet file, a row per worker",
    )
    n_workers: int = Field(75, ge=1, le=100_000_000, description="workers per run; one more person is the target")
    seed: int = Field(
        0,
        ge=0,
        lt=2**63,
        description="of the people that the synthetic source draws; runs with another `seed` meet the same",
    )
    selection: Literal["first", "random"] = Field(
        "random",
        description="people of a run: the `first` n_workers + 1 rows of the source (the paper's choice: every run meets the "
        "same people) or as many drawn at `random` for every run",
    )
    chunk_size: int = Field(
        16,
        ge=1,
        description="workers per chunk. Chunks are what shards are made of and in which sums are folded, so results depend on "
        "this number in the last bits, and on the number of shards not at all",
    )

    @field_validator("source")
    @classmethod
    def _known(cls, value: str) -> str:
        return check_strategy("source", value)


class TournamentConfig(_Model):
    """What a round does."""

    rounds: int = Field(100, ge=1, description="rounds per run")
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
    reward: str = Field("rank", description="`rank` (the group at rank r earns K − r), or `package.module:Name`")
    initial_range: _Pair = Field((0.0, 5.0), description="the model starts uniform in [low, high] in every coordinate")
    convergence_distance: float = Field(
        5.0, ge=0, description="a run has converged at its first round this near the target"
    )

    @field_validator("initial_range")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("must be [low, high] with low ≤ high")
        return value

    @field_validator("grouping", "score", "reward")
    @classmethod
    def _known(cls, value: str, info: ValidationInfo) -> str:
        return check_strategy(str(info.field_name), value)


class ValuationConfig(_Model):
    """What everyone was worth."""

    method: str = Field(
        "auto",
        description="estimator of the accurate Shapley values: `auto`, `exact`, `closed_form`, `kernel_shap`, `permutation`, "
        "or `none` (no values, no correlations with them)",
    )
    budget: int = Field(10_000, ge=1, description="utility evaluations per game that the estimator may spend")
    kernel_shap_budget: int = Field(
        10_000,
        ge=0,
        description="evaluations of the paper's Kernel SHAP, valued beside the accurate one; 0 leaves it out",
    )

    @field_validator("method")
    @classmethod
    def _known(cls, value: str) -> str:
        return check_strategy("method", value)


class PoolConfig(_Model):
    """How many actors of a kind, and what each occupies."""

    number: int = Field(1, ge=1, le=10_000, description="actors")
    cpus: float = Field(0.5, ge=0, description="CPUs each, fractions allowed")
    gpus: float = Field(0.0, ge=0, description="GPUs each, fractions allowed")


class SweepWorkers(_Model):
    """How a sweep is cut up."""

    cpus: float = Field(1.0, gt=0, description="CPUs per batch of points")
    max_runs: int = Field(600, ge=1, description="runs per batch, as far as whole points allow")


class ActorsConfig(_Model):
    """Who does the work. Nothing here changes a result."""

    crowd: PoolConfig = Field(
        PoolConfig(), description="shards of the crowd: each holds ⌈chunks / number⌉ chunks or fewer"
    )
    trainers: PoolConfig = Field(PoolConfig(), description="make candidates")
    evaluators: PoolConfig = Field(PoolConfig(), description="evaluate coalitions")
    sweep: SweepWorkers = Field(SweepWorkers(), description="batches of a sweep")


class RunConfig(_Model):
    """A run, or `runs` of them that differ only in their random streams."""

    seed: int = Field(0, ge=0, lt=2**63, description="with the rest of this file it determines every result")
    runs: int = Field(1, ge=1, le=1_000_000, description="replicates: independent runs of this configuration")
    crowd: CrowdConfig = CrowdConfig()
    tournament: TournamentConfig = TournamentConfig()
    valuation: ValuationConfig = ValuationConfig()
    actors: ActorsConfig = ActorsConfig()

    @classmethod
    def parse(cls, content: dict[str, Any]) -> Self:
        """A configuration from nested dictionaries.

        Raises:
            InputError: names the first field that is wrong, its value and what is allowed.
        """
        try:
            config = cls.model_validate(content)
        except ValidationError as error:
            raise _first_line(error) from None
        if config.tournament.n_groups > config.crowd.n_workers:
            raise InputError(
                "tournament.n_groups",
                config.tournament.n_groups,
                f"must be at most crowd.n_workers, {config.crowd.n_workers}",
            )
        return config

    def determinants(self) -> dict[str, Any]:
        """What results depend on: everything but the actors."""
        return self.model_dump(mode="json", exclude={"actors"})


def _first_line(error: ValidationError) -> InputError:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"]) or "configuration"
    if first["type"] == "extra_forbidden":
        return InputError(field, first["input"], f"unknown key; allowed here: {', '.join(_siblings(first['loc']))}")
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return InputError(field, first["input"], message)


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = RunConfig
    for part in location[:-1]:
        model = model.model_fields[str(part)].annotation  # type: ignore[assignment]
    return list(model.model_fields)
