"""A configuration's task, with the crowd's data that it names."""

from __future__ import annotations

from crowd_sim.config import RunConfig
from crowd_sim.participants import load_population, population_key
from crowd_sim.tasks.adapters.settings import learner_spec
from crowd_sim.tasks.base import Task
from crowd_sim.tasks.choose.crowd import load_choices
from crowd_sim.tasks.choose.task import CHOICES, ChoiceTask
from crowd_sim.tasks.imitate.participants import load_texts
from crowd_sim.tasks.imitate.task import ImitateTask
from crowd_sim.tasks.vector import VectorTask
from crowd_sim.tasks.verify.means import OUTPUTS


def load_task(config: RunConfig) -> Task:
    """What is learned, and from whom.

    Raises:
        InputError: the source cannot be read, or has too few workers.
    """
    if config.task.kind == "imitate":
        return ImitateTask(load_texts(config))
    if config.task.kind != "vector":
        return ChoiceTask(load_choices(config), means=OUTPUTS if config.task.kind == "verify" else CHOICES)
    return VectorTask(load_population(config.crowd))


def crowd_key(config: RunConfig) -> tuple[object, ...]:
    """Configurations with equal keys have the same people, and of texts the same of everyone."""
    if config.task.kind != "vector":
        crowd, task = config.crowd, config.task
        deals = task.kind != "imitate" and (task.expert is None or crowd.target is None)
        drawn = deals or crowd.bad_groups or crowd.examples_per_worker is not None
        return (
            task.kind,
            crowd.model_dump_json(),
            task.expert,
            task.question,
            task.verifier,
            task.objective == "kto",  # which takes judgements as they are
            config.seed if drawn else None,
        )
    return "vector", *population_key(config.crowd)


def task_key(config: RunConfig) -> tuple[object, ...]:
    """Configurations with equal keys have the same task: the same kind, crowd's data and, with texts, model to tune."""
    return *crowd_key(config), None if config.task.kind == "vector" else learner_spec(config)
