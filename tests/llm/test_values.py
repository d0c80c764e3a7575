"""What workers are worth by retraining, against the definition; kept on disk."""

import itertools
from math import factorial

import numpy as np
import pytest
from rich.console import Console

from crowd_sim.cli.run import run as run_command
from crowd_sim.errors import InputError
from crowd_sim.host import InProcess
from crowd_sim.models.jobs import OutputJob
from crowd_sim.models.lora import LoraLearner, shared_learner
from crowd_sim.random import Purpose
from crowd_sim.tasks.adapters.retraining import key_of
from crowd_sim.tasks.adapters.settings import learner_spec, sampling_of
from crowd_sim.tasks.imitate.game import RetrainingGame
from crowd_sim.tasks.load import load_task
from tests.bad_input.command import IN_PROCESS
from tests.llm.small import config, content

N = 3


@pytest.fixture(scope="module")
def setup(parts):
    return valued(parts, 1)


def valued(parts, runs: int, **task):
    crowd = {"n_workers": N, "selection": "first"}
    task = content(parts)["task"] | task
    return config(parts, runs, crowd=crowd, valuation={"method": "exact"}, tournament={"drop_used": False}, task=task)


def run(setup, out):
    return run_command(setup, "small", out, IN_PROCESS[1], Console(quiet=True))


def game_of(setup):
    with load_task(setup).open([setup], InProcess()) as opened:
        return opened.game(None, 0, setup, {})


def test_exact_values_are_the_definitions(setup, tmp_path):
    outcome, game = run(setup, tmp_path / "run").outcome, game_of(setup)
    worth = {}
    for members in itertools.chain.from_iterable(itertools.combinations(range(N), k) for k in range(N + 1)):
        coalition = np.zeros((1, N), dtype=bool)
        coalition[0, list(members)] = True
        worth[members] = float(game(coalition)[0])
    assert len(set(worth.values())) == 2**N  # every coalition makes another model
    expected = np.zeros(N)
    for order in itertools.permutations(range(N)):
        for place, worker in enumerate(order):
            before = tuple(sorted(order[:place]))
            expected[worker] += worth[tuple(sorted((*before, worker)))] - worth[before]
    np.testing.assert_allclose(outcome.values[0], expected / factorial(N), atol=1e-12)
    assert outcome.n_evaluations == {"accurate": 2**N, "kernel_shap": 0}
    assert outcome.values.sum() == pytest.approx(worth[tuple(range(N))] - worth[()])


def test_by_likelihood_nothing_is_drawn_but_for_reports(parts, tmp_path, monkeypatch):
    usual, purposes, setup = LoraLearner.judge, [], valued(parts, 1, judged_by="likelihood")

    def judge(self, jobs):
        purposes.extend(job.purpose for job in jobs)
        return usual(self, jobs)

    monkeypatch.setattr(LoraLearner, "judge", judge)
    outcome, game = run(setup, tmp_path / "run").outcome, game_of(setup)
    assert set(purposes) == {Purpose.REPORT_OUTPUTS}
    assert all(record.tokens_generated == 0 for record in outcome.details.rounds)
    learner, texts = shared_learner(learner_spec(setup)), outcome.details.crowd.validation()
    start, how = (
        learner.initial(setup.seed, 0),
        (("day 1?",), key_of(setup, 0), Purpose.REPORT_OUTPUTS, sampling_of(setup)),
    )
    losses = [learner.judge([OutputJob(start, *how, held=(text,))])[0].loss for text in texts]
    nobody, everyone = game(np.array([[False] * N, [True] * N]))
    assert nobody == pytest.approx(-np.mean(losses), abs=1e-6)
    assert outcome.values.sum() == pytest.approx(everyone - nobody)


def test_utilities_do_not_depend_on_their_company(setup):
    game = game_of(setup)
    coalitions = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1]], dtype=bool)
    alone = np.concatenate([game(coalitions[i : i + 1]) for i in range(3)])
    assert game(coalitions).tobytes() == alone.tobytes()


def test_a_second_run_evaluates_nothing(setup, tmp_path, monkeypatch):
    evaluated = []
    usual = RetrainingGame.__call__

    def counted(self, coalitions):
        evaluated.append(len(coalitions))
        return usual(self, coalitions)

    monkeypatch.setattr(RetrainingGame, "__call__", counted)
    first = run(setup, tmp_path / "run").outcome
    assert sum(evaluated) == 2**N
    evaluated.clear()
    second = run(setup, tmp_path / "run").outcome
    assert evaluated == []
    assert second.values.tobytes() == first.values.tobytes()
    assert second.details.first_order.tobytes() == first.details.first_order.tobytes()


def test_values_of_the_runs_stand_beside_their_workers(parts, tmp_path):
    import pandas as pd

    finished = run(valued(parts, 2), tmp_path / "run")
    table = pd.read_parquet(finished.folder / "workers.parquet")
    outcome = finished.outcome
    assert table["shapley"].tolist() == outcome.values.ravel().tolist()
    assert table["first_order"].tolist() == outcome.details.first_order.ravel().tolist()
    assert not np.array_equal(*outcome.values)


def test_a_coalition_whose_tuning_diverges_is_named(setup, tmp_path, monkeypatch):
    usual = LoraLearner.tune

    def diverging(self, jobs):
        tuned = usual(self, jobs)
        for job, one in zip(jobs, tuned, strict=True):
            if job.key.round == 0 and len(job.examples) == 1 + 3:  # of the first and the third
                next(iter(one.adapter.values())).flat[0] = float("nan")
        return tuned

    monkeypatch.setattr(LoraLearner, "tune", diverging)
    says = r"^task.learning_rate = 0.02: must be lower: tuning on the examples of w0, w2 together diverged"
    with pytest.raises(InputError, match=says):
        run(setup, tmp_path / "run")
