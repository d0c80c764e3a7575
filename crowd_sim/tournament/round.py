"""The one round of a tournament, whatever is learned: group, contribute, tune, score, select, reward."""

from __future__ import annotations

import numpy as np

from crowd_sim.tournament.attendance import credit, present, still_active
from crowd_sim.tournament.audits import audit
from crowd_sim.tournament.evidence import gathered
from crowd_sim.tournament.learner import Learner
from crowd_sim.tournament.request import RoundRequest
from crowd_sim.tournament.rules import Rules
from crowd_sim.tournament.selection import select
from crowd_sim.tournament.state import Account, Round, State
from crowd_sim.tournament.streams import RoundStreams


def play(rules: Rules, state: State, learner: Learner) -> tuple[State, Round]:
    """One round of every run."""
    streams = RoundStreams(rules.seeds, rules.runs, state.round + 1)
    groups, weights = present(
        rules, state, streams, learner.weights(state.points, exploits=rules.exploits(streams.round))
    )
    if rules.screening is not None:
        weights = rules.screening(weights, state.evidence, streams.round)
    carried = {"before": state.before, "momentum": rules.outer_momentum}
    asked = RoundRequest(streams.round, state.models, groups, weights, rules.n_groups, **carried)
    explored = rules.search.explore(learner, asked)
    scores = explored.scores
    rivals = scores.incumbents if rules.incumbent else np.full(len(scores.incumbents), -np.inf)
    selection = select(rivals, explored.standing, rules.mistake_probability, streams)
    settled = rules.search.settle(learner, asked, explored, selection)
    audits = audit(rules, learner, asked, streams)
    models = learner.adopt(state.models, explored.candidates, settled.merged, settled.winners)
    played = Round(
        round=streams.round,
        rounds=rules.rounds,
        step=rules.step,
        assignment=groups.of_those(state.active),
        weights=weights,
        selection=selection.with_scores(scores.incumbents, scores.candidates, settled.winners),
        scores=scores.plus_generated(settled.generated),
        trained=explored.candidates.trained,
        merged_scores=settled.scores,
        merge_weights=settled.weights,
        audited=audits.workers,
        audit_scores=audits.scores,
    )
    paid = credit(rules.reward, Account(state.points, state.memory), played, state.active)
    observed = {
        name: credit(reward, state.observed[name], played, state.active) for name, reward in rules.observers.items()
    }
    evidence = gathered(rules, learner, asked, state.evidence)
    active = still_active(state.active, played)
    before = state.models if rules.outer_momentum else None
    return State(streams.round, models, paid.points, paid.memory, active, observed, evidence, before), played
