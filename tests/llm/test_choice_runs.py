"""Runs of classify, prefer and verify: real tuning of a tiny model, the same bits by every way of running them."""

import io
import json
import re
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import crowd_sim.engine
from crowd_sim.api.runs import shown
from crowd_sim.cli.run import outcome_table
from crowd_sim.cli.run import run as run_command
from crowd_sim.cli.sweep import sweep
from crowd_sim.commands.rehearsal import of_run
from crowd_sim.config import ActorsConfig, CheckpointConfig
from crowd_sim.engine import simulate
from crowd_sim.host import InProcess, LocalTrainers
from crowd_sim.models.jobs import TuneJob
from crowd_sim.models.likelihoods import responses_of
from crowd_sim.models.lora import LoraLearner, shared_learner
from crowd_sim.models.objectives import Options, leave_one_out
from crowd_sim.models.reward_model import fit_reward
from crowd_sim.models.training import Drawing, Key
from crowd_sim.store.run_folder import write_run
from crowd_sim.sweeps.plan import Sweep
from crowd_sim.tasks.adapters.settings import learner_spec, training_of
from crowd_sim.tasks.choose.crowd import load_choices
from crowd_sim.tasks.choose.game import ChoiceGame
from crowd_sim.tasks.choose.rewarding import Rewarding
from crowd_sim.tasks.load import load_task
from crowd_sim.tasks.verify.game import VerifyGame
from crowd_sim.tasks.verify.tables import verify_metrics
from crowd_sim.trackers.by_name import Named
from tests.bad_input.command import IN_PROCESS
from tests.llm.choosing import FULL, answers, by_peft, configuration, expert, pairs, run
from tests.on_ray import run_on_ray


def rewarded(parts):
    return {
        "baselines": ["best_of_n", "rloo"],
        "phi": {"kind": "embedding", "model": str(parts / "phi")},
        "verifier": {"n_outputs": 3},
        "generation": {"max_new_tokens": 4, "temperature": 1.0},
    }


def tables(folder):
    names = ("rounds", "workers", "runs", "items", *(["labels"] if (folder / "labels.parquet").exists() else []))
    return {name: (folder / f"{name}.parquet").read_bytes() for name in names} | {
        "summary": (folder / "summary.json").read_bytes()
    }


class Dealt(LocalTrainers):
    """Two trainers that are one."""

    number = 2

    def gather(self, method, calls, names):
        return [
            answer
            for call, name in zip(calls, names, strict=True)
            for answer in super(Dealt, self).gather(method, [call], [name])
        ]


class Two(InProcess):
    def trainers(self, make):
        return nullcontext(Dealt(make()))


class Stopped(Exception):
    """The process ended here."""


@pytest.mark.parametrize("kind", ["classify", "prefer", "verify"])
def test_a_run_is_the_same_bits_with_two_trainers_and_after_a_stop(parts, tmp_path, monkeypatch, kind):
    setup = configuration(parts, tmp_path, kind)
    if kind == "classify":
        setup = configuration(parts, tmp_path, kind, trusted=expert(), screens={"action": "exclude"}, **FULL)
    if kind == "prefer":
        setup = configuration(parts, tmp_path, kind, task=rewarded(parts) | {"merged_model": True})
    read, choose = [], LoraLearner.choose
    with monkeypatch.context() as counting:
        counting.setattr(LoraLearner, "choose", lambda self, jobs: read.extend(jobs) or choose(self, jobs))
        finished = run(setup, tmp_path / "whole")
    if kind == "prefer":  # what all models are held against is read once: of the selection and of the report
        assert sum(not any(w.any() for name, w in job.adapter.items() if name.endswith("B")) for job in read) == 2
    wanted = tables(finished.folder)
    (outcome,) = simulate([setup], load_task(setup), Two())
    write_run(tmp_path, outcome, json.loads(wanted["summary"])["fingerprint"])
    assert tables(tmp_path) == wanted

    usual, played = crowd_sim.engine.play, []

    def play(rules, state, learner):
        if state.round == 1 and not played:
            played.append(state.round)
            raise Stopped
        return usual(rules, state, learner)

    monkeypatch.setattr(crowd_sim.engine, "play", play)
    keeping = ActorsConfig(checkpoints=CheckpointConfig(steps=2))
    kept = setup.model_copy(update={"actors": keeping})
    with pytest.raises(Stopped):
        run(kept, tmp_path / "stopped")
    assert list((tmp_path / "stopped" / "checkpoints" / "tuning").rglob("00000001-*"))
    run(kept, tmp_path / "stopped")
    assert tables(tmp_path / "stopped") == wanted

    text = Console(width=80, record=True, file=io.StringIO())
    text.print(outcome_table(finished))
    reported(finished, kind, " ".join(text.export_text().split()))
    by_peft(finished)
    if kind == "verify":
        verified(finished, json.loads(wanted["summary"])["verified"])
        return
    found = json.loads(wanted["summary"])["choices"]
    assert found["floor"]["mean"] == pytest.approx({"prefer": 0.5, "classify": 4 / 7}[kind])
    if kind == "classify":
        assert found["tokens"]["mean"] == 140
        assert {"accuracy_expert", "accuracy_single"} < set(found)
        workers = pd.read_parquet(finished.folder / "workers.parquet")
        assert (workers["screen_expert"].between(0, 1) & (workers.loc[workers["flagged"], "points"] == 0).all()).all()
    assert found["log_likelihood_after"]["mean"] != found["log_likelihood_before"]["mean"]
    if kind == "prefer":  # against the start, which prefers nothing
        assert found["accuracy_before"]["mean"] == 0.5
        assert found["margin_after"]["mean"] > 0
        assert found["log_likelihood_after"]["mean"] > found["log_likelihood_before"]["mean"]
        by_reward(finished, found)
    items = pd.read_parquet(finished.folder / "items.parquet")
    assert (items["chosen_after"] == items["right"]).mean() == pytest.approx(found["accuracy_after"]["mean"])


def reported(finished, kind, terminal):
    """The page, the picture, the table of runs and the terminal speak of the task's measure, not of distances."""
    page = re.sub(
        'data:image/png;base64,[^"]*|<script.*?</script>', "", (finished.folder / "report.html").read_text(), flags=re.S
    )
    name = "reward" if kind == "verify" else "accuracy"
    for word in (
        "most of",
        "where they are tied",
        name,
        "floor",
        "Base model",
        "Objective",
        "Search",
        "95 % intervals",
        f"task {kind}",
    ):
        assert word in page, word
    run_with = page.partition("What was run")[2].partition("What differs from the defaults")[0]
    for word in ("Euclidean", "came within", "Distance to the target"):
        assert word not in page, word
    for word in ("Step size", "Clipping", "Aggregation", "Score"):
        assert word not in run_with, word
    assert ("By label" in page) == (kind == "classify")
    assert [path.name for path in (finished.folder / "figures").glob("*_per_round.png")] == [f"{name}_per_round.png"]
    runs = pd.read_parquet(finished.folder / "runs.parquet")
    assert {f"{name}_after", "floor"} < set(runs)
    assert "rounds_to_converge" not in runs
    assert "± s.e.: over the items, by prompt; " in terminal
    assert "seconds" not in terminal.partition("± s.e.: ")[0]
    printed = str(shown(finished.outcome))
    assert f"task {kind})" in printed
    assert f"{name}_after" in printed
    assert "distance" not in printed


def verified(finished, found):
    items = pd.read_parquet(finished.folder / "items.parquet")
    own = re.compile("[a-p]")
    for when in ("before", "after"):
        assert items[f"reward_{when}"].tolist() == [float(bool(own.search(t))) for t in items[f"output_{when}"]]
        assert found[f"reward_{when}"]["mean"] == pytest.approx(items[f"reward_{when}"].mean())
        assert found[f"distinct_{when}"]["mean"] == pytest.approx(items[f"output_{when}"].nunique() / len(items))
    assert found["floor"]["mean"] == 1.0  # one letter would do for all
    assert found["tokens"]["mean"] > 0
    assert {"reward_single", "accuracy_single"} < set(found)
    assert finished.outcome.history.distances[-1, 0] == pytest.approx(1 - found["reward_after"]["mean"])


def by_reward(finished, found):
    items, details = pd.read_parquet(finished.folder / "items.parquet"), finished.outcome.details
    ((before, after, sft, best, rloo),) = [own.values() for own in details.outputs]
    spent = found["tokens"]["mean"]
    assert (before["tokens"], after["tokens"], sft["tokens"], best["tokens"]) == (0, spent, spent, spent)
    assert spent <= rloo["tokens"] <= spent + 4 * 3 * 5  # to the end of a step
    assert items["output_best_of_n"].tolist() == best["texts"]
    gaps = items["reward_best_of_n"] - items["reward_before"]
    assert found["win_rate_best_of_n"]["mean"] == ((gaps > 0) + 0.5 * (gaps == 0)).mean()
    assert found["win_rate_before"]["mean"] == 0.5
    assert {"accuracy_sft", "accuracy_rloo", "repetition_after", "distinct_rloo"} < set(found)
    assert 0 <= found["reward_accuracy"]["mean"] <= 1
    setup, crowd = finished.outcome.config, details.crowd
    learner = shared_learner(learner_spec(setup))
    phi = [learner.embed([pair for e in crowd.texts.in_turn() for pair in (e.response, e.rival)])[i::2] for i in (0, 1)]
    report = [learner.embed([text for item in crowd.report for text in item.choices])[i::2] for i in (0, 1)]
    assert found["reward_accuracy"]["mean"] == fit_reward(*phi).accuracy(*report)
    how = Rewarding(setup, (), crowd, None, None, None, None, 0)._reinforced(fit_reward(*phi))
    assert (how.learning_rate, how.options.kl) == (0.3 * setup.task.learning_rate, 0.05)
    job = drawing_of(learner, setup, crowd, fit_reward(*phi))
    adapter = {name: weights + 0.1 for name, weights in job.start.items()}
    outputs, gains = learner._drawer(job)(adapter, np.arange(2), 0)
    drawn = [learner.base.tokenizer.decode(o.response, skip_special_tokens=True) for o in outputs]
    now, before = (responses_of(learner.base, learner.stack, own, outputs) for own in (adapter, job.start))
    assert np.abs(now - before).max() > 0.1
    earned = fit_reward(*phi)(learner.embed(drawn)) - 0.3 * (now - before)
    assert gains == pytest.approx(leave_one_out(earned.reshape(2, 3)).ravel())


def drawing_of(learner, setup, crowd, reward):
    how = {"objective": "rloo", "drawing": Drawing(3, 4, 1.0, reward=reward), "options": Options(kl=0.3)}
    training = replace(training_of(setup), **how)
    return TuneJob(learner.initial(4, 0), crowd.texts.in_turn(), Key(4, 0, 0, 0), training)


def test_ties_are_said_and_a_dry_run_names_all_that_is_tuned(parts, tmp_path):
    rows = [{"worker": r["worker"], "prompt": r["prompt"], "a": r["chosen"], "b": r["rejected"]} for r in pairs()]
    rows = [row | {"winner": "tie" if i % 12 == 5 else "a"} for i, row in enumerate(rows)]
    changes = {"valuation": {"method": "exact"}, "task": {"baselines": ["single"]}}
    setup = configuration(parts, tmp_path, "prefer", rows, **changes)
    assert any("3 ties prefer nothing" in remark for remark in load_choices(setup).remarks)
    would, _, _, long, remark = of_run(setup, "small", None, "none")
    assert would.endswith("values by exact, all 64 coalitions a game")
    assert "3 ties prefer nothing" in remark
    assert "4 candidates to tune, 1 single models beside them, 64 coalitions to tune a model for" in long


VALUED = {
    "crowd": {"n_workers": 3, "selection": "first"},
    "tournament": {"rounds": 1},
    "valuation": {"method": "exact"},
    "actors": {pool: {"number": 2, "cpus": 0.1} for pool in ("trainers", "evaluators")},
}


@pytest.mark.parametrize("kind", ["classify", "prefer", "verify"])
def test_values_are_those_of_retraining_and_kept(parts, tmp_path, kind):
    setup = configuration(parts, tmp_path, kind, **VALUED)
    told = SimpleNamespace(start=lambda *_: None, log=lambda *_: None, finish=Mock(), close=lambda *_: None)
    watched = {"trackers": [Named("told", told)]}
    finished = run_command(setup, "small", tmp_path / "valued", IN_PROCESS[1], Console(quiet=True), **watched)
    metrics, _ = told.finish.call_args.args
    assert {"final_distance", "accuracy_before", "accuracy_after", "floor"} <= metrics.keys()
    game = (VerifyGame if kind == "verify" else ChoiceGame)(setup, load_choices(setup), 0)
    nobody, everyone = game(np.array([[False] * 3, [True] * 3]))
    assert nobody == pytest.approx(np.log(0.5)) or kind != "prefer"
    assert finished.outcome.values.sum() == pytest.approx(everyone - nobody)
    assert (
        pd.read_parquet(tmp_path / "valued" / "workers.parquet")["shapley"].tolist()
        == finished.outcome.values[0].tolist()
    )
    assert any((tmp_path / "valued" / "utilities").iterdir())
    assert run(setup, tmp_path / "valued").was_there


@pytest.mark.parametrize("kind", ["classify", "verify"])
def test_a_run_on_ray_is_the_same_bits(parts, tmp_path, local_ray, kind):
    trusted, screens = (expert(), {"action": "report"}) if kind == "classify" else (answers(44)[36:], None)
    own = (
        VALUED | {"task": {"baselines": ["expert"]}} | ({} if kind == "classify" else {"valuation": {"method": "none"}})
    )
    setup = configuration(parts, tmp_path, kind, trusted=trusted, screens=screens, **own)
    (own,) = simulate([setup], load_task(setup), InProcess())
    other = run_on_ray(setup, load_task(setup))
    assert own.history.points.tobytes() == other.history.points.tobytes()
    if kind == "verify":
        assert own.details.texts == other.details.texts
        assert own.details.texts[0]["expert"] != own.details.texts[0]["before"]
        assert len(own.details.crowd.selection) == 8  # the expert's
        return
    assert own.values.tobytes() == other.values.tobytes()
    assert own.details.probabilities.tobytes() == other.details.probabilities.tobytes()
    assert own.screened.scores["expert"].tobytes() == other.screened.scores["expert"].tobytes()


def test_a_sweep_of_verifiers_is_its_points_by_themselves(parts, tmp_path):
    setup = configuration(parts, tmp_path, "verify", tournament={"rounds": 1}, task={"objective": "sft"})
    patterns = ["[{answer}a-p]", "[q-z]"]
    plan = Sweep.parse(
        setup.model_dump(exclude_defaults=True) | {"sweep": {"task": {"verifier": {"pattern": patterns}}}}
    )
    assert sweep(plan, "answers", tmp_path / "swept", IN_PROCESS[1], Console(quiet=True)).done == 2
    table = pd.read_parquet(tmp_path / "swept" / "points.parquet")
    for point, reward in zip(plan.points, table["reward_after_mean"], strict=True):
        (alone,) = simulate([point.config], load_task(point.config), InProcess())
        assert verify_metrics(alone)["reward_after"][0] == reward
    assert table["reward_before_mean"].nunique() == 2
