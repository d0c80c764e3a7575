"""What every task has of the one engine: merging, leaving, watching, sweeps."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from crowd_sim.cli.sweep import sweep
from crowd_sim.config import RunConfig
from crowd_sim.engine import simulate
from crowd_sim.host import InProcess
from crowd_sim.models.lora import LoraLearner
from crowd_sim.sweeps.plan import Sweep
from crowd_sim.tables import point_metrics, run_metrics, workers_table
from crowd_sim.tasks.load import load_task
from tests.bad_input.command import IN_PROCESS
from tests.llm.small import config as of_texts
from tests.llm.small import content

KINDS = ["vector", "imitate"]


@dataclass
class Watching:
    """Keeps every state that a simulation came through; see `crowd_sim.engine.Saving`."""

    states: list = field(default_factory=list)

    def last(self, rules, n_workers):
        del rules, n_workers

    def after(self, log):
        self.states.append(log.state)

    def stopped(self, log):
        pass


def config(kind: str, parts, runs: int = 2, **tournament) -> RunConfig:
    own = {"drop_used": False, "mistake_probability": 0.0, "rounds": 2} | tournament
    if kind == "imitate":
        return of_texts(parts, runs, tournament=own)
    return RunConfig.parse(
        {
            "seed": 4,
            "runs": runs,
            "crowd": {"n_workers": 30},
            "tournament": {"n_groups": 3} | own,
            "valuation": {"method": "none"},
        }
    )


def outcome(setup, saving=None):
    (found,) = simulate([setup], load_task(setup), InProcess(), saving=saving)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_merged_model_is_better_than_the_best_candidate(parts, kind):
    own = {"vector": {"rounds": 12, "runs": 20, "step": 0.3}, "imitate": {}}[kind]
    setup = config(kind, parts, search="merge", **own)
    history = outcome(setup).history
    merged = history.winners == setup.tournament.n_groups
    assert history.winners.max() <= setup.tournament.n_groups
    if kind == "vector":  # where scores are exact
        assert merged.any()
        assert (history.model_scores[1:][merged] > history.best_scores[merged]).all()
        best = outcome(config(kind, parts, **own)).history
        assert (best.winners < setup.tournament.n_groups).all()
        assert not np.array_equal(best.distances, history.distances)


@pytest.mark.parametrize("search", ["soup", "greedy_soup"])
def test_a_soup_of_points_is_nobodys_candidate_and_never_worse_than_the_model(search):
    setup = config("vector", None, 20, search=search, rounds=12, step=0.3)
    history = outcome(setup).history
    merged = history.winners == setup.tournament.n_groups
    assert merged.any()
    assert (np.diff(history.model_scores, axis=0) >= 0).all()
    if search == "greedy_soup":
        assert (history.model_scores[1:][merged] > history.best_scores[merged]).all()


def test_momentum_goes_on_the_way_that_the_last_round_took():
    watching = Watching()
    own = {"search": "soup", "rounds": 6, "step": 0.3}
    history = outcome(config("vector", None, 20, outer_momentum=0.5, **own), watching).history
    states = {state.round: state for state in watching.states}
    for number in range(2, 7):
        assert states[number].before.tobytes() == states[number - 1].models.tobytes()
    assert (np.diff(history.model_scores, axis=0) >= 0).all()  # the old model competes with where momentum leads
    plain = outcome(config("vector", None, 20, **own)).history
    assert history.model_scores[:2].tobytes() == plain.model_scores[:2].tobytes()
    assert history.model_scores[2].tobytes() != plain.model_scores[2].tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_the_winners_leave_and_earn_no_more(parts, kind):
    setup = config(kind, parts, drop_used=True, rounds={"vector": 3, "imitate": 2}[kind])
    watching = Watching()
    found = outcome(setup, watching)
    states = list({state.round: state for state in watching.states}.values())
    assert [state.round for state in states][-1] == setup.tournament.rounds
    for before, after, accepted in zip(states[:-1], states[1:], found.history.accepted[1 - len(states) :], strict=True):
        assert not (after.active & ~before.active).any()
        assert after.points[~before.active].tolist() == before.points[~before.active].tolist()
        for run, won in enumerate(accepted):
            left = before.active[run] & ~after.active[run]
            assert bool(left.any()) == won
            # they were a group: all of them had the highest reward of the round
            gains = (after.points - before.points)[run]
            assert (gains[left] == gains.max()).all()
            assert not won or (gains == gains.max()).sum() == left.sum()
    assert not states[-1].active.all()


@pytest.mark.parametrize(("kind", "rounds"), [("vector", 1), ("imitate", 2)])
def test_who_watches_counts_what_it_would_have_paid_and_steers_nothing(parts, kind, rounds):
    """A worker of texts weighs its examples; one of points its points, so that only one round is the same."""
    alone = outcome(config(kind, parts, rounds=rounds))
    watched = outcome(config(kind, parts, rounds=rounds, observe=["marginal", "calibrated"]))
    for name in ("distances", "model_scores", "winners", "points"):
        assert getattr(watched.history, name).tobytes() == getattr(alone.history, name).tobytes()
    for name in ("marginal", "calibrated"):
        paid = outcome(config(kind, parts, rounds=rounds, reward=name))
        assert watched.history.observed[name].tobytes() == paid.history.points.tobytes()
        assert workers_table(watched)[f"points_{name}"].tolist() == paid.history.points.ravel().tolist()
        assert paid.history.points.tobytes() != alone.history.points.tobytes()
    assert {name for name in watched.metrics if name not in alone.metrics} == {
        f"{metric}_{name}" for metric in ("pearson", "spearman") for name in ("marginal", "calibrated")
    }


def test_watching_steers_nothing_over_many_rounds():
    alone, watched = (outcome(config("vector", None, rounds=15, observe=names)) for names in ([], ["marginal"]))
    assert watched.history.points.tobytes() == alone.history.points.tobytes()
    assert watched.history.distances.tobytes() == alone.history.distances.tobytes()


def test_a_sweep_of_texts_is_its_points_by_themselves_and_tunes_nothing_twice(parts, tmp_path, monkeypatch):
    tuned, usual = [], LoraLearner.tune

    def counted(self, jobs):
        tuned.extend(jobs)
        return usual(self, jobs)

    monkeypatch.setattr(LoraLearner, "tune", counted)
    setup = content(parts, tournament={"rounds": 1, "drop_used": False})
    plan = Sweep.parse({"seed": 4, **setup, "sweep": {"tournament": {"search": ["best", "merge"]}}})
    done = sweep(plan, "texts", tmp_path / "out", IN_PROCESS[1], Console(quiet=True))
    assert (done.points, done.done, done.failed) == (2, 2, 0)
    together = len(tuned)
    table = pd.read_parquet(tmp_path / "out" / "points.parquet")
    rows = [point_metrics(run_metrics(outcome(point.config))) for point in plan.points]
    for name in rows[0]:
        np.testing.assert_array_equal(table[name].to_numpy(), [row[name] for row in rows])
    assert table["tournament.search"].tolist() == ["best", "merge"]
    assert len(tuned) - together == 2 * together == 4  # both have the same candidates
