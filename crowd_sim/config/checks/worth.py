"""What is checked of values and payment."""

from __future__ import annotations

from crowd_sim.config.checks.support import Support
from crowd_sim.config.crowd import CrowdConfig
from crowd_sim.config.payment import LABEL_RULES, PaymentConfig
from crowd_sim.config.tournament import TournamentConfig
from crowd_sim.config.valuation import ValuationConfig
from crowd_sim.errors import InputError
from crowd_sim.payment.merging import MOST_MERGED
from crowd_sim.payment.rules import GAME_RULES, LEAST_BUDGET, MOST_SAMPLED
from crowd_sim.valuation.requirements import check_budget


def check_valuation(
    crowd: CrowdConfig, tournament: TournamentConfig, valuation: ValuationConfig, kind: str, support: Support
) -> None:
    """Refuse a method that the task does not have, and budgets that are too small for it.

    Raises:
        InputError: names the field that is wrong.
    """
    method, n_workers = valuation.method, crowd.n_workers
    if method not in support.methods:
        allowed = f"must be one of {', '.join(support.methods)} with task.kind={kind}"
        raise InputError("valuation.method", method, f"{allowed}, where every evaluation tunes a model")
    if method == "none":
        return
    if method == "exact" and support.most_exact is not None:
        if n_workers > support.most_exact:
            allowed = (
                f"must be at most {support.most_exact} with valuation.method=exact: it tunes a model for each of 2^n "
                "coalitions"
            )
            raise InputError("crowd.n_workers", n_workers, allowed)
        return
    _check_budget("budget", method, valuation.budget, n_workers, tournament.score if kind == "vector" else None)
    if kind == "vector" and valuation.kernel_shap_budget:
        _check_budget("kernel_shap_budget", "kernel_shap", valuation.kernel_shap_budget, n_workers, None)


def _check_budget(field: str, method: str, budget: int, n_workers: int, score: str | None) -> None:
    try:
        check_budget(method, budget, n_workers, score)
    except InputError as error:
        if field == "kernel_shap_budget":
            raise InputError(f"valuation.{field}", error.value, f"{error.allowed}; 0 leaves Kernel SHAP out") from None
        raise InputError(f"valuation.{error.field}", error.value, error.allowed) from None


def check_payment(
    crowd: CrowdConfig,
    tournament: TournamentConfig,
    valuation: ValuationConfig,
    payment: PaymentConfig,
    kind: str,
    support: Support,
) -> None:
    """Refuse a rule of payment that lacks what it pays for.

    Raises:
        InputError: names the field that is wrong.
    """
    rule, n_workers = payment.rule, crowd.n_workers
    if rule in LABEL_RULES:
        allowed = f"needs workers who label the same items, and those of task.kind={kind} do not"
        raise InputError("payment.rule", rule, allowed)
    mechanisms = ("points", tournament.reward, *tournament.observe)
    if rule not in ("equal", "shapley", *GAME_RULES, *mechanisms):
        allowed = f"must be tournament.reward, {tournament.reward}, or among tournament.observe, to be paid for"
        raise InputError("payment.rule", rule, allowed)
    if rule == "shapley" and valuation.method == "none":
        raise InputError("payment.rule", rule, "needs values: another valuation.method than none")
    if rule in GAME_RULES and support.retrains and valuation.method != "exact":
        allowed = "needs all coalitions, valuation.method=exact, where every evaluation tunes a model"
        raise InputError("payment.rule", rule, allowed)
    if rule in MOST_SAMPLED and n_workers > MOST_SAMPLED[rule]:
        raise InputError(
            "crowd.n_workers", n_workers, f"must be at most {MOST_SAMPLED[rule]:,} with payment.rule={rule}"
        )
    least = LEAST_BUDGET * n_workers
    if rule in MOST_SAMPLED and not support.retrains and valuation.budget < min(least, 2**n_workers):
        allowed = f"must be at least {least:,}, {LEAST_BUDGET} a worker, with payment.rule={rule}"
        raise InputError("valuation.budget", valuation.budget, allowed)
    if payment.identities == "merge":
        if kind != "vector":
            allowed = f"must be left out with task.kind={kind}: its contributions have no distances"
            raise InputError("payment.identities", "merge", allowed)
        if n_workers > MOST_MERGED:
            allowed = f"must be at most {MOST_MERGED:,} with payment.identities=merge, which compares all pairs"
            raise InputError("crowd.n_workers", n_workers, allowed)
