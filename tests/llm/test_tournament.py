"""A round by its scores: who wins, who leaves, who is paid."""

import json
from dataclasses import replace

import numpy as np
import pytest

from crowd_sim.config import RunConfig
from crowd_sim.errors import InputError
from crowd_sim.tasks.imitate.records import CandidateRound, round_of, rounds_of
from crowd_sim.tournament.log import TournamentLog
from crowd_sim.tournament.round import play
from crowd_sim.tournament.rules import start
from tests.llm.scripted import Scripted, crowd, learner_of, number, rules_of, value

SIZES = (1, 2, 3, 1, 2, 3)


def config(rounds: int = 2, n_workers: int = len(SIZES), **tournament) -> RunConfig:
    own = {"rounds": rounds, "n_groups": 3, "mistake_probability": 0.0, "drop_used": True}
    return RunConfig.parse(
        {
            "crowd": {"source": "example_feedback", "target": "warm", "n_workers": n_workers},
            "tournament": own | tournament,
            "valuation": {"method": "none"},
            "task": {"kind": "imitate"},
        }
    )


def one_round(setup: RunConfig, results: list[float], state=None, model: float = 2.0, sizes=SIZES):
    """The round's record, what the model is after it, the script, and the states before and after."""
    scripted = Scripted(list(results))
    learner, rules = learner_of(setup, crowd(sizes), scripted), rules_of(setup)
    before = replace(state or start(rules, learner, len(sizes)), models=(number(model),))
    after, played = play(rules, before, learner)
    (record,) = rounds_of(played, 1.5)
    return record, value(after.models[0]), scripted, before, after


def leading(record: CandidateRound) -> int:
    return record.ranks.index(0)


def test_the_best_candidate_wins_and_everyone_is_paid_by_rank():
    setup = config()
    record, after, learners, _, state = one_round(setup, [1.5, 0.5, 3.0])
    assert (record.winner, after, record.accepted) == (1, 0.5, True)
    assert record.ranks == (1, 0, 2)
    assert record.model_score == -2
    assert sorted(record.assignment) == [0, 0, 1, 1, 2, 2]
    paid = {0: 2, 1: 3, 2: 1}  # K − rank
    assert state.points[0].tolist() == [1 + paid[k] for k in record.assignment]
    assert state.active[0].tolist() == [k != 1 for k in record.assignment]
    # candidates start from the model, with their members' examples
    for k, job in enumerate(learners.jobs):
        assert float(job.start["m.lora_A"][0, 0]) == 2
        members = [w for w, group in enumerate(record.assignment) if group == k]
        assert job.examples == tuple(e for w in members for e in crowd(SIZES).examples[w])
    assert record.candidate_tokens == tuple(3 * len(job.examples) for job in learners.jobs)
    assert record.tokens_generated == 4 * 3 * 7


def test_the_old_model_stays_where_nothing_beats_it():
    record, after, _, before, state = one_round(config(), [2.5, 3.0, 2.0])
    assert (record.winner, after, record.accepted) == (-1, 2.0, False)
    assert state.points.tolist() == before.points.tolist()
    assert state.active.all()


def test_without_the_incumbent_the_best_candidate_wins_in_any_case():
    setup = config(incumbent=False)
    record, after, _, _, state = one_round(setup, [4.0, 3.0, 5.0])
    assert (record.winner, after) == (1, 3.0)
    assert record.model_score == -2
    assert not state.active.all()


def test_those_who_left_take_no_part():
    setup = config()
    record, _, _, _, state = one_round(setup, [1.5, 0.5, 3.0])
    second, _, learners, _, last = one_round(setup, [0.1, 0.3, 0.4], state, model=0.5)
    gone = [w for w, group in enumerate(record.assignment) if group == 1]
    assert [second.assignment[w] for w in gone] == [-1, -1]
    assert sum(len(job.examples) for job in learners.jobs) == sum(SIZES) - sum(SIZES[w] for w in gone)
    assert last.points[0, gone].tolist() == state.points[0, gone].tolist()
    assert last.active.sum() == state.active.sum() - second.assignment.count(0)


def test_everyone_stays_where_nobody_leaves():
    setup = config(drop_used=False)
    record, _, _, _, state = one_round(setup, [1.5, 0.5, 3.0])
    assert record.accepted
    second, _, _, _, state = one_round(setup, [0.1, 0.3, 0.4], state, model=0.5)
    assert sorted(second.assignment) == [0, 0, 1, 1, 2, 2]
    assert state.active.all()


def test_a_mistake_takes_another_candidate():
    setup = config(mistake_probability=1.0)
    record, after, _, _, state = one_round(setup, [1.5, 0.5, 3.0])
    assert record.mistake
    assert record.winner != 1
    assert leading(record) == record.winner
    assert after == [1.5, 0.5, 3.0][record.winner]
    assert record.ranks[1] != 0
    assert state.active[0].tolist() == [k != record.winner for k in record.assignment]
    # where nothing beats the model there is nothing to mistake
    assert not one_round(setup, [2.5, 3.5, 3.0])[0].mistake


def test_those_that_beat_the_model_are_merged_by_how_far():
    setup = config(search="merge")
    record, after, _, _, state = one_round(setup, [1.0, -0.5, 3.0])
    assert record.merge_weights == pytest.approx((1 / 2.5, 1.5 / 2.5, 0))
    merged = 0.4 * 1.0 + 0.6 * -0.5
    assert after == pytest.approx(merged, abs=1e-6)
    assert record.merged_score == pytest.approx(-merged, abs=1e-6)
    assert (record.winner, record.accepted) == (3, True)
    assert record.tokens_generated == 5 * 3 * 7
    assert leading(record) == 1
    assert state.active[0].tolist() == [k != 1 for k in record.assignment]


@pytest.mark.parametrize(("results", "winner"), [([1.0, 0.5, 3.0], 1), ([1.0, 2.5, 3.0], 0), ([4.0, 2.5, 3.0], -1)])
def test_a_merged_candidate_that_is_no_better_changes_nothing(results, winner):
    record, after, _, _, _ = one_round(config(search="merge"), results)
    assert record.winner == winner
    assert after == (results[winner] if winner >= 0 else 2.0)
    beaten = sum(abs(r) < 2 for r in results)
    assert (record.merged_score is None) == (beaten < 2)


@pytest.mark.parametrize("reward", ["rank", "marginal", "calibrated"])
def test_what_is_packed_after_a_round_is_enough_to_go_on(reward):
    rounds = 2 if reward == "rank" else 3  # a third would have too few workers left
    setup = config(rounds, reward=reward, drop_used=reward == "rank")
    state = again = None
    model = 2.0
    for results in ([1.5, 0.5, 3.0], [0.9, 0.8, 0.7], [0.4, 0.3, 0.2])[:rounds]:
        record, after, _, _, state = one_round(setup, results, state, model)
        *_, again = one_round(setup, results, again, model)
        log = TournamentLog(rules_of(setup), again)
        again = TournamentLog.unpack(log.pack(), rules_of(setup), len(SIZES)).state
        model = after
        assert value(again.models[0]) == model
        assert again.points.tobytes() == state.points.tobytes()
        assert np.array_equal(again.active, state.active)
        assert again.round == state.round
        assert round_of(json.loads(json.dumps(vars(record)))) == record
    assert len(set(state.points[0].tolist())) > 1


@pytest.mark.parametrize("grouping", ["random", "interleaved", "epsilon_greedy"])
def test_no_round_that_is_allowed_has_an_empty_group(grouping):
    def setup(rounds: int) -> RunConfig:
        return config(rounds, n_workers=8, grouping=grouping)

    rounds = next(rounds for rounds in range(9, 0, -1) if allowed(setup, rounds))
    assert 1 <= rounds <= 3
    for seed in range(20):
        own, state, model = setup(rounds).model_copy(update={"seed": seed}), None, 100.0
        for _ in range(rounds):
            record, _, _, _, state = one_round(own, [model - 1] * 3, state, model, (1,) * 8)
            assert set(record.assignment) >= {0, 1, 2}
            model -= 1


def allowed(setup, rounds: int) -> bool:
    try:
        setup(rounds)
    except InputError:
        return False
    return True


NAN = float("nan")


@pytest.mark.parametrize(
    ("search", "results", "weights", "winner", "judged"),
    [
        ("soup", [1.0, 0.5, 3.0], (1 / 3,) * 3, 3, 5),
        ("soup", [1.0, 3.5, 3.0], (1 / 3,) * 3, -1, 5),
        ("soup", [NAN, 1.0, 1.5], (0, 0.5, 0.5), 3, 5),
        ("greedy_soup", [1.0, -0.5, 3.0], (0.5, 0.5, 0), 3, 6),
        ("greedy_soup", [2.5, -3.0, -2.8], (0.5, 0, 0.5), 3, 6),  # of three, none of which beats the model
        ("greedy_soup", [1.0, 0.5, 3.0], None, 1, 6),
        ("greedy_soup", [NAN, 3.0, 2.5], None, -1, 5),
    ],
)
def test_soups_are_means_that_beat_the_model(search, results, weights, winner, judged):
    record, after, learners, _, state = one_round(config(search=search), results)
    assert record.merge_weights == (weights if weights is None else pytest.approx(weights))
    mean = results[winner] if weights is None else sum(w * r for w, r in zip(weights, results, strict=True) if w)
    assert (record.winner, record.accepted) == (winner, winner >= 0)
    assert after == (2.0 if winner < 0 else pytest.approx(mean, abs=1e-6))
    assert record.merged_score == (None if weights is None else pytest.approx(-abs(mean), abs=1e-6))
    assert len(learners.judged) == judged
    assert record.tokens_generated == judged * 3 * 7
    assert (state.points > 1).any() == (winner >= 0)


def test_a_soup_of_adapters_goes_on_by_its_momentum_also_after_a_stop():
    setup = config(rounds=3, search="soup", outer_momentum=0.5, drop_used=False)
    scripted = Scripted([1.8, 1.7, 1.9, 1.4, 1.4, 1.4, 3.0, 3.0, 3.0])
    learner, rules = learner_of(setup, crowd(SIZES), scripted), rules_of(setup)
    log = TournamentLog(rules, replace(start(rules, learner, len(SIZES)), models=(number(2.0),)))
    for model in (1.8, 1.4 + 0.5 * (1.8 - 2.0), 1.3):
        log = TournamentLog.unpack(log.pack(), rules, len(SIZES))
        state, played = play(rules, log.state, learner)
        log.advance(state, played, [])
        assert value(state.models[0]) == pytest.approx(model, abs=1e-6)
    assert played.merged_scores[0] == pytest.approx(-(3.0 + 0.5 * (1.3 - 1.8)), abs=1e-6)  # and the model stays
    with pytest.raises(InputError, match=r"^tournament\.outer_momentum = 0\.5: must be left out without"):
        config(outer_momentum=0.5)


@pytest.mark.parametrize("selection", ["best", "merge"])
def test_a_candidate_that_diverged_is_out_of_the_selection_and_the_merge(selection):
    setup = config(search=selection)
    record, after, _, _, state = one_round(setup, [NAN, 1.0, -0.5])
    assert record.n_diverged == 1
    assert record.best_score == -0.5
    assert record.ranks[0] == 2
    if selection == "merge":
        assert record.merge_weights == pytest.approx((0, 0.4, 0.6))
        assert (record.winner, after) == (3, pytest.approx(0.4 * 1.0 + 0.6 * -0.5, abs=1e-6))
    else:
        assert (record.winner, after) == (2, -0.5)
    assert state.points[0].tolist() == [1 + 3 - record.ranks[k] for k in record.assignment]


@pytest.mark.parametrize("incumbent", [True, False])
@pytest.mark.parametrize("selection", ["best", "merge", "soup", "greedy_soup", "halving"])
def test_where_all_diverged_the_old_model_stays(selection, incumbent):
    setup = config(search=selection, incumbent=incumbent)
    record, after, _, before, state = one_round(setup, [NAN] * 6)
    assert (record.winner, record.accepted, after, record.n_diverged) == (-1, False, 2.0, 3)
    assert np.isnan(record.best_score)
    assert state.points.tolist() == before.points.tolist()
    assert state.active.all()


@pytest.mark.parametrize("reward", ["marginal", "calibrated"])
def test_scores_reward_a_candidate_that_diverged_as_the_lowest_of_its_round(reward):
    setup = config(reward=reward, drop_used=False, rounds=1)
    *_, state = one_round(setup, [NAN, 1.0, 3.0])
    *_, lowest = one_round(setup, [3.0, 1.0, 3.0])
    assert state.points.tobytes() == lowest.points.tobytes()
    # of all, the old model too: with -2 it is below both candidates here
    *_, state = one_round(setup, [NAN, 1.0, 1.5])
    *_, lowest = one_round(setup, [2.0, 1.0, 1.5])
    assert state.points.tobytes() == lowest.points.tobytes()


@pytest.mark.parametrize("search", ["merge", "soup", "greedy_soup"])
def test_a_round_with_a_mistake_takes_the_mistaken_candidate_unmerged(search):
    setup = config(mistake_probability=1.0, search=search)
    record, after, learners, _, state = one_round(setup, [1.0, -0.5, 3.0])
    assert record.mistake
    assert (record.merge_weights, record.merged_score) == (None, None)
    assert record.winner in (0, 2)
    assert after == [1.0, -0.5, 3.0][record.winner]
    assert leading(record) == record.winner
    assert len(learners.judged) == 4
    assert state.active[0].tolist() == [k != record.winner for k in record.assignment]
