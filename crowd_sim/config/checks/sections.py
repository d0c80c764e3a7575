"""What is checked across the sections of a configuration; what a task supports is told by `support`."""

from __future__ import annotations

from math import ceil

from crowd_sim.config.checks.crowd import check_bad, check_screens, check_source
from crowd_sim.config.checks.defaults import check_default
from crowd_sim.config.checks.support import ASKING, OF_RECORDS, SUPPORT
from crowd_sim.config.checks.task import check_objective, check_rewards
from crowd_sim.config.checks.tournament import check_calibrated, check_exploiting, check_parts, check_search
from crowd_sim.config.checks.worth import check_payment, check_valuation
from crowd_sim.config.crowd import CrowdConfig
from crowd_sim.config.payment import PaymentConfig
from crowd_sim.config.screens import ScreensConfig
from crowd_sim.config.task import TaskConfig
from crowd_sim.config.tournament import TournamentConfig
from crowd_sim.config.valuation import ValuationConfig
from crowd_sim.crowd.aggregation.multi_krum import LARGEST_GROUP, too_large
from crowd_sim.errors import InputError


def check_sections(
    crowd: CrowdConfig,
    tournament: TournamentConfig,
    valuation: ValuationConfig,
    task: TaskConfig,
    payment: PaymentConfig | None,
    screens: ScreensConfig | None,
) -> None:
    """Refuse what the task, or the sections together, do not allow.

    Raises:
        InputError: names the first field that is wrong.
    """
    support = SUPPORT[task.kind]
    if tournament.n_groups > crowd.n_workers:
        allowed = f"must be at most crowd.n_workers, {crowd.n_workers}"
        raise InputError("tournament.n_groups", tournament.n_groups, allowed)
    check_source(crowd, task.kind, support)
    sections = {"crowd": crowd, "tournament": tournament, "valuation": valuation, "task": task}
    asking = (*ASKING, "task.phi") if task.kind == "prefer" and task.asks_rewards else ()
    if screens is not None and screens.asks_peers:
        asking = (*asking, "task.phi")
    for name in (name for name in support.unused if name not in asking):
        section, field = name.split(".")
        check_default(sections[section], section, field, task.kind)
    if task.kind != "vector":
        check_objective(task)
    if task.kind in OF_RECORDS and task.expert is None and crowd.held_out >= 0.5:
        allowed = "must be below 0.5 without task.expert: as much is held out for selection and again for the report"
        raise InputError("crowd.held_out", crowd.held_out, allowed)
    if "expert" in task.baselines and task.expert is None:
        raise InputError("task.expert", None, "must be given with task.baselines=expert")
    if task.asks_rewards:
        check_rewards(task)
    check_bad(crowd, task.kind, support)
    check_search(crowd, tournament, task.kind, support)
    check_parts(tournament, task)
    check_calibrated(crowd, tournament)
    check_exploiting(tournament, task.kind)
    largest = crowd.n_workers if tournament.exploit_every else ceil(crowd.n_workers / tournament.n_groups)
    if tournament.aggregation == "multi_krum" and largest > LARGEST_GROUP:
        raise InputError("tournament.aggregation", "multi_krum", too_large(largest))
    check_valuation(crowd, tournament, valuation, task.kind, support)
    if screens is not None:
        check_screens(screens, crowd, task)
    if payment is not None:
        check_payment(crowd, tournament, valuation, payment, task.kind, support)
