import numpy as np
import pytest

from crowd_sim.arrays import pack, unpack
from crowd_sim.config import RunConfig
from crowd_sim.engine import simulate
from crowd_sim.host import InProcess, LocalTrainers
from crowd_sim.scores import SCORES
from crowd_sim.tasks.load import load_task
from crowd_sim.tasks.vector import VectorLearner, VectorTuner
from crowd_sim.tournament import calibrated as mechanism
from crowd_sim.tournament import fitted_scores as fitting
from crowd_sim.tournament.calibrated import calibrated, is_due, size_grid
from crowd_sim.tournament.grouping import random
from crowd_sim.tournament.kernel_ridge import PENALTIES, fit_scores, kernel_matrix
from crowd_sim.tournament.mixture_weights import Rounds, compositions, model_shares, remember, scores
from crowd_sim.tournament.round import play
from crowd_sim.tournament.rules import Rules, start
from crowd_sim.tournament.search import SEARCHES
from crowd_sim.tournament.selection import select
from crowd_sim.tournament.streams import RoundStreams
from tests.tournament.rounds import a_round


def config(score="l2", reward="calibrated", n=20, k=3, rounds=50, runs=8, **tournament):
    return RunConfig.parse(
        {
            "runs": runs,
            "crowd": {"n_workers": n},
            "tournament": {"rounds": rounds, "n_groups": k, "score": score, "reward": reward, **tournament},
            "valuation": {"budget": 5_000, "kernel_shap_budget": 0},
        }
    )


def simulated(*configs):
    return simulate(configs, load_task(configs[0]), InProcess())


def unvalued(given):
    return given.model_copy(update={"valuation": given.valuation.model_copy(update={"method": "none"})})


def points_of(*configs):
    return [outcome.history.points for outcome in simulated(*map(unvalued, configs))]


def played(candidates, assignment, number=1, rounds=1, model=0.0):
    """One round of runs with equal weights."""
    candidates, assignment = np.atleast_2d(candidates), np.atleast_2d(assignment)
    n_runs = len(candidates)
    draws = RoundStreams(np.zeros(n_runs, dtype=np.uint64), np.arange(n_runs, dtype=np.uint64), number)
    selection = select(np.full(n_runs, model), candidates, np.zeros(n_runs), draws)
    return a_round(number, rounds, np.full(n_runs, 0.1), assignment, np.ones(assignment.shape), selection)


# the mechanism


@pytest.mark.parametrize(("n", "k", "rounds"), [(5, 2, 20), (20, 3, 50), (40, 4, 60)])
def test_recovers_a_linear_game(n, k, rounds):
    (outcome,) = simulated(config("dot", n=n, k=k, rounds=rounds, mistake_probability=0.3))
    assert outcome.methods == ("closed_form",) * 8
    assert (outcome.metrics["spearman_accurate"] > 0.999).all()


def test_ranks_workers_better_than_ranks_do():
    # these are valued exactly
    cells = [(score, 12, k) for score in ("l2", "l1") for k in (2, 4)] + [("squared_l2", 30, k) for k in (2, 4)]
    means = {
        reward: np.mean(
            [simulated(config(score, reward, n, k))[0].metrics["spearman_accurate"] for score, n, k in cells]
        )
        for reward in ("rank", "calibrated")
    }
    assert means["calibrated"] > means["rank"] + 0.05
    assert means["calibrated"] > 0.9


@pytest.mark.parametrize("score", ["l2", "l1", "dot"])
@pytest.mark.parametrize(("n", "k", "rounds"), [(1, 1, 5), (2, 1, 5), (2, 2, 5), (7, 7, 30), (9, 1, 5), (12, 5, 1)])
def test_points_are_positive_and_of_the_spread_it_says(score, n, k, rounds):
    for row in points_of(config(score, n=n, k=k, rounds=rounds))[0]:
        assert (row > 0).all()
        if k == 1:  # everyone has the same share in everything
            assert (row == 1).all()
        else:
            assert np.log(row).std() == pytest.approx(mechanism.SPREAD)


def test_a_run_has_the_same_bits_alone_and_in_a_batch():
    configs = [
        config("l1", n=15, k=4, rounds=30),
        config("l1", n=15, k=4, rounds=30, step=0.4, mistake_probability=0.5).model_copy(update={"seed": 3}),
        config("l1", n=15, k=4, rounds=30, runs=3),
    ]
    together = points_of(*configs)
    for one, points in zip(configs, together, strict=True):
        assert points_of(one)[0].tobytes() == points.tobytes()
    assert together[2].tobytes() == together[0][:3].tobytes()


def test_blocks_of_workers_change_nothing_but_rounding(monkeypatch):
    whole = points_of(config("l2", n=15, k=4, rounds=3))[0]
    monkeypatch.setattr(fitting, "_BLOCK", 4)
    np.testing.assert_allclose(points_of(config("l2", n=15, k=4, rounds=3))[0], whole, rtol=1e-4)


def test_equal_scores_tell_nothing_apart():
    before = np.array([[1.0, 2.0, 3.0, 4.0]])
    points, _ = calibrated(before, None, played([0.0, 0.0], [0, 1, 0, 1]))
    assert (points == before).all()
    points, _ = calibrated(before, None, played([5 + 1e-15, 5.0], [0, 1, 0, 1], model=5.0))
    assert (points == before).all()


def test_scores_that_are_not_finite_are_no_reason_to_fail():
    before = np.ones((1, 4))
    points, _ = calibrated(before, None, played([np.nan, 0.0], [0, 1, 0, 1]))
    assert (points == before).all()


def test_the_better_group_has_the_more_points_after_one_round():
    points, _ = calibrated(np.ones((1, 4)), None, played([1.0, -1.0], [0, 1, 0, 1]))
    assert points[0, 0] == points[0, 2] > points[0, 1] == points[0, 3]


@pytest.mark.parametrize(
    ("rounds", "due"), [(1, [1]), (2, [2]), (4, [4]), (5, [3, 5]), (30, [4, 8, 15, 30]), (100, [4, 7, 13, 25, 50, 100])]
)
def test_points_change_at_the_end_and_at_its_halves(rounds, due):
    assert [number for number in range(1, rounds + 1) if is_due(number, rounds)] == due


def test_what_is_remembered_stays_bounded_and_survives_a_checkpoint(monkeypatch):
    monkeypatch.setattr(mechanism, "WINDOW", 10)
    memory, points = {}, np.ones((1, 6))
    sizes = []
    for number in range(1, 13):
        draws = RoundStreams(np.zeros(1, dtype=np.uint64), np.zeros(1, dtype=np.uint64), number)
        one = played(
            np.sin([[number, 2.0 * number, 3.0 * number]]), random(points, 3, draws, 12).of_everyone(), number, 12
        )
        points, memory = calibrated(points, memory, one)
        memory, _ = unpack(pack(memory))
        sizes.append(len(Rounds.of(memory).rounds))
    assert sizes == [1, 2] + [3] * 10
    assert np.log(points).std() == pytest.approx(mechanism.SPREAD)


def test_more_groups_than_the_window_holds_are_thinned(monkeypatch):
    monkeypatch.setattr(mechanism, "WINDOW", 5)
    points, memory = calibrated(np.ones((1, 20)), {}, played(np.arange(20.0), np.arange(20)))
    assert len(scores(Rounds.of(memory), 0, 5)) == 5
    assert (points > 0).all()


# compositions


@pytest.mark.parametrize("n_rounds", [30, 4])
def test_scores_are_those_of_the_mixtures(n_rounds):
    """Models and candidates made of shares have the scores that were given; also with zero weights and forgotten rounds."""
    n_runs, n, k, d = 3, 9, 4, 5
    vectors = np.random.default_rng(0).normal(size=(n_runs, n, d))

    class Crowd:
        def group_sums(self, request):
            call = request.of_everyone()
            members = (call.assignment[:, None] == np.arange(call.n_groups)[:, None]) * call.weights[:, None]
            return np.concatenate([members @ vectors, members.sum(axis=2, keepdims=True)], axis=2)

    def reward(points, memory, played):
        # half of the workers without points: groups without weight are common
        keys = np.random.default_rng(played.round).integers(0, 4, size=points.shape)
        known = remember(Rounds.of(memory) if memory else None, played, n_rounds)
        return np.maximum(keys - 1.0, 0), known.arrays()

    seeds, runs = np.zeros(n_runs, dtype=np.uint64), np.arange(n_runs, dtype=np.uint64)
    step, targets = np.array([0.1, 0.5, 1.0]), np.random.default_rng(1).normal(size=(n_runs, d))
    streams = RoundStreams(seeds, runs, 0)
    learner = VectorLearner(Crowd(), LocalTrainers(VectorTuner()), step, SCORES["dot"], targets, streams, (0.0, 5.0))
    rules = Rules(
        rounds=20,
        n_groups=k,
        grouping=random,
        search=SEARCHES["best"],
        reward=reward,
        observers={},
        incumbent=True,
        drop_used=False,
        evidence=False,
        step=step,
        mistake_probability=np.full(n_runs, 0.3),
        seeds=seeds,
        runs=runs,
    )
    state = start(rules, learner, n)
    initial = state.models
    empty = mistakes = 0
    for _ in range(rules.rounds):
        state, played_round = play(rules, state, learner)
        empty += (Rounds.of(state.memory).rounds[-1].totals == 0).sum()
        mistakes += played_round.selection.mistake.sum()
    assert empty > 5
    assert mistakes > 0
    memory = Rounds.of(state.memory)
    for run in range(n_runs):
        shares = compositions(memory, run, 1_000, 0, n)
        assert shares.shape == (n, 1 + k * min(n_rounds, 20))
        mixtures = shares.T @ vectors[run] + np.outer(1 - shares.sum(axis=0), initial[run])
        of_workers = model_shares(memory)[run]
        model = of_workers @ vectors[run] + (1 - of_workers.sum()) * initial[run]
        np.testing.assert_allclose(model, state.models[run], atol=1e-12)
        given = scores(memory, run, 1_000)
        np.testing.assert_allclose(mixtures @ targets[run], given, atol=1e-12)
        np.testing.assert_array_equal(compositions(memory, run, 7, 2, 5), shares[2:5, -7:])
        np.testing.assert_array_equal(scores(memory, run, 7), given[-7:])


def test_memory_is_never_changed_in_place():
    memory = remember(None, played([1.0, 0.0], [0, 1, 0]), 1)
    kept = pack(memory.arrays())
    remember(memory, played([1.0, 0.0], [1, 1, 0]), 1)
    assert pack(memory.arrays()) == kept


def test_weights_that_do_not_change_are_kept_once():
    memory = remember(remember(None, played([1.0, 0.0], [0, 1, 0]), 9), played([1.0, 0.0], [1, 1, 0]), 9)
    assert memory.rounds[0].weights is memory.rounds[1].weights
    assert [name for name in memory.arrays() if name.startswith("weights")] == ["weights.0"]
    again = Rounds.of(memory.arrays())
    assert again.rounds[0].weights is again.rounds[1].weights is memory.rounds[0].weights
    assert again.rounds[1].winner is memory.rounds[1].winner


# kernel ridge


def mixtures(n_seen=30, n=8):
    shares = np.random.default_rng(0).dirichlet(np.full(n, 0.3), n_seen)
    return shares, shares @ shares.T


def test_the_arc_kernel_is_what_it_says():
    _, gram = mixtures()
    a = np.sqrt(1 + gram.diagonal())
    r = np.minimum((1 + gram) / np.outer(a, a), 1)
    expected = np.outer(a, a) * (np.sqrt(1 - r * r) + r * np.arcsin(r) + 9)
    np.testing.assert_allclose(kernel_matrix("arc", gram), expected, rtol=1e-14)


@pytest.mark.parametrize("score", ["smooth", "noise"])
def test_errors_are_those_of_fits_without_the_observation(score):
    shares, gram = mixtures()
    y = -np.abs(shares - 0.2).sum(axis=1) if score == "smooth" else np.random.default_rng(1).normal(size=len(gram))
    found = fit_scores(gram, y)
    kernel = kernel_matrix(found.family, gram)
    penalised = kernel + found.penalty * kernel.diagonal().mean() * np.eye(len(kernel))
    np.testing.assert_allclose(penalised @ found.alpha, y, atol=1e-8)
    errors = []
    for o in range(len(y)):
        rest = np.arange(len(y)) != o
        errors.append(y[o] - kernel[o, rest] @ np.linalg.solve(penalised[np.ix_(rest, rest)], y[rest]))
    assert found.error == pytest.approx(np.mean(np.square(errors)), rel=1e-5)
    assert found.family == "arc"
    assert (found.penalty == max(PENALTIES["arc"])) == (score == "noise")


def test_a_linear_function_is_fitted_as_one():
    shares, gram = mixtures()
    found = fit_scores(gram, shares @ np.arange(8.0))
    assert found.family == "lin"
    np.testing.assert_allclose(np.diff(found.alpha @ shares), 1, rtol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 100])
def test_the_grid_of_sizes_sums_lines_exactly(n):
    sizes, weights = size_grid(n)
    assert sizes[0] == 1
    assert sizes[-1] == n
    assert weights.sum() == pytest.approx(n)
    assert (weights / sizes).sum() == pytest.approx((1 / np.arange(1, n + 1)).sum())
