"""What is checked of a tournament."""

from __future__ import annotations

from math import ceil

from crowd_sim.config.checks.defaults import default_of
from crowd_sim.config.checks.support import Support
from crowd_sim.config.crowd import CrowdConfig
from crowd_sim.config.task import TaskConfig
from crowd_sim.config.tournament import MERGING, CalibrationConfig, TournamentConfig
from crowd_sim.errors import InputError


def check_parts(tournament: TournamentConfig, task: TaskConfig) -> None:
    """Refuse fields of parts that the tournament does not have.

    Raises:
        InputError: names the field that is wrong.
    """
    if tournament.outer_momentum and tournament.search != "soup":
        allowed = "must be left out without tournament.search=soup"
        raise InputError("tournament.outer_momentum", tournament.outer_momentum, allowed)
    if tournament.search == "halving" and task.sft_epochs:
        allowed = "must be left out with tournament.search=halving, which stops in between"
        raise InputError("task.sft_epochs", task.sft_epochs, allowed)


def check_search(crowd: CrowdConfig, tournament: TournamentConfig, kind: str, support: Support) -> None:
    """Refuse a search that the task does not have, and mechanisms that it has no use for.

    Raises:
        InputError: names the field that is wrong.
    """
    if tournament.search not in support.searches:
        allowed = f"must be one of {', '.join(support.searches)} with task.kind={kind}"
        raise InputError("tournament.search", tournament.search, allowed)
    if tournament.search != "best" and tournament.exploit_every == 1:
        allowed = "must be best with tournament.exploit_every=1: every round has one candidate, of all workers"
        raise InputError("tournament.search", tournament.search, allowed)
    if tournament.search == "halving" and tournament.n_groups < 3:
        allowed = "must be at least 3 with tournament.search=halving"
        raise InputError("tournament.n_groups", tournament.n_groups, allowed)
    for field, name in (("reward", tournament.reward), *(("observe", name) for name in tournament.observe)):
        if tournament.drop_used and name != "rank":
            allowed = "must be rank, or tournament.drop_used false: other mechanisms compare workers over all rounds"
            raise InputError(f"tournament.{field}", name, allowed)
        if tournament.search in MERGING and name in ("calibrated", "exponentiated"):
            allowed = (
                f"must be rank or marginal with tournament.search={tournament.search}: a merged model is nobody's candidate, "
                f"and {name} learns from those"
            )
            raise InputError(f"tournament.{field}", name, allowed)
        if field == "observe" and name == tournament.reward:
            raise InputError("tournament.observe", name, "must not list the mechanism that pays, tournament.reward")
    if tournament.drop_used:
        _check_left(crowd.n_workers, tournament.n_groups, tournament.rounds, tournament.grouping)


def check_calibrated(crowd: CrowdConfig, tournament: TournamentConfig) -> None:
    """Refuse audits and fields of calibrated points where nobody learns them.

    Raises:
        InputError: names the field that is wrong.
    """
    if tournament.audits > crowd.n_workers:
        raise InputError("tournament.audits", tournament.audits, f"must be at most crowd.n_workers, {crowd.n_workers}")
    if "calibrated" in (tournament.reward, *tournament.observe):
        return
    needed = "needs the mechanism calibrated as tournament.reward, or in tournament.observe: no other learns from it"
    if tournament.audits:
        raise InputError("tournament.audits", tournament.audits, needed)
    if tournament.calibration != CalibrationConfig():
        shown = tournament.calibration.model_dump(exclude_defaults=True)
        raise InputError("tournament.calibration", shown, needed)


def check_exploiting(tournament: TournamentConfig, kind: str) -> None:
    """Refuse what does not go with rounds that exploit.

    Raises:
        InputError: names the field that is wrong.
    """
    if tournament.exploit_every is None:
        if kind != "vector" and tournament.weight_power != default_of(TournamentConfig, "weight_power"):
            allowed = f"must be left out with task.kind={kind} and without tournament.exploit_every"
            raise InputError("tournament.weight_power", tournament.weight_power, allowed)
        return
    if tournament.drop_used:
        allowed = "must be left out with tournament.drop_used: all workers would leave at once"
        raise InputError("tournament.exploit_every", tournament.exploit_every, allowed)
    if tournament.measure_every is not None:
        allowed = "must be left out with tournament.exploit_every: the rounds between explore"
        raise InputError("tournament.measure_every", tournament.measure_every, allowed)


def _check_left(n_workers: int, n_groups: int, rounds: int, grouping: str) -> None:
    left = n_workers
    for number in range(1, rounds + 1):
        if left < n_groups:
            allowed = (
                f"must be lower: each round a group leaves (tournament.drop_used), and round {number} would have {left} "
                f"workers for {n_groups} groups"
            )
            raise InputError("tournament.rounds", rounds, allowed)
        # the largest group; interleaved deals each half of the workers by itself, where that leaves no group empty
        halves = (left // 2, left - left // 2)
        parts = halves if grouping == "interleaved" and halves[1] >= n_groups else (left,)
        left -= sum(ceil(part / n_groups) for part in parts)
