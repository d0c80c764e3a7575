"""The section `actors`: who does the work. Nothing in it changes a result."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from crowd_sim.config.strict import Strict

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
    gpus: _Devices | None = Field(
        None,
        ge=0,
        description="GPUs each, fractions up to 1 allowed; absent: 1 for trainers, generators and evaluators with "
        "`task.device=cuda`, else 0, for which Ray hides all GPUs",
    )
    resources: _Resources = Field({}, description="of the cluster's own resources, what each takes: `{gpu_node: 0.01}`")


class GeneratorsConfig(PoolConfig):
    """The same of actors that there need not be."""

    number: int = Field(0, ge=0, le=10_000, description="actors; 0: trainers draw outputs, too")


class SweepWorkers(Strict):
    """How a sweep is cut up."""

    cpus: _Amount = Field(1.0, gt=0, description="CPUs per batch of points")
    gpus: _Devices = Field(0.0, ge=0, description="GPUs per batch, fractions up to 1 allowed")
    resources: _Resources = Field({}, description="of the cluster's own resources, what a batch takes")
    max_runs: int = Field(600, ge=1, description="runs per batch, as far as whole points allow; of texts at most 16")


class FailureConfig(Strict):
    """How much may fail before a run gives up. Each number counts for one actor since it last answered, or for one batch."""

    deaths: int = Field(3, ge=0, description="deaths of an actor in a row, since it last answered, that are made good")
    nodes: int = Field(5, ge=0, description="nodes in a row that an actor, or a batch of a sweep, may lose under it")
    memory: int = Field(2, ge=0, description="times in a row that an actor may be killed for want of memory")
    hangs: int = Field(1, ge=0, description="times in a row that an actor may miss its deadline")
    deadline: float = Field(
        600.0,
        gt=0,
        description="seconds after which an actor counts as hung: for a call, or without a sign of life for a round manager, "
        "an evaluator (a busy process is one) or a trainer of a language model",
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
    steps: int = Field(
        0,
        ge=0,
        description="inside a round that tunes language models: what is tuned, and its optimiser, is kept after every so many "
        "steps of it, in a folder that all trainers see; 0: a stop or a killed trainer costs a candidate's tuning so far",
    )


class ActorsConfig(Strict):
    """Who does the work. Nothing here changes a result."""

    crowd: PoolConfig = Field(
        PoolConfig(), description="shards of the crowd: each holds ⌈chunks / number⌉ chunks or fewer"
    )
    trainers: PoolConfig = Field(PoolConfig(), description="make candidates")
    generators: GeneratorsConfig = Field(
        GeneratorsConfig(),
        description="draw the outputs that candidates and models are judged by, each with a model of its own",
    )
    evaluators: PoolConfig = Field(PoolConfig(), description="evaluate coalitions")
    sweep: SweepWorkers = Field(SweepWorkers(), description="batches of a sweep; those of texts are with the trainers")
    wait: float = Field(
        0.0,
        ge=0,
        description="seconds that a cluster which grows by itself has to become large enough, before anything starts",
    )
    failures: FailureConfig = Field(FailureConfig(), description="how much may fail")
    checkpoints: CheckpointConfig = Field(CheckpointConfig(), description="when a run's state is written down")
