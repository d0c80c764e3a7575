"""One frozen, validated model per concept. A run is its configuration and its seed.

Fields are strict: nothing is converted silently, unknown keys are errors. The descriptions below are the configuration
reference of the README (`python -m experiments.reference`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from crowd_sim.errors import InputError
from crowd_sim.llm.checks import check_llm
from crowd_sim.llm.config import LLM_SOURCES, LlmConfig
from crowd_sim.strategies import check_strategy
from crowd_sim.strict import Strict
from crowd_sim.valuation.limits import check_budget

LARGEST_COORDINATE = 1e50
"""Bound of everyone's and the model's coordinates: products of scores, four of these, must not overflow."""


def _pair(value: Any) -> Any:
    # YAML has sequences, not tuples: strict mode would refuse every list
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("must be [low, high]")
    return tuple(value)


_Pair = Annotated[tuple[float, float], BeforeValidator(_pair)]


class CrowdConfig(Strict):
    """Who contributes."""

    source: str = Field(
        "synthetic",
        description="`synthetic` (drawn by the documented generator), `movielens`, `vectors`, or `package.module:Name`; with "
        "a section `llm`: `goemotions`, `feedback` or `example_feedback`",
    )
    path: str | None = Field(
        None,
        description="`movielens`: folder with ratings.csv and movies.csv (default: the environment's `CROWD_SIM_DATA`); "
        "`vectors`: a CSV or Parquet file, a row per worker; `goemotions`: a file of neighbourhoods or a folder with one "
        "(same default); `feedback`: a JSONL or Parquet file of worker, prompt, response",
    )
    target: str | None = Field(
        None,
        description="with a section `llm`, where outputs should lead: an emotion (`goemotions`), a file of texts (`feedback`), "
        "or a style (`example_feedback`)",
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
        le=100_000_000,
        description="workers per chunk. Chunks are what shards are made of and in which sums are folded, so results depend on "
        "this number in the last bits, and on the number of shards not at all. There are no more shards than chunks; from "
        "100,000 workers on choose thousands, as small chunks cost more than their workers",
    )

    behaviour: str = Field(
        "honest",
        description="what workers contribute: `honest` (their vectors), or `package.module:Name`",
    )

    @field_validator("source", "behaviour")
    @classmethod
    def _known(cls, value: str, info: ValidationInfo) -> str:
        if info.field_name == "source" and value in LLM_SOURCES:
            return value
        return check_strategy(str(info.field_name), value)


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

    @field_validator("grouping", "score", "reward")
    @classmethod
    def _known(cls, value: str, info: ValidationInfo) -> str:
        return check_strategy(str(info.field_name), value)


class ValuationConfig(Strict):
    """What everyone was worth."""

    method: str = Field(
        "auto",
        description="estimator of the accurate Shapley values: `auto` (the best for game and budget), `exact`, `closed_form`, "
        "`stratified` (scores l1 and l2), `surrogate` (any game), `kernel_shap`, `permutation`, or `none` (no values, no "
        "correlations with them)",
    )
    budget: int = Field(
        10_000, ge=1, le=10**12, description="utility evaluations per game that the estimator may spend"
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


_FINEST = 0.0001


def _divisible(value: float) -> float:
    if 0 < value < _FINEST:
        raise ValueError(f"must be 0 or at least {_FINEST:.4f}: Ray cannot divide resources further")
    return value


def _device(value: float) -> float:
    if value > 1 and not value.is_integer():
        raise ValueError("must be a whole number where it is more than 1: only a single device can be shared")
    return _divisible(value)


_DEVICES = {"neuron_cores", "TPU", "NPU", "HPU", "RBLN", "FURIOSA", "TTNPU", "MBLT"}
"""Those that Ray counts like GPUs."""

_Amount = Annotated[float, AfterValidator(_divisible)]
_Devices = Annotated[float, AfterValidator(_device)]


def _custom(value: dict[str, float]) -> dict[str, float]:
    if {"CPU", "GPU", "memory"} & set(value):
        raise ValueError("must name resources of the cluster's own; CPUs and GPUs have fields of their own")
    for name in _DEVICES & set(value):
        try:
            _device(value[name])
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None
    return value


_Resources = Annotated[dict[str, Annotated[_Amount, Field(gt=0)]], AfterValidator(_custom)]
"""Amounts of resources that the cluster's node types declare, by name."""


class PoolConfig(Strict):
    """How many actors of a kind, and what each occupies."""

    number: int = Field(1, ge=1, le=10_000, description="actors")
    cpus: _Amount = Field(0.5, ge=0, description="CPUs each, fractions allowed")
    gpus: _Devices = Field(0.0, ge=0, description="GPUs each, fractions up to 1 allowed")
    resources: _Resources = Field({}, description="of the cluster's own resources, what each takes: `{gpu_node: 0.01}`")


class SweepWorkers(Strict):
    """How a sweep is cut up."""

    cpus: _Amount = Field(1.0, gt=0, description="CPUs per batch of points")
    gpus: _Devices = Field(0.0, ge=0, description="GPUs per batch, fractions up to 1 allowed")
    resources: _Resources = Field({}, description="of the cluster's own resources, what a batch takes")
    max_runs: int = Field(600, ge=1, description="runs per batch, as far as whole points allow")


class FailureConfig(Strict):
    """How much may fail before a run gives up. Each number counts for one actor, since it last answered."""

    deaths: int = Field(3, ge=0, description="deaths of an actor in a row, since it last answered, that are made good")
    nodes: int = Field(5, ge=0, description="nodes in a row that an actor may lose under it")
    memory: int = Field(2, ge=0, description="times in a row that an actor may be killed for want of memory")
    hangs: int = Field(1, ge=0, description="times in a row that an actor may miss its deadline")
    deadline: float = Field(
        600.0,
        gt=0,
        description="seconds for a call, or for a round manager to stand still, after which the actor counts as hung",
    )
    start: float = Field(
        300.0,
        gt=0,
        description="seconds for an actor, or while none runs for any batch of a sweep, to start, for want of free CPUs for "
        "example; a sweep adds `actors.wait`",
    )


class CheckpointConfig(Strict):
    """When a run's state is written down. Only what a stop costs depends on it."""

    seconds: float = Field(
        5.0, ge=0, description="a checkpoint when this time, and 20 times what one takes, has passed"
    )
    rounds: int = Field(0, ge=0, description="a checkpoint also after every so many rounds; 0: by time alone")


class ActorsConfig(Strict):
    """Who does the work. Nothing here changes a result."""

    crowd: PoolConfig = Field(
        PoolConfig(), description="shards of the crowd: each holds ⌈chunks / number⌉ chunks or fewer"
    )
    trainers: PoolConfig = Field(PoolConfig(), description="make candidates")
    evaluators: PoolConfig = Field(PoolConfig(), description="evaluate coalitions")
    sweep: SweepWorkers = Field(SweepWorkers(), description="batches of a sweep")
    wait: float = Field(
        0.0,
        ge=0,
        description="seconds that a cluster which grows by itself has to become large enough, before anything starts",
    )
    failures: FailureConfig = Field(FailureConfig(), description="how much may fail")
    checkpoints: CheckpointConfig = Field(CheckpointConfig(), description="when a run's state is written down")


class RunConfig(Strict):
    """A run, or `runs` of them that differ only in their random streams."""

    seed: int = Field(0, ge=0, lt=2**63, description="with the rest of this file it determines every result")
    runs: int = Field(1, ge=1, le=1_000_000, description="replicates: independent runs of this configuration")
    crowd: CrowdConfig = CrowdConfig()
    tournament: TournamentConfig = TournamentConfig()
    valuation: ValuationConfig = ValuationConfig()
    actors: ActorsConfig = ActorsConfig()
    llm: LlmConfig | None = None

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
        if config.llm is None:
            _check_points(config)
            _check_valuation(config)
        else:
            check_llm(config)
        return config

    @property
    def lora(self) -> LlmConfig:
        """The section `llm` of a configuration that has one.

        Raises:
            ValueError: it has none.
        """
        if self.llm is None:
            raise ValueError("a configuration without a section llm")
        return self.llm

    def determinants(self) -> dict[str, Any]:
        """What results depend on: everything but the actors and whether a merged model is written."""
        # what a field says by its default, or has nothing to say of, must not change the fingerprints of older folders
        unsaid = {"behaviour"} if self.crowd.behaviour == CrowdConfig.model_fields["behaviour"].default else set()
        if self.llm is None:
            return self.model_dump(mode="json", exclude={"actors": True, "llm": True, "crowd": unsaid | {"target"}})
        content = self.model_dump(mode="json", exclude={"actors": True, "crowd": unsaid})
        # what is written besides changes no result; as if it were not asked for, and not left out: older folders have it
        content["llm"]["merged_model"] = False
        return content


def _check_points(config: RunConfig) -> None:
    if config.crowd.source in LLM_SOURCES:
        raise InputError("crowd.source", config.crowd.source, "contributes texts and needs a section llm (llm.model=…)")
    if config.crowd.target is not None:
        raise InputError("crowd.target", config.crowd.target, "must be left out without a section llm")


def _check_valuation(config: RunConfig) -> None:
    valuation, n_workers = config.valuation, config.crowd.n_workers
    if valuation.method == "none":
        return
    try:
        check_budget(valuation.method, valuation.budget, n_workers, config.tournament.score)
    except InputError as error:
        raise InputError(f"valuation.{error.field}", error.value, error.allowed) from None
    if valuation.kernel_shap_budget:
        try:
            check_budget("kernel_shap", valuation.kernel_shap_budget, n_workers, None)
        except InputError as error:
            raise InputError(
                "valuation.kernel_shap_budget", error.value, f"{error.allowed}; 0 leaves Kernel SHAP out"
            ) from None


def _first_line(error: ValidationError) -> InputError:
    first = error.errors()[0]
    location, value = first["loc"], first["input"]
    field = ".".join(str(part) for part in location) or "configuration"
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if first["type"] == "extra_forbidden":
        message = f"unknown key; allowed here: {', '.join(_fields_of(location[:-1]))}"
    elif first["type"] == "model_type":
        message = f"should be a group of fields: {', '.join(_fields_of(location))}"
    # an InputError shows no value where it is None
    return InputError(field, value, message if value is not None else f"is null, {message}")


def _fields_of(location: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the group at this place."""
    model: type[BaseModel] = RunConfig
    for part in location:
        annotation = model.model_fields[str(part)].annotation
        # an optional group is a union of the group and None
        model = next(option for option in (annotation, *get_args(annotation)) if hasattr(option, "model_fields"))
    return list(model.model_fields)
