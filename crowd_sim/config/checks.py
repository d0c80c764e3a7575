"""What a configuration with a section `llm` must satisfy beyond its fields."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from crowd_sim.config.task import LLM_SOURCES
from crowd_sim.errors import InputError
from crowd_sim.valuation.requirements import check_budget

if TYPE_CHECKING:
    from crowd_sim.config import RunConfig

_METHODS = ("none", "exact", "permutation", "kernel_shap", "surrogate")
_MOST_EXACT = 8
_OF_MERGED = ("rank", "marginal")
_OF_POINTS = ("step", "initial_range", "convergence_distance")


def check_llm(config: RunConfig) -> None:
    """Refuse what an LLM run cannot do.

    Raises:
        InputError: names the first field that is wrong.
    """
    crowd, tournament = config.crowd, config.tournament
    if crowd.source not in LLM_SOURCES:
        raise InputError("crowd.source", crowd.source, f"must be one of {', '.join(LLM_SOURCES)} with a section llm")
    if crowd.target is None:
        wanted = {"goemotions": "an emotion", "feedback": "a file of texts", "example_feedback": "a style"}
        raise InputError("crowd.target", None, f"must be given: {wanted[crowd.source]}, where outputs should lead")
    if crowd.source == "example_feedback" and crowd.path is not None:
        allowed = "must be left out with crowd.source=example_feedback, which comes with the project"
        raise InputError("crowd.path", crowd.path, allowed)
    if crowd.behaviour != "honest":
        allowed = "must be left out with a section llm: workers contribute the texts of their source"
        raise InputError("crowd.behaviour", crowd.behaviour, allowed)
    for name in _OF_POINTS:
        value, default = getattr(tournament, name), type(tournament).model_fields[name].default
        if value != default:
            raise InputError(f"tournament.{name}", value, "must be left out with a section llm: it is about points")
    if config.lora.drop_used:
        if tournament.reward != "rank":
            allowed = "must be rank, or llm.drop_used false: other mechanisms compare workers over all rounds"
            raise InputError("tournament.reward", tournament.reward, allowed)
        _check_left(crowd.n_workers, tournament.n_groups, tournament.rounds, tournament.grouping)
    elif config.lora.selection == "merge" and tournament.reward not in _OF_MERGED:
        allowed = f"must be {' or '.join(_OF_MERGED)} with llm.selection=merge: a merged model is nobody's candidate"
        raise InputError("tournament.reward", tournament.reward, allowed)
    if config.lora.selection == "halving" and tournament.n_groups < 3:
        raise InputError("tournament.n_groups", tournament.n_groups, "must be at least 3 with llm.selection=halving")
    _check_valuation(config)


def _check_left(n_workers: int, n_groups: int, rounds: int, grouping: str) -> None:
    left = n_workers
    for number in range(1, rounds + 1):
        if left < n_groups:
            allowed = (
                f"must be lower: each round a group leaves (llm.drop_used), and round {number} would have {left} workers "
                f"for {n_groups} groups"
            )
            raise InputError("tournament.rounds", rounds, allowed)
        # the largest group; interleaved cuts each half of the workers by itself
        halves = (left // 2, left - left // 2) if grouping == "interleaved" else (left,)
        left -= sum(ceil(half / n_groups) for half in halves)


def _check_valuation(config: RunConfig) -> None:
    method, n_workers = config.valuation.method, config.crowd.n_workers
    if method not in _METHODS:
        allowed = f"must be one of {', '.join(_METHODS)} with a section llm, where every evaluation tunes a model"
        raise InputError("valuation.method", method, allowed)
    if method == "exact" and n_workers > _MOST_EXACT:
        allowed = (
            f"must be at most {_MOST_EXACT} with valuation.method=exact: it tunes a model for each of 2^n coalitions"
        )
        raise InputError("crowd.n_workers", n_workers, allowed)
    if method not in ("none", "exact"):
        try:
            check_budget(method, config.valuation.budget, n_workers, None)
        except InputError as error:
            raise InputError(f"valuation.{error.field}", error.value, error.allowed) from None
