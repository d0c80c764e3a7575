"""What is checked of a task of texts."""

from __future__ import annotations

from crowd_sim.config.actors import ActorsConfig
from crowd_sim.config.checks.defaults import check_default, default_of
from crowd_sim.config.task import OBJECTIVES_OF, OF_OWN_OUTPUTS, OF_REWARDS, TaskConfig
from crowd_sim.errors import InputError


def check_generators(actors: ActorsConfig, task: TaskConfig) -> None:
    """Refuse generators where nothing is judged by outputs.

    Raises:
        InputError: there are some.
    """
    if actors.generators.number and task.kind not in ("imitate", "verify") and not task.asks_rewards:
        allowed = f"must be 0 with task.kind={task.kind}, which is not judged by outputs"
        raise InputError("actors.generators.number", actors.generators.number, allowed)


def check_objective(task: TaskConfig) -> None:
    """Refuse an objective that the task does not have, and fields that it has no use for.

    Raises:
        InputError: names the field that is wrong.
    """
    objective, known, least = task.objective, OBJECTIVES_OF[task.kind], task.unit_tokens
    if objective not in known:
        raise InputError("task.objective", objective, f"must be one of {', '.join(known)} with task.kind={task.kind}")
    if task.quantization != "none" and task.engine == "vllm":
        allowed = "must be none with task.engine=vllm, which has the weights as they are"
        raise InputError("task.quantization", task.quantization, allowed)
    if task.row_tokens is not None and task.row_tokens < least:
        what = "twice task.max_tokens" if least == 2 * task.max_tokens else "task.max_tokens"
        if objective in OF_OWN_OUTPUTS:
            what = "task.max_tokens and task.generation.max_new_tokens together"
        raise InputError("task.row_tokens", task.row_tokens, f"must be at least {what}, {least}")
    if objective == "sft" and task.kind == "imitate" and task.beta != default_of(TaskConfig, "beta"):
        raise InputError("task.beta", task.beta, "must be left out without task.objective=spin")
    if objective == "sft" and task.sft_epochs:
        raise InputError("task.sft_epochs", task.sft_epochs, "must be left out with task.objective=sft: task.epochs")
    if task.kind == "verify":
        _check_verifier(task)
    if not task.reinforces and task.kl != default_of(TaskConfig, "kl"):
        where = "task.objective" if task.kind == "verify" else "task.baselines"
        raise InputError("task.kl", task.kl, f"must be left out without {where}=rloo")
    if task.objective != "dpo" and task.label_smoothing:
        raise InputError("task.label_smoothing", task.label_smoothing, "must be left out without task.objective=dpo")
    if task.objective not in ("dpo", "ipo") and task.sft_weight:
        raise InputError("task.sft_weight", task.sft_weight, "must be left out without task.objective=dpo or ipo")


def check_rewards(task: TaskConfig) -> None:
    """Refuse baselines by a reward model where there are no pairs, and what their outputs lack.

    Raises:
        InputError: names the field that is wrong.
    """
    if task.kind != "prefer":
        allowed = f"must be among expert, single with task.kind={task.kind}: a reward model is one of pairs"
        raise InputError("task.baselines", list(task.baselines), allowed)
    for name in ("kind", "pattern"):
        check_default(task.verifier, "task.verifier", name, task.kind)
    _check_generation(task, f"task.baselines={' or '.join(OF_REWARDS)}")


def _check_generation(task: TaskConfig, what: str) -> None:
    """Outputs to the items' prompts, that `what` compares."""
    for name in ("selection_outputs", "report_outputs", "selection_prompts", "report_prompts"):
        check_default(task.generation, "task.generation", name, task.kind)
    if what and not task.generation.temperature:
        raise InputError("task.generation.temperature", 0.0, f"must be above 0 with {what}, which compares outputs")


def _check_verifier(task: TaskConfig) -> None:
    _check_generation(task, f"task.objective={task.objective}" if task.objective in OF_OWN_OUTPUTS else "")
    verifier = task.verifier
    if (verifier.kind == "regex") != (verifier.pattern is not None):
        must = "given with" if verifier.kind == "regex" else "left out without"
        raise InputError("task.verifier.pattern", verifier.pattern, f"must be {must} task.verifier.kind=regex")
