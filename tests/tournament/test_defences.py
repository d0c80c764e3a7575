"""Bounds, powers of points, measuring rounds and audits, and what `calibrated` learns from them."""

import numpy as np
import pytest

from crowd_sim.config import RunConfig
from crowd_sim.crowd.behaviours import per_shard
from crowd_sim.elementary import power
from crowd_sim.engine import simulate
from crowd_sim.errors import InputError
from crowd_sim.host import InProcess, LocalTrainers
from crowd_sim.scores import SCORES, l2
from crowd_sim.tasks.load import load_task
from crowd_sim.tasks.vector import VectorLearner, VectorTuner
from crowd_sim.tournament.audits import audited
from crowd_sim.tournament.calibrated import ERRORS, Calibration, calibrated
from crowd_sim.tournament.grouping import interleaved
from crowd_sim.tournament.kernel_ridge import Fading, fit_scores, kernel_matrix
from crowd_sim.tournament.mixture_weights import Rounds, ages, compositions, remember, scores
from crowd_sim.tournament.posterior import Posterior
from crowd_sim.tournament.round import play
from crowd_sim.tournament.rules import Rules, start
from crowd_sim.tournament.search import SEARCHES
from crowd_sim.tournament.streams import RoundStreams

DEFENDED = {"reward": "calibrated", "bounds": [0, 5], "weight_power": 30, "audits": 4}
N_BAD = 18


def config(n=60, runs=4, behaviour="honest", values="none", **tournament):
    return RunConfig.parse(
        {
            "seed": 1,
            "runs": runs,
            "crowd": {"n_workers": n, "behaviour": behaviour},
            "tournament": {"rounds": 50, "n_groups": 4, **tournament},
            "valuation": {"method": values, "budget": 4000, "kernel_shap_budget": 0},
        }
    )


def simulated(setup):
    return simulate([setup], load_task(setup), InProcess())[0]


@per_shard
def away(members):
    """The first workers contribute what no vote should outweigh."""
    return np.where(members.places[:, None] < N_BAD, -1e6, members.vectors)


class Played:
    """Rounds of a small crowd, remembered by `calibrated`'s memory; weights change at random."""

    def __init__(self, rounds=20, n=9, k=4, d=5, n_rounds=64, **rules):
        n_runs = 3
        self.vectors = np.random.default_rng(0).normal(size=(n_runs, n, d))
        seeds, runs = np.zeros(n_runs, dtype=np.uint64), np.arange(n_runs, dtype=np.uint64)
        self.targets = np.random.default_rng(1).normal(size=(n_runs, d))

        def reward(points, memory, played):
            keys = np.random.default_rng(played.round).integers(1, 4, size=points.shape)
            return keys.astype(float), remember(Rounds.of(memory) if memory else None, played, n_rounds).arrays()

        step, streams = np.array([0.1, 0.5, 1.0]), RoundStreams(seeds, runs, 0)
        learner = VectorLearner(
            self, LocalTrainers(VectorTuner()), step, SCORES["dot"], self.targets, streams, (0.0, 5.0)
        )
        common = {"search": SEARCHES["best"], "reward": reward, "observers": {}, "incumbent": True, "drop_used": False}
        drawn = {"step": step, "mistake_probability": np.full(n_runs, 0.3), "seeds": seeds, "runs": runs}
        shape = {"rounds": rounds, "n_groups": k, "grouping": interleaved, "evidence": False}
        self.rules = Rules(**common, **drawn, **shape, **rules)
        state = start(self.rules, learner, n)
        self.initial, self.rounds = state.models, []
        for _ in range(rounds):
            state, played = play(self.rules, state, learner)
            self.rounds.append(played)
        self.memory = Rounds.of(state.memory)

    def group_sums(self, request):
        call = request.of_everyone()
        members = (call.assignment[:, None] == np.arange(call.n_groups)[:, None]) * call.weights[:, None]
        return np.concatenate([members @ self.vectors, members.sum(axis=2, keepdims=True)], axis=2)

    def contributions(self, request, places):
        return np.take_along_axis(self.vectors, places[:, :, None], axis=1)


@pytest.mark.parametrize("n_rounds", [64, 6])
def test_scores_of_audited_workers_and_measuring_rounds_are_those_of_their_mixtures(n_rounds):
    seen = Played(n_rounds=n_rounds, audits=2, measure_every=3)
    for run in range(3):
        shares = compositions(seen.memory, run, 1_000, 0, 9)
        assert shares.shape == (9, 1 + 6 * min(n_rounds, 20))
        mixtures = shares.T @ seen.vectors[run] + np.outer(1 - shares.sum(axis=0), seen.initial[run])
        given = scores(seen.memory, run, 1_000)
        np.testing.assert_allclose(mixtures @ seen.targets[run], given, atol=1e-12)
        # blocks of workers, and the last scores alone
        np.testing.assert_array_equal(compositions(seen.memory, run, 9, 2, 5), shares[2:5, -9:])
        np.testing.assert_array_equal(scores(seen.memory, run, 9), given[-9:])
    np.testing.assert_array_equal(ages(seen.memory, 9), [1.0] * 3 + [0.0] * 6)


def test_measuring_rounds_weigh_all_alike_and_group_at_random():
    seen = Played(measure_every=4)
    for played in seen.rounds:
        assert (played.weights == 1).all() == (played.round % 4 == 0 or played.round == 1)


def test_everyone_is_audited_before_anyone_is_again():
    seeds = np.array([3, 3], dtype=np.uint64)
    runs = np.arange(2, dtype=np.uint64)
    whom = [audited(RoundStreams(seeds, runs, number), 10, 4) for number in range(1, 6)]
    for of_run in np.concatenate(whom, axis=1):
        assert sorted(of_run[:10]) == sorted(of_run[10:]) == list(range(10))
        assert (of_run[:10] != of_run[10:]).any()
    assert (whom[0][0] != whom[0][1]).any()
    np.testing.assert_array_equal(audited(RoundStreams(seeds[1:], runs[1:], 3), 10, 4), whom[2][1:])


def test_powers_do_not_overflow_and_are_exact_where_they_can_be():
    points = np.array([[1.0, 2.0, 4.0, 0.0], [0.0] * 4, [1e30, 1e-30, 1e30, 1.0]])
    np.testing.assert_array_equal(power(points, 3)[0], [1 / 64, 1 / 8, 1, 0])
    np.testing.assert_array_equal(power(points, 0), 1.0)
    found = power(np.array([np.exp([300.0, 0.0, 299.9])]), 1000)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[0], [1, 0, np.exp(-100)], rtol=1e-9)


def test_bounds_cut_what_is_contributed_and_leave_an_honest_crowd_as_it_is():
    honest = simulated(config(runs=2))
    bounded = simulated(config(runs=2, bounds=[0, 5]))
    assert honest.history.points.tobytes() == bounded.history.points.tobytes()
    attacked = simulated(config(runs=2, behaviour=f"{__name__}:away", bounds=[0, 5]))
    assert np.abs(attacked.history.models).max() <= 5


def test_the_defended_tournament_withstands_what_the_plain_one_does_not():
    plain, honest = simulated(config(behaviour=f"{__name__}:away")), simulated(config())
    defended = simulated(config(behaviour=f"{__name__}:away", **DEFENDED))
    assert defended.metrics["final_distance"].mean() < 0.8 * honest.metrics["final_distance"].mean()
    assert plain.metrics["final_distance"].mean() > 1.2 * honest.metrics["final_distance"].mean()
    for points in defended.history.points:
        assert points[:N_BAD].mean() < points[N_BAD:].mean()


def test_audits_tell_workers_apart_that_steering_hides():
    steering = {"reward": "calibrated", "weight_power": 30}
    alone = simulated(config(values="auto", **steering)).metrics["spearman_accurate"].mean()
    for more in ({"audits": 4}, {"measure_every": 2}):
        seen = simulated(config(values="auto", **steering, **more)).metrics["spearman_accurate"].mean()
        assert seen > alone + 0.05


def test_forgetting_follows_workers_that_have_turned_bad():
    # of 4 workers, each alone by turns, the first two lose their worth half way
    seen = np.tile(np.arange(4), 20)
    since = np.arange(80.0)[::-1]
    worth = np.where((seen < 2) & (since < 40), -1.0, np.where(seen < 2, 1.0, 0.0))
    shares = np.eye(4)[seen].T * 0.9
    totals = shares.sum(axis=0)
    gram = shares.T @ shares + np.outer(1 - totals, 1 - totals)
    still, moving = fit_scores(gram, worth), fit_scores(gram, worth, Fading(since, 20.0))
    assert moving.fades
    assert not still.fades
    assert moving.error < 0.25 * still.error
    # f now, where each is alone
    now = {found.fades: kernel_matrix(found.family, gram)[-4:] @ found.alpha for found in (still, moving)}
    assert (now[True][:2] < -0.6).all()
    assert (now[False][:2] > -0.3).all()


# the posterior


def test_the_posterior_is_that_of_the_gaussian_process():
    rng = np.random.default_rng(2)
    n, observations = 6, 10
    shares = rng.dirichlet(np.ones(n), size=observations).T * rng.uniform(0.3, 1, size=observations)
    y = rng.normal(size=observations)
    totals = shares.sum(axis=0)
    gram = shares.T @ shares + np.outer(1 - totals, 1 - totals)
    found = fit_scores(gram, y)
    sizes, weights = np.array([1.0, 3.0, 6.0]), np.array([0.5, 1.5, 4.0])
    errors = Posterior.of(found, gram, None).errors(shares, totals, 1 + gram.diagonal(), n, sizes, weights)

    def kernel(a, b):
        g, aa = a @ b, (1 + a @ a) * (1 + b @ b)
        if found.family == "lin":
            return 10 + g
        r = min((1 + g) / np.sqrt(aa), 1.0)
        return np.sqrt(aa) * (np.sqrt(1 - r * r) + r * np.arcsin(r) + 9)

    places = np.column_stack([shares.T, 1 - totals])
    k = np.array([[kernel(a, b) for b in places] for a in places])
    noisy = k + found.penalty * k.diagonal().mean() * np.eye(observations)
    u = np.append(np.full(n, 1 / n), 0.0)
    for i in range(n):
        points = [u + (np.eye(n + 1)[i] - u) / size for size in sizes] + [u]
        factors = np.append(weights, -weights.sum())
        if found.family == "lin":
            points, factors = [np.eye(n + 1)[i], u], np.array([1.0, -1.0])
        across = factors @ np.array([[kernel(p, z) for z in places] for p in points])
        prior = factors @ np.array([[kernel(p, q) for q in points] for p in points]) @ factors
        variance = y @ np.linalg.solve(noisy, y) / observations * (prior - across @ np.linalg.solve(noisy, across))
        np.testing.assert_allclose(errors[i], np.sqrt(variance), rtol=1e-4)


def test_standard_errors_shrink_where_a_worker_was_audited_and_are_a_column():
    setup = config(n=30, runs=2, reward="calibrated", audits=1, rounds=15, calibration={"errors": True})
    outcome = simulated(setup)
    (errors,) = outcome.history.errors.values()
    streams = [RoundStreams(*np.array([[1, 1], [0, 1]], dtype=np.uint64), number) for number in range(1, 16)]
    relative = errors / outcome.history.points
    seen = np.concatenate([audited(own, 30, 1) for own in streams], axis=1)
    for row, own in zip(relative, seen, strict=True):
        once = np.isin(np.arange(30), own)
        assert row[once].mean() < row[~once].mean()
    from crowd_sim.tables import workers_table

    assert "points_stderr" in workers_table(outcome)
    assert ERRORS not in simulated(config(n=30, runs=1, reward="calibrated")).history.errors


def test_a_half_life_is_of_no_effect_where_nothing_changes():
    gram = np.eye(5)
    since, y = np.arange(5.0), np.zeros(5) + np.arange(5) % 2
    fading = Fading(since, 2.0)
    np.testing.assert_allclose(fading.left(), 2 ** (-since / 2), rtol=1e-15)
    assert fit_scores(gram, y, Fading(since, 1e9)).error <= fit_scores(gram, y).error
    np.testing.assert_allclose(fading.between(), 2 ** (-np.abs(since[:, None] - since) / 2), rtol=1e-15)


def test_standard_errors_are_known_where_nothing_is_left_of_old_scores():
    setup = config(n=4, runs=1, reward="calibrated", rounds=6, calibration={"errors": True, "half_life": 0.001})
    (errors,) = simulated(setup).history.errors.values()
    assert np.isfinite(errors).all()


# refusals


@pytest.mark.parametrize(
    ("tournament", "says"),
    [
        ({"audits": 4}, r"tournament\.audits = 4: needs the mechanism calibrated as tournament\.reward"),
        ({"audits": 61, "reward": "calibrated"}, r"tournament\.audits = 61: must be at most crowd\.n_workers, 60"),
        (
            {"calibration": {"window": 50}},
            r"tournament\.calibration = \{'window': 50\}: needs the mechanism calibrated",
        ),
        ({"bounds": [5, 0]}, r"tournament\.bounds = .*: must be \[low, high\] with low ≤ high"),
        ({"weight_power": -1}, r"tournament\.weight_power = -1: must be greater than or equal to 0"),
        ({"measure_every": 0}, r"tournament\.measure_every = 0: must be greater than or equal to 1"),
        ({"assumed_bad": 0.5}, r"tournament\.assumed_bad = 0\.5: must be less than 0\.5"),
        ({"aggregation": "krum"}, r"tournament\.aggregation = 'krum': must be 'mean', 'median'"),
    ],
)
def test_refused_in_one_line(tournament, says):
    with pytest.raises(InputError, match=f"^{says}"):
        config(**tournament)


def test_multi_krum_refuses_large_groups_before_the_start():
    says = r"^tournament\.aggregation = 'multi_krum': compares all pairs .* at most 256; here are 257$"
    with pytest.raises(InputError, match=says):
        config(n=257 * 4, aggregation="multi_krum")
    config(n=256 * 4, aggregation="multi_krum")


def test_texts_have_no_use_for_them():
    content = {
        "crowd": {"source": "example_feedback", "target": "warm", "n_workers": 6},
        "tournament": {"n_groups": 2, "audits": 1},
        "valuation": {"method": "none"},
        "task": {"kind": "imitate"},
    }
    with pytest.raises(InputError, match=r"^tournament\.audits = 1: must be left out with task\.kind=imitate"):
        RunConfig.parse(content)


def test_older_fingerprints_stand():
    assert not set(config().determinants()["tournament"]) & {"bounds", "aggregation", "audits", "calibration"}
    assert config(bounds=[0, 5]).determinants()["tournament"]["bounds"] == [0.0, 5.0]
    assert l2 is SCORES["l2"]
    assert Calibration() == Calibration(None, None, False)
    assert calibrated.__defaults__ == (Calibration(),)


def test_a_round_that_exploits_has_one_candidate_of_all_workers():
    seen = Played(exploit_every=3)
    for played in seen.rounds:
        alone = played.round % 3 == 0
        assert (played.assignment == 0).all() == alone
        if alone:  # the other candidates are the model
            others, model = played.selection.candidate_scores[:, 1:], played.scores.incumbents[:, None]
            np.testing.assert_array_equal(others, np.broadcast_to(model, others.shape))


def test_rounds_that_exploit_lead_nearer():
    plain = simulated(config(n=50)).metrics["final_distance"]
    found = simulated(config(n=50, reward="calibrated", exploit_every=2, weight_power=30)).metrics["final_distance"]
    assert (found < plain).all()
    assert found.mean() < 0.82 * plain.mean()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"drop_used": True}, r"tournament\.exploit_every = 2: must be left out with tournament\.drop_used"),
        ({"measure_every": 2}, r"tournament\.measure_every = 2: must be left out with tournament\.exploit_every"),
    ],
)
def test_what_does_not_go_with_rounds_that_exploit_is_refused(fields, says):
    with pytest.raises(InputError, match=says):
        config(exploit_every=2, **({"rounds": 2} if "drop_used" in fields else {}) | fields)
