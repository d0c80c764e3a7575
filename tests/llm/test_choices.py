"""`classify`, `prefer` and `verify` on the one engine: splits, scores, and the same bits however a run is made."""

import io
import json
import re
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import crowd_sim.engine
from crowd_sim import load_config
from crowd_sim.api.runs import shown
from crowd_sim.cli.run import outcome_table
from crowd_sim.cli.run import run as run_command
from crowd_sim.cli.sweep import sweep
from crowd_sim.commands.rehearsal import of_run
from crowd_sim.config import ActorsConfig, CheckpointConfig, RunConfig
from crowd_sim.config.bad import BadConfig
from crowd_sim.crowd import verifiers
from crowd_sim.crowd.screens import LABEL_SCREENS, PAIR_SCREENS, screened
from crowd_sim.crowd.sources.feedback import example_feedback, example_labels
from crowd_sim.crowd.texts import Example, Item
from crowd_sim.crowd.verifiers import Rule, check_answer, meaning_of, verifier_of
from crowd_sim.engine import simulate
from crowd_sim.errors import InputError, StrategyError
from crowd_sim.host import InProcess, LocalTrainers
from crowd_sim.models.jobs import TuneJob
from crowd_sim.models.likelihoods import responses_of
from crowd_sim.models.lora import LoraLearner, shared_learner
from crowd_sim.models.objectives import Options, leave_one_out
from crowd_sim.models.reward_model import fit_reward
from crowd_sim.models.training import Drawing, Key, PackedTuneJob
from crowd_sim.models.tuning import tune
from crowd_sim.participants import roles
from crowd_sim.store.run_folder import write_run
from crowd_sim.sweeps.plan import Sweep
from crowd_sim.tasks.adapters.learner import mixed
from crowd_sim.tasks.adapters.settings import learner_spec, training_of
from crowd_sim.tasks.adapters.trainers import TextTrainers
from crowd_sim.tasks.choose import dealing
from crowd_sim.tasks.choose.crowd import load_choices
from crowd_sim.tasks.choose.game import ChoiceGame
from crowd_sim.tasks.choose.learner import accuracy, calibration_error
from crowd_sim.tasks.choose.rewarding import Rewarding
from crowd_sim.tasks.choose.screening import peer_agreement, screen
from crowd_sim.tasks.choose.tables import labels_table
from crowd_sim.tasks.load import load_task, task_key
from crowd_sim.tasks.verify.game import VerifyGame
from crowd_sim.tasks.verify.tables import verify_metrics
from crowd_sim.trackers.by_name import Named
from tests.bad_input.command import IN_PROCESS
from tests.learners.tiny_llm import TEMPLATE
from tests.llm.small import config as of_texts
from tests.on_ray import run_on_ray

WEATHER = ("rain", "hail", "snow", "sun", "heat", "glow")


def labels(n=36):
    return [
        {"worker": f"w{i % 6}", "text": f"{WEATHER[i % 6]} {i}", "label": "wet" if i % 6 < 3 else "dry"}
        for i in range(n)
    ]


def pairs(n=36):
    return [
        {"worker": f"w{i % 6}", "prompt": f"day {i}?", "chosen": f"sun {i}", "rejected": f"rain {i}"} for i in range(n)
    ]


def answers(n=36):
    return [{"worker": f"w{i % 6}", "prompt": f"day {i}?", "answer": WEATHER[i % 6][:1]} for i in range(n)]


ROWS = {"classify": labels, "prefer": pairs, "verify": answers}


FULL = {
    "crowd": {"bad": {"behaviour": "flip", "share": 0.2}},
    "tournament": {"reward": "marginal", "exploit_every": 2, "weight_power": 30, "search": "greedy_soup"},
    "task": {
        "tokens_per_round": 70,
        "question": "{text}: {labels}?",
        "baselines": ["expert", "single"],
        "expert_epochs": 2,
    },
}
"""Of `classify`, with an expert."""


def expert(n=6):
    return [
        {"worker": "t", "text": f"{WEATHER[i % 6]} and {i}", "label": "wet" if i % 6 < 3 else "dry"} for i in range(n)
    ]


PEERS = {"screens": {"action": "exclude", "use": ["peers"]}}


def configuration(parts, tmp_path, kind, rows=None, target=None, trusted=None, screens=None, **changes):
    path = tmp_path / f"{kind}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows or ROWS[kind]()))
    crowd = {"source": "records", "path": str(path), "n_workers": 6, "held_out": 0.2}
    if target is not None:
        (tmp_path / "trusted.jsonl").write_text("".join(json.dumps(row) + "\n" for row in target))
        crowd |= {"held_out": 0.0, "target": str(tmp_path / "trusted.jsonl")}
    given = {}
    if trusted is not None:
        given["expert"] = str(tmp_path / "expert.jsonl")
        (tmp_path / "expert.jsonl").write_text("".join(json.dumps(row) + "\n" for row in trusted))
    task = given | {
        "kind": kind,
        "model": str(parts / "model"),
        "prompt_template": TEMPLATE,
        "rank": 2,
        "epochs": 1,
        "max_tokens": 90,
    }
    task |= {"batch_size": 4, "learning_rate": 0.02, "device": "cpu"} | {
        "prefer": {"objective": "dpo"},
        "verify": OWN,
    }.get(kind, {})
    return RunConfig.parse(
        {
            "seed": 4,
            "crowd": crowd | changes.get("crowd", {}),
            "tournament": {"rounds": 2, "n_groups": 2, "mistake_probability": 0.0, "incumbent": False}
            | changes.get("tournament", {}),
            "valuation": changes.get("valuation", {"method": "none"}),
            "actors": changes.get("actors", {}),
            "task": task | changes.get("task", {}),
        }
        | ({} if screens is None else {"screens": screens})
    )


OWN = {
    "objective": "rloo",
    "verifier": {"kind": "regex", "pattern": "[{answer}a-p]", "n_outputs": 3},
    "generation": {"max_new_tokens": 4, "temperature": 1.0},
    "baselines": ["single"],
}


def rewarded(parts):
    return {
        "baselines": ["best_of_n", "rloo"],
        "phi": {"kind": "embedding", "model": str(parts / "phi")},
        "verifier": {"n_outputs": 3},
        "generation": {"max_new_tokens": 4, "temperature": 1.0},
    }


def run(setup, out):
    return run_command(setup, "small", out, IN_PROCESS[1], Console(quiet=True))


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


def by_peft(finished):
    """What the adapter that the folder holds says of the report, loaded as anybody would: the run's numbers."""
    import peft
    import torch
    import transformers

    folder, setup, details = finished.folder, finished.outcome.config, finished.outcome.details
    base = transformers.AutoModelForCausalLM.from_pretrained(setup.task.model, dtype="float32")
    model = peft.PeftModel.from_pretrained(base, folder / "adapter" / "run-0").eval()
    told, kept = (json.loads((folder / "summary.json").read_text())[name] for name in ("learner", "files"))
    assert told["dtype"] == "float32"
    assert "adapter/run-0/adapter_model.safetensors" in kept
    card = (folder / "adapter" / "run-0" / "README.md").read_text(encoding="utf-8")
    assert f"Task `{setup.task.kind}`, objective `{setup.task.objective}`" in card
    if setup.task.merged_model:
        merged = transformers.AutoModelForCausalLM.from_pretrained(folder / "merged" / "run-0", dtype="float32").eval()
        with torch.no_grad():
            found = [one(input_ids=torch.tensor([[1, 40, 41, 2]])).logits.numpy() for one in (merged, model)]
        np.testing.assert_allclose(*found, atol=1e-4)
    tokens = shared_learner(learner_spec(setup)).tokens

    def likelihood(item, choice):
        own = tokens(Example(item.prompt, choice, item.before))[0]
        with torch.no_grad():
            found = model(input_ids=torch.tensor([[*own.prompt, *own.response]])).logits[0].double().log_softmax(-1)
        return sum(found[len(own.prompt) - 1 + i, token].item() for i, token in enumerate(own.response))

    for i, item in list(enumerate(details.crowd.report))[:3]:
        if setup.task.kind == "verify":
            prompt = torch.tensor([list(tokens(Example(item.prompt, "x"))[0].prompt)])
            drawn = model.generate(input_ids=prompt, do_sample=False, max_new_tokens=4)[0, prompt.shape[1] :]
            decode = shared_learner(learner_spec(setup)).base.tokenizer.decode
            assert decode(drawn, skip_special_tokens=True) == details.texts[0]["after"][i]
            continue
        found = np.array([likelihood(item, choice) for choice in item.choices])
        if setup.task.kind == "prefer":
            with model.disable_adapter():
                found -= [likelihood(item, choice) for choice in item.choices]
            found *= setup.task.beta
        found = found if len(found) > 1 else np.append(found, 0.0)
        expected = np.exp(found) / np.exp(found).sum()
        np.testing.assert_allclose(details.probabilities[0, -1, i], expected, atol=1e-4)


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


def judgements(n=48):
    return [
        {
            "worker": f"w{i % 6}",
            "prompt": f"day {i // 12 * 6 + i % 6}?",
            "completion": f"{'sun' if i // 6 % 2 else 'rain'} {i}",
            "label": bool(i // 6 % 2),
        }
        for i in range(n)
    ]


def test_kto_takes_judgements_that_are_no_pairs(parts, tmp_path):
    rows = [row | {"prompt": f"{row['prompt']}{row['completion'][:2]}"} for row in judgements()]
    task = {"objective": "kto", "baselines": ["single"]}
    setup = configuration(parts, tmp_path, "prefer", rows, task=task, crowd={"held_out": 0.25})
    learner, crowd = shared_learner(learner_spec(setup)), load_choices(setup)
    assert [Counter(item.right for item in part) for part in (crowd.selection, crowd.report)] == [{0: 6, 1: 6}] * 2
    given = learner._packed(
        TuneJob(learner.initial(4, 0), crowd.texts.examples[0], Key(4, 0, 1, 0), training_of(setup))
    )
    assert given.gains == tuple(float(e.response.startswith("sun")) for e in crowd.texts.examples[0])
    assert set(given.gains) == {0.0, 1.0}
    assert crowd.items_of(0)[0].right == 1 - given.gains[0]
    finished = run(setup, tmp_path / "judged")
    by_peft(finished)
    found = json.loads((finished.folder / "summary.json").read_text())["choices"]
    assert (found["floor"]["mean"], found["accuracy_before"]["mean"]) == (0.5, 0.5)
    assert found["log_likelihood_after"]["mean"] > found["log_likelihood_before"]["mean"]
    assert found["margin_after"]["mean"] > 0
    items = pd.read_parquet(finished.folder / "items.parquet")
    assert set(items["right"]) == {"good", "bad"}
    assert (items["response"].str.startswith("sun") == (items["right"] == "good")).all()
    assert (items["chosen_after"] == items["right"]).mean() == found["accuracy_after"]["mean"]
    turned = load_choices(setup.model_copy(update={"crowd": of_bad(setup, "flip")}))
    was, now = ([e.good for own in one.texts.examples for e in own] for one in (crowd, turned))
    assert now == [not good for good in was]
    assert load_choices(setup.model_copy(update={"crowd": of_bad(setup, "spam")})).texts != crowd.texts
    as_pairs = setup.model_copy(update={"task": setup.task.model_copy(update={"objective": "dpo"})})
    assert task_key(as_pairs) != task_key(setup)  # a sweep over objectives reads the same file in two ways


def of_bad(setup, behaviour):
    return setup.crowd.model_copy(update={"bad": BadConfig(behaviour=behaviour, share=1.0)})


def test_sft_before_kto_is_over_what_is_good(parts, tmp_path):
    setup = configuration(parts, tmp_path, "prefer", judgements(), task={"objective": "kto", "sft_epochs": 1})
    learner, own = shared_learner(learner_spec(setup)), load_choices(setup).texts.examples[0]
    job = TuneJob(learner.initial(4, 0), own, Key(4, 0, 1, 0), training_of(setup))
    assert learner._warmed(job).examples == tuple(e for e in own if e.good)
    assert learner._warmed(replace(job, examples=tuple(e for e in own if not e.good))) is None


def test_ratings_and_judgements_are_pairs_of_one_worker(parts, tmp_path):
    rated = [
        {"worker": w, "prompt": f"{w}?", "response": f"{w} {r}", "rating": n}
        for w in ("w0", "w1", "w2", "w3", "w4", "w5")
        for r, n in (("best", 5), ("good", 4.5), ("bad", 1), ("as bad", 1))
    ]
    task = {"objective": "sft"}
    crowd = load_choices(configuration(parts, tmp_path, "prefer", rated, task=task, crowd=FEW))
    made = [(item.prompt, *item.choices) for item in (*crowd.selection, *crowd.report)]
    made += [(e.prompt, e.response, e.rival) for own in crowd.texts.examples for e in own]
    expected = [("best", "good"), ("best", "bad"), ("best", "as bad"), ("good", "bad"), ("good", "as bad")]
    assert sorted(made) == sorted((f"w{i}?", f"w{i} {a}", f"w{i} {b}") for i in range(6) for a, b in expected)
    ((said),) = crowd.remarks
    assert "6 pairs of responses are alike" in said
    crowd = load_choices(configuration(parts, tmp_path, "prefer", judgements(), task={"objective": "dpo"}))
    assert all(e.response.startswith("sun") and e.rival.startswith("rain") for own in crowd.texts.examples for e in own)
    task = {"objective": "kto", "baselines": ["best_of_n"], "generation": {"temperature": 1.0}}
    with pytest.raises(InputError, match=r"^task\.baselines = .*: must ask no reward model .* with judgements"):
        load_choices(configuration(parts, tmp_path, "prefer", judgements(), task=task))
    task = {"objective": "sft"}
    unnamed = [{name: value for name, value in row.items() if name != "worker"} for row in rated]
    with pytest.raises(InputError, match=r"of one worker, that are rated differently; there are none; whose the rows"):
        load_choices(configuration(parts, tmp_path, "prefer", unnamed, task=task))
    both = configuration(parts, tmp_path, "prefer", rated, unnamed[:8], task=task, crowd={"n_workers": 4})
    assert len(load_choices(both).report) == 5  # trusted rows are one voice


FEW = {"n_workers": 2, "held_out": 1 / 3}


def test_splits_share_no_prompt_and_no_text(parts, tmp_path):
    rows = [
        {"worker": f"w{i % 6}", "prompt": f"p{i // 2}", "chosen": f"c{i // 3}", "rejected": f"r{i}"} for i in range(60)
    ]
    crowd = load_choices(configuration(parts, tmp_path, "prefer", rows))
    seen = {e.prompt for own in crowd.texts.examples for e in own}
    seen |= {text for own in crowd.texts.examples for e in own for text in (e.response, e.rival)}
    sides = [{t for item in part for t in (item.prompt, *item.choices)} for part in (crowd.selection, crowd.report)]
    assert seen.isdisjoint(sides[0] | sides[1])
    assert sides[0].isdisjoint(sides[1])
    assert all(sides)
    assert crowd.texts.n_workers == 6


def test_the_crowds_that_come_with_the_project():
    prefer, verify = (load_choices(load_config(name)) for name in ("llm_prefer", "llm_verify"))
    assert {len(own) for own in prefer.texts.examples} == {4}
    warm = {e.response for own in example_feedback("warm").examples[:4] for e in own}
    assert all(item.choices[0] in warm and item.choices[1] not in warm for item in (*prefer.selection, *prefer.report))
    sides = [
        [e.response in warm for own in part for e in own]
        for part in (prefer.texts.examples[:4], prefer.texts.examples[4:])
    ]
    assert (all(sides[0]), any(sides[1])) == (True, False)
    assert (len(verify.selection), len(verify.report), sum(map(len, verify.texts.examples))) == (16, 16, 32)


def test_of_the_crowd_of_classify_two_mislabel_and_most_are_right(parts):
    small = [f"task.model={parts / 'model'}", f"task.prompt_template={TEMPLATE}", "task.question='{text}'"]
    setup = load_config(
        "llm_classify", [*small, "task.rank=2", "tournament.rounds=1", "tournament.n_groups=2", "task.epochs=1"]
    )
    crowd = load_choices(setup)
    said = {row.said.item: {} for row in example_labels()}
    for row in example_labels():
        said[row.said.item][row.worker] = row.said.label
    assert {len(own) for own in said.values()} == {3}
    right = {text: Counter(own.values()).most_common(1)[0] for text, own in said.items()}
    assert min(n for _, n in right.values()) == 2
    assert Counter(label for label, _ in right.values()) == {"praise": 24, "complaint": 24}
    agree = {w: [own[w] == right[text][0] for text, own in said.items() if w in own] for w in crowd.texts.ids}
    assert {w: sum(own) / len(own) for w, own in agree.items() if not all(own)} == {"w7": 0.0, "w8": 0.5}
    assert (len(crowd.selection), len(crowd.report), crowd.remarks) == (12, 12, ())
    assert items_of(crowd).items() <= {text: label for text, (label, _) in right.items()}.items()
    (outcome,) = simulate([setup], load_task(setup), InProcess())
    assert labels_table(outcome)["items"].tolist() == [6, 6]


def sides_of(crowd):
    return [Counter(item.choices[item.right] for item in part) for part in (crowd.selection, crowd.report)]


def alternating(n=36, worker=lambda i: f"w{i // 2 % 6}"):
    return [{"worker": worker(i), "text": f"text {i}", "label": "xy"[i % 2]} for i in range(n)]


def test_halves_have_equal_shares_of_each_label_in_whatever_order_rows_stand(parts, tmp_path):
    deals = set()
    for seed in range(4):
        setup = configuration(parts, tmp_path, "classify", alternating(), alternating(20, lambda i: "t"))
        crowd = load_choices(setup.model_copy(update={"seed": seed}))
        assert sides_of(crowd) == [Counter(x=5, y=5)] * 2
        deals.add(crowd.report)
        own = configuration(parts, tmp_path, "classify", alternating(), crowd={"held_out": 0.17})
        crowd = load_choices(own.model_copy(update={"seed": seed}))
        assert sides_of(crowd) == [Counter(x=3, y=3)] * 2
        assert crowd.texts.n_workers == 6
        assert crowd.remarks == ()
        deals.add(crowd.report)
    assert len(deals) == 8
    assert task_key(setup) != task_key(setup.model_copy(update={"seed": 9}))  # a sweep over seeds meets them all


def test_what_is_linked_stays_together_and_halves_are_even_all_the_same():
    sizes = [1, 1, 2, 3, 1, 5, 1, 4, 2, 2]
    numbers = [number for number, size in enumerate(sizes) for _ in range(size)]
    labels = ["ab"[i % 2] for i in range(len(numbers))]
    there = dealing.linked(numbers, labels, [f"w{i % 3}" for i in range(len(numbers))])
    where = dealing.halved(list(there), there, np.random.default_rng(1))
    assert set(where) == set(range(10))
    rows = Counter((where[number], label) for number, label in zip(numbers, labels, strict=True))
    assert max(rows.values()) - min(rows.values()) <= 1


def test_a_worker_keeps_something_where_another_can_give(parts, tmp_path):
    rows = alternating(40, lambda i: "few" if i < 2 else f"w{i % 5}")
    for seed in range(8):
        setup = configuration(parts, tmp_path, "classify", rows, crowd={"held_out": 0.35})
        assert "few" in load_choices(setup.model_copy(update={"seed": seed})).texts.ids


def test_items_of_one_label_are_refused_and_missing_ones_remarked(parts, tmp_path):
    for one in ({"target": [row for row in alternating(20) if row["label"] == "x"]}, {"trusted": alternating(8)[::2]}):
        field = "crowd.target" if "target" in one else "task.expert"
        setup = configuration(parts, tmp_path, "classify", alternating(), **one)
        with pytest.raises(InputError, match=rf"^{field} = .*at least two labels to the selection, there is 'x' alone"):
            load_choices(setup)
    third = {"worker": "t", "text": "another", "label": "z"}
    setup = configuration(parts, tmp_path, "classify", [*alternating(), third], target=[*alternating(20), third])
    with pytest.raises(InputError, match=r"^task|^crowd"):  # z is in the target alone, once all that is linked is out
        load_choices(setup.model_copy(update={"crowd": setup.crowd.model_copy(update={"n_workers": 7})}))
    more = [*alternating(), third | {"worker": "w0", "text": "one more"}]
    found = load_choices(configuration(parts, tmp_path, "classify", more, target=[*alternating(20), third]))
    ((said),) = found.remarks
    assert re.fullmatch(r"crowd\.target = .*: no item of the (selection|report) is called z", said)


def items_of(crowd):
    return {item.prompt.split("\n")[-1]: item.choices[item.right] for item in (*crowd.selection, *crowd.report)}


def said_by_three(n, says=lambda i: ("xy"[i % 2],) * 2 + ("yx"[i % 2],)):
    """What ada, bob and a liar call each of n texts."""
    who = ("ada", "bob", "liar")
    return [{"worker": w, "text": f"t{i}", "label": v} for i in range(n) for w, v in zip(who, says(i), strict=True)]


THREE = {"crowd": {"n_workers": 3}, "tournament": {"n_groups": 3}}


def test_a_text_is_one_item_and_right_is_what_most_call_it(parts, tmp_path):
    crowd = load_choices(configuration(parts, tmp_path, "classify", said_by_three(20), **THREE))
    assert (len(crowd.selection), len(crowd.report)) == (4, 4)  # a fifth of the texts each, not of their 60 labels
    assert sides_of(crowd) == [Counter(x=2, y=2)] * 2
    assert items_of(crowd) == {text: "xy"[int(text[1:]) % 2] for text in items_of(crowd)}
    assert crowd.remarks == ()
    assert [len(own) for own in crowd.texts.examples] == [12] * 3
    lies = {e.response != "xy"[int(e.prompt.split("t")[-1]) % 2] for e in crowd.texts.examples[2]}
    assert (crowd.texts.ids[2], lies) == ("liar", {True})  # what is trained on stays everyone's
    again = [row for row in said_by_three(20) if row["worker"] == "ada"]
    alone = load_choices(configuration(parts, tmp_path, "classify", again, crowd={"n_workers": 1}, tournament=ONE))
    assert (alone.selection, alone.report) == (crowd.selection, crowd.report)  # the liar changes neither


ONE = {"n_groups": 1}


def test_texts_that_workers_are_tied_on_are_no_items_and_counted(parts, tmp_path):
    rows = said_by_three(20, lambda i: ("x", "y", "z") if i < 4 else ("xy"[i % 2],) * 2 + ("z",))
    crowd = load_choices(configuration(parts, tmp_path, "classify", rows, **THREE | {"crowd": {"held_out": 0.25} | W3}))
    assert len(items_of(crowd)) == 8
    assert not {"t0", "t1", "t2", "t3"} & set(items_of(crowd))
    assert {e.prompt[-2:] for e in crowd.texts.examples[0]} >= {"t0", "t1", "t2", "t3"}  # everyone has said something
    ties, *missing = crowd.remarks
    assert ties == (
        "crowd.held_out = 0.25: workers are tied on 4 of 20 texts, which have no right answer and are no items"
    )
    assert all("is called z" in line for line in missing)
    tied = configuration(parts, tmp_path, "classify", said_by_three(20, lambda _: ("x", "y", "z")), **THREE)
    with pytest.raises(InputError, match=r"to the selection, there are 0: workers are tied on 20 of 20 texts, which"):
        load_choices(tied)
    for where in ("target", "trusted"):
        given = {where: [*alternating(12, lambda _: "t"), {"worker": "u", "text": "text 0", "label": "y"}]}
        crowd = load_choices(configuration(parts, tmp_path, "classify", said_by_three(20), **given, **THREE))
        assert len(crowd.selection if where == "trusted" else items_of(crowd)) == 11
        assert len(crowd.expert) == (11 if where == "trusted" else 0)
        field = "crowd.target" if where == "target" else "task.expert"
        assert [line.split(" = ")[0] for line in crowd.remarks] == [field]
        assert "tied on 1 of 12 texts" in crowd.remarks[0]


W3 = {"n_workers": 3}


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("prefer", lambda i, lies: {"a": f"s{i}", "b": f"r{i}", "winner": "ba"[lies]}),
        ("prefer", lambda i, lies: {"chosen": f"{'sr'[lies]}{i}", "rejected": f"{'rs'[lies]}{i}"}),
        ("verify", lambda i, lies: {"answer": f"{i}.0" if lies is None else f"{i + lies}"}),
    ],
)
def test_a_pair_or_a_prompt_of_several_workers_is_one_item(parts, tmp_path, kind, says):
    rows = []
    for i in range(20):
        for worker, lies in (("liar", True), ("ada", False), ("bob", False)):
            own = says(i, None if kind == "verify" and worker == "bob" else lies)
            if "winner" in own and worker == "bob":  # the same pair the other way round
                own = {"a": own["b"], "b": own["a"], "winner": "ba"["ab".index(own["winner"])]}
            rows.append({"worker": worker, "prompt": f"p{i}", **own})
    task = {"verifier": {"kind": "number"}} if kind == "verify" else {}
    crowd = load_choices(configuration(parts, tmp_path, kind, rows, task=task, **THREE))
    items = [*crowd.selection, *crowd.report]
    assert len(items) == len({item.prompt for item in items}) == 8
    right = {item.choices[item.right] for item in items}
    letter = "" if kind == "verify" else "r" if "winner" in rows[0] else "s"
    assert right == {letter + item.prompt[1:] for item in items}  # of numbers 4 and 4.0 are one
    assert [len(own) for own in crowd.texts.examples] == [12] * 3


def test_answers_are_the_same_where_the_verifier_finds_them_so():
    for kind, *same, other in (
        ("exact", "a  b", " a b", "ab"),
        ("number", "1,000", "1000.0", "1"),
        ("json", '{"a": 1, "b": [true]}', '{"b": [true], "a": 1.0}', '{"a": 1, "b": [1]}'),
        ("length", "5", "5-5", "5-8"),
        ("regex", "a", "a", "A"),
    ):
        one, two, third = (meaning_of(Rule(kind), answer) for answer in (*same, other))
        assert (one == two, one == third, len({one, two, third})) == (True, False, 2)


def test_who_has_nothing_left_and_what_goes_together_is_said(parts, tmp_path):
    rows = [{"worker": f"w{i}", "prompt": "same?", "answer": "a"} for i in range(3)]
    with pytest.raises(InputError, match=r"there are 0: rows that share a prompt.* go together, and 3 of them make 1"):
        load_choices(configuration(parts, tmp_path, "verify", rows, crowd={"n_workers": 3}))
    stock = [row | {"rejected": "I cannot say."} for row in pairs(60)]
    says = r"60 of them make 1 \('I cannot say\.' is in 60\)\. Name trusted records that share neither .* crowd\.target, or"
    with pytest.raises(InputError, match=says):
        load_choices(configuration(parts, tmp_path, "prefer", stock))
    trusted = [{"prompt": f"n{i}?", "chosen": f"yes {i}", "rejected": f"no {i}"} for i in range(6)]
    assert len(load_choices(configuration(parts, tmp_path, "prefer", stock, trusted)).report) == 3
    same = [row | {"rejected": "No."} for row in trusted]
    with pytest.raises(InputError, match=r"6 of them make 1 .*\. task\.expert may name others, for the selection"):
        load_choices(configuration(parts, tmp_path, "prefer", stock, same))
    other = [{"prompt": f"m{i}?", "chosen": f"aye {i}", "rejected": "Nay."} for i in range(4)]
    found = load_choices(configuration(parts, tmp_path, "prefer", stock, same, other))
    assert (len(found.selection), len(found.report)) == (4, 6)
    with pytest.raises(InputError, match=r"36 of them make 12\. A higher crowd\.held_out may do"):
        load_choices(configuration(parts, tmp_path, "classify", said_by_three(12), crowd={"held_out": 0.1} | W3))
    rows = [*answers(), {"worker": "late", "prompt": "day 1?", "answer": "h"}]
    trusted = [row | {"worker": "t"} for row in answers(6)]
    setup = configuration(parts, tmp_path, "verify", rows, target=trusted, crowd={"n_workers": 7})
    with pytest.raises(InputError, match=r"^crowd\.n_workers = 7: must be at most 6: all rows of 1 of .* 7 .*\(late\)"):
        load_choices(setup)


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("classify", {"text": " text  0", "label": "y"}),
        ("classify", {"text": "text 0", "label": "x"}),
        ("prefer", {"prompt": "day 0?", "chosen": "rain 0", "rejected": "sun 0"}),
        ("verify", {"prompt": "day 0?", "answer": "9"}),
    ],
)
def test_a_worker_says_of_a_thing_one_thing(parts, tmp_path, kind, row):
    rows = [*(alternating() if kind == "classify" else ROWS[kind]()), {"worker": "w0"} | row]
    with pytest.raises(
        InputError, match=r"jsonl:37 = 'w0': is a worker who has judged the same before, at .*jsonl:1: which of"
    ):
        load_choices(configuration(parts, tmp_path, kind, rows))
    rows[-1]["worker"] = "w1"
    load_choices(configuration(parts, tmp_path, kind, rows))


@pytest.mark.parametrize(
    ("label", "says"),
    [
        (" x", "must not begin or end with a blank"),
        ("x\u200b", r"cannot be seen, U\+200B"),
        ("\u00a0x", "must not begin or end with a blank"),
        ("x\u200dy", "must hold labels that can be told apart"),
        ("x  y", "must hold labels that can be told apart"),
    ],
)
def test_labels_that_look_alike_are_refused(parts, tmp_path, label, says):
    rows = [
        *alternating(),
        *({"worker": "w0", "text": f"more {i}", "label": ("xy", "x y")[i]} for i in (0, 1)),
    ]
    rows.append({"worker": "w1", "text": "odd", "label": label})
    with pytest.raises(InputError, match=says):
        load_choices(configuration(parts, tmp_path, "classify", rows))


def test_trusted_records_judge_and_are_not_trained_on(parts, tmp_path):
    trusted = [{"worker": "t", "text": f"{WEATHER[i]} {i}", "label": "wet" if i < 3 else "dry"} for i in range(6)]
    crowd = load_choices(configuration(parts, tmp_path, "classify", target=trusted))
    assert len(crowd.selection) == len(crowd.report) == 3
    assert sum(map(len, crowd.texts.examples)) == 30  # without the six that are trusted
    assert crowd.texts.examples[0][0].prompt.startswith("Label this text as one of: dry, wet.\n\nrain")
    assert crowd.report[0].choices == ("dry", "wet")
    assert b"".join(crowd.identity()) != b"".join(crowd.texts.identity())


def test_an_expert_scores_and_screens_and_everything_else_is_for_the_report(parts, tmp_path):
    shared = [{"worker": "w0", "text": f"{WEATHER[0]} and 0", "label": "dry"}]
    crowd = load_choices(configuration(parts, tmp_path, "classify", [*labels(), *shared], trusted=expert(), **FULL))
    assert [item.prompt for item in crowd.selection] == [f"{row['text']}: dry, wet?" for row in expert()]
    assert len(crowd.report) == 7
    assert len(crowd.expert) == 6
    assert sum(map(len, crowd.texts.examples)) == 36 - 7  # without what the expert's record and the items share
    assert [item.choices[item.right] for item in crowd.items_of(2)] == [e.response for e in crowd.texts.examples[2]]


def test_workers_whom_the_expert_contradicts_are_flagged():
    likely = [[0.9, 0.7], [0.8, 0.6], [0.6], [0.1, 0.2], []]
    found = screened(LABEL_SCREENS, [np.array(own) for own in likely])
    assert found.scores["expert"].tolist() == pytest.approx([0.2, 0.3, 0.4, 0.85, 0.0])
    assert found.flagged.tolist() == [False, False, False, True, False]
    assert not screened(LABEL_SCREENS, [np.array([0.1])] * 5).flagged.any()  # what all do is the expert's fault


def test_workers_whom_a_reward_of_all_others_contradicts_are_flagged():
    draws = np.random.default_rng(0)
    better = [draws.normal(1.0, 1.0, (20, 3)) for _ in range(8)]
    worse = [draws.normal(-1.0, 1.0, (20, 3)) for _ in range(8)]
    better[5][:8], worse[5][:8] = worse[5][:8].copy(), better[5][:8].copy()
    agreed = peer_agreement(better, worse)
    assert (set(np.concatenate(agreed)), agreed[0].shape) == ({0.0, 1.0}, (20,))
    assert screened(PAIR_SCREENS, agreed, ("peers",)).flagged.tolist() == [i == 5 for i in range(8)]
    same = [np.ones((2, 3))] * 3
    assert np.concatenate(peer_agreement(same, same)).tolist() == [0.5] * 6


def test_the_more_pairs_the_less_they_may_be_contradicted():
    wrong = [(0, 20), (1, 20), (1, 20), (2, 20), (4, 20), (5, 20), (2, 4), (10, 80), (0, 0)]
    found = screened(PAIR_SCREENS, [np.arange(m) >= k for k, m in wrong], ("peers",))
    usual = np.mean([0.0, 0.05, 0.05, 0.1, 0.0])  # of those at most at the median, the one without pairs with them
    assert found.scores["peers"][4] == pytest.approx((0.2 - usual) / np.sqrt(usual * (1 - usual) / 20))
    assert found.flagged.tolist() == [False] * 4 + [True, True, True, True, False]
    assert not screened(PAIR_SCREENS, [np.zeros(20)] * 5, ("peers",)).flagged.any()  # what all do is nobody's fault


def test_peers_are_read_by_the_phi_of_the_configuration(parts, tmp_path):
    rows = [row | {"worker": "w5"} for row in pairs(36)[:2]] + pairs(44)[8:]
    task = {"phi": {"kind": "embedding", "model": str(parts / "phi")}}
    setup = configuration(parts, tmp_path, "prefer", rows, task=task, **PEERS)
    trainers, crowd = TextTrainers(LocalTrainers(shared_learner(learner_spec(setup)))), load_choices(setup)
    found = screen(setup, crowd, trainers).screened
    vectors = [trainers.embed([str(e.response) for e in own]) for own in crowd.texts.examples]
    rivals = [trainers.embed([str(e.rival) for e in own]) for own in crowd.texts.examples]
    assert len({len(own) for own in vectors}) > 1  # everyone's stay everyone's
    assert found.scores["peers"].tolist() == PAIR_SCREENS["peers"].scores(peer_agreement(vectors, rivals)).tolist()


def test_a_mixed_candidate_passes_over_examples_by_their_workers_weights():
    examples = [tuple(Example(f"{w}{i}", "") for i in range(3)) for w in "abc"]
    told = [e.prompt for e in mixed(examples, np.array([2.0, 0.0, 1.0]))]
    assert told == ["a0", "a1", "a2", "a0", "a1", "a2", "c0", "c1", "c2"]
    assert mixed(examples, np.zeros(3)) == tuple(e for own in examples for e in own)
    assert len(mixed([examples[0], ()], np.ones(2))) == 3


@pytest.mark.parametrize(
    ("kind", "changes", "says"),
    [
        (
            "verify",
            {"task": {"quantization": "nf4", "engine": "vllm"}},
            r"^task\.quantization = 'nf4': must be none with task\.engine=vllm",
        ),
        ("classify", {"screens": {"action": "report"}}, r"^task\.expert: must be given with screens"),
        ("prefer", {"screens": {"use": ["peers", "expert"]}}, r"^task\.expert: must be given with screens"),
        (
            "prefer",
            {"crowd": {"n_workers": 1}, "tournament": {"n_groups": 1}, **PEERS},
            r"^screens\.use = 'peers': must be left out with crowd\.n_work",
        ),
        ("classify", {"trusted": expert(), **PEERS}, r"^screens\.use = 'peers': must be among expert with"),
        ("prefer", {"task": {"kl": 0.1}}, r"^task\.kl = 0\.1: must be left out without task\.baselines=rloo"),
        ("verify", {"task": {"kl": 0.1, "objective": "grpo"}}, r"^task\.kl = 0\.1: must be left out without task\.obj"),
        (
            "prefer",
            {"actors": {"generators": {"number": 1}}},
            r"^actors\.generators\.number = 1: must be 0 with task\.kind",
        ),
        (
            "classify",
            {"screens": {"action": "merge"}, "trusted": expert()},
            r"^screens\.action = 'merge': must be report",
        ),
        ("classify", {"task": {"baselines": ["expert"]}}, r"^task\.expert: must be given with task\.baselines=expert"),
        ("classify", {"task": {"question": "which?"}}, r"^task\.question = 'which\?': must contain \{text\} once"),
        ("classify", {"tournament": {"weight_power": 3}}, r"^tournament\.weight_power = 3: must be left out with"),
        ("classify", {"trusted": expert(1)}, r"^task\.expert = .*: must leave at least 2 items to the selection"),
        ("classify", {"crowd": {"held_out": 0.0}}, r"^crowd\.target: must be given, a file of trusted records"),
        (
            "classify",
            {"crowd": {"held_out": 0.5}},
            r"^crowd\.held_out = 0\.5: must be below 0\.5 without task\.expert",
        ),
        (
            "classify",
            {"task": {"question": "{text} {foo}"}},
            r"^task\.question = .*no other placeholder than \{text\} and \{labels\}, it has \{foo\}",
        ),
        (
            "classify",
            {"task": {"prompt_template": "{prompt} {foo}"}},
            r"^task\.prompt_template = .*no other placeholder than \{prompt\}, it has \{foo\}",
        ),
        ("classify", {"task": {"baselines": ["single", "single"]}}, r"^task\.baselines = .*must not list a baseline"),
        (
            "classify",
            {"screens": {"use": ["expert", "expert"]}, "trusted": expert()},
            r"^screens\.use = .*must not list a screen twice",
        ),
        (
            "prefer",
            {"tournament": {"search": "halving", "n_groups": 3, "exploit_every": 1}},
            r"^tournament\.search = 'halving': must be best with tournament\.exploit_every=1",
        ),
        ("classify", {"crowd": {"held_out": 0.01}}, r"^crowd\.held_out = 0\.01: must leave at least 2 items"),
        (
            "classify",
            {"task": {"objective": "dpo"}},
            r"^task\.objective = 'dpo': must be left out with task\.kind=classify, .* sets it: task\.objective=sft$",
        ),
        (
            "prefer",
            {"task": {"row_tokens": 100}},
            r"^task\.row_tokens = 100: must be at least twice task\.max_tokens, 180",
        ),
        (
            "prefer",
            {"task": {"objective": "ipo", "label_smoothing": 0.1}},
            r"^task\.label_smoothing = 0\.1: must be left out",
        ),
        ("prefer", {"task": {"objective": "orpo", "sft_weight": 0.1}}, r"^task\.sft_weight = 0\.1: must be left out"),
        ("prefer", {"task": {"objective": "sft", "sft_epochs": 1}}, r"^task\.sft_epochs = 1: must be left out with"),
        (
            "prefer",
            {"task": {"sft_epochs": 1}, "tournament": {"search": "halving", "n_groups": 3}},
            r"^task\.sft_epochs = 1: must be left out with tournament\.search=halving",
        ),
        ("prefer", {"tournament": {"score": "l1"}}, r"^tournament\.score = 'l1': must be left out"),
        (
            "prefer",
            {"task": {"objective": "rloo"}},
            r"^task\.objective = 'rloo': must be one of sft, dpo, ipo, orpo, kto with",
        ),
        (
            "prefer",
            {"task": {"verifier": {"kind": "json"}}},
            r"^task\.verifier = .*: must be left out with task\.kind=prefer",
        ),
        (
            "verify",
            {"task": {"baselines": ["rloo"]}},
            r"^task\.baselines = \['rloo'\]: must be among expert, single with task\.kind=verify",
        ),
        (
            "prefer",
            {"task": {"baselines": ["rloo"], "verifier": {"pattern": "a"}}},
            r"^task\.verifier\.pattern = 'a': must be left out",
        ),
        (
            "prefer",
            {"task": {"baselines": ["best_of_n"], "generation": {"temperature": 0}}},
            r"^task\.generation\.temperature = 0\.0: must be above 0 with task\.baselines=best_of_n or rloo",
        ),
        ("verify", {"task": {"verifier": {"kind": "regex"}}}, r"^task\.verifier\.pattern: must be given with"),
        (
            "verify",
            {"task": {"verifier": {"pattern": "("}}},
            r"^task\.verifier\.pattern = '\(': must be a regular expression",
        ),
        ("verify", {"task": {"verifier": {"kind": "number"}}}, r"verify\.jsonl.*answer must be a number"),
        (
            "verify",
            {"task": {"verifier": {"kind": "sums"}}},
            r"^task\.verifier\.kind = 'sums': must be one of exact, number",
        ),
        (
            "verify",
            {"task": {"generation": {"temperature": 0}}},
            r"^task\.generation\.temperature = 0\.0: must be above 0",
        ),
        (
            "verify",
            {"task": {"generation": {"report_outputs": 9}}},
            r"^task\.generation\.report_outputs = 9: must be left",
        ),
        ("verify", {"task": {"row_tokens": 92}}, r"max_new_tokens together, 94"),
        ("verify", {"screens": {"action": "report"}}, r"^screens\.action = 'report': must be left out"),
        (
            "verify",
            {"tournament": {"search": "halving"}},
            r"^tournament\.search = 'halving': must be one of best, merge",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(parts, tmp_path, kind, changes, says):
    with pytest.raises(InputError, match=says):
        load_choices(configuration(parts, tmp_path, kind, **changes))


def test_records_of_another_kind_are_refused(parts, tmp_path):
    with pytest.raises(InputError, match=r"must hold pairs, ratings or judgements with task\.kind=prefer, not labels"):
        load_choices(configuration(parts, tmp_path, "prefer", labels()))
    one = [row | {"label": "wet"} for row in labels()]
    with pytest.raises(InputError, match="must hold at least two labels, there is 'wet' alone"):
        load_choices(configuration(parts, tmp_path, "classify", one))


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


def test_bad_workers_mislabel_what_is_trained_on_and_nothing_that_judges(parts, tmp_path):
    bad = {"bad": {"behaviour": "flip", "share": 1 / 3}}
    honest = load_choices(configuration(parts, tmp_path, "classify"))
    setup = configuration(parts, tmp_path, "classify", crowd=bad)
    found = load_choices(setup)
    assert (found.selection, found.report) == (honest.selection, honest.report)
    is_bad = roles([setup]).bad[0].tolist()
    assert sum(is_bad) == 2
    for own, was, wrong in zip(found.texts.examples, honest.texts.examples, is_bad, strict=True):
        assert {a.response == b.response for a, b in zip(own, was, strict=True)} == {not wrong}
    assert task_key(setup) != task_key(configuration(parts, tmp_path, "classify"))


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


VERDICTS = [
    ("exact", "a  b\n", "a b", 1),
    ("exact", "a b c", "a b", 0),
    ("number", "so 3 and 1,200.50 in all.", "1200.5", 1),
    ("number", "12 or 13", "12", 0),
    ("number", "none", "0", 0),
    ("json", '{"b": [1, 2.0], "a": null}', '{"a":null,"b":[1,2]}', 1),
    ("json", '{"a": true}', '{"a": 1}', 0),
    ("json", "[" * 100_000, "[]", 0),
    ("regex", "it is a.b!", "a.b", 1),
    ("regex", "it is a-b!", "a.b", 0),
    ("length", "one two  three", "3", 1),
    ("length", "one two three", "4-6", 0),
    ("length", "one two three", "1–3", 1),
    ("tests.llm.test_choices:halved", "xx", "xxxx", 0.5),
]


def halved(prompt, output, answer):
    return len(output) / len(answer + prompt)


@pytest.mark.parametrize(("kind", "output", "answer", "reward"), VERDICTS)
def test_verifiers(kind, output, answer, reward):
    assert verifier_of(Rule(kind, "is {answer}!$" if kind == "regex" else None))("", output, answer) == reward
    check_answer(Rule(kind), answer, "line 1")


def test_a_user_defined_verifier_is_answered_for_by_its_name():
    with pytest.raises(
        StrategyError, match=r"task\.verifier\.kind = 'tests\.llm\.test_choices:halved' failed.*division"
    ):
        verifier_of(Rule("tests.llm.test_choices:halved"))("", "a", "")
    with pytest.raises(InputError, match=r"returned \[1\]; must return a finite number"):
        verifier_of(Rule("tests.llm.test_choices:no_number"))("", "a", "")
    for huge in ("1e308", "-1e7", "nan"):
        with pytest.raises(
            InputError,
            match=rf"returned {huge.replace('e308', r'e[+]308').replace('-1e7', '-10000000.0')}; must .* -1e6 to 1e6",
        ):
            verifier_of(Rule("tests.llm.test_choices:number"))("", huge, "")
    with pytest.raises(InputError, match=r"answer must be one of positive, negative"):
        check_answer(Rule("vader"), "fine", "line 1")


def no_number(*_):
    return [1]


def number(_, output, answer):
    del answer
    return float(output)


def test_a_pattern_that_takes_too_long_is_refused_and_worth_nothing(monkeypatch):
    monkeypatch.setattr(verifiers, "_SECONDS", 0.02)
    match = r"^task\.verifier\.pattern = '\^\(a\|aa\)\+\$': takes more than 0\.02 seconds on the output 'aaa.*…'; must have no"
    with pytest.raises(InputError, match=match):
        verifier_of(Rule("regex", "^(a|aa)+$"))("", "a" * 80 + "b", "")
    with pytest.raises(InputError, match=r"task\.verifier\.pattern.*regular expression"):
        verifier_of(Rule("regex", "(?P<a>x)(?P<1>y)"))


def test_vader_is_on_the_answers_side():
    pytest.importorskip("vaderSentiment", reason="needs the extra vader")
    verify = verifier_of(Rule("vader"))
    assert verify("", "I love this, it is great!", "positive") > 0.9
    assert verify("", "I love this, it is great!", "negative") < 0.1


@pytest.mark.parametrize("objective", ["raft", "rloo", "grpo"])
def test_a_step_is_that_of_the_objective_on_what_was_drawn(parts, tmp_path, monkeypatch, objective):
    own = {"objective": objective, "baselines": [], "batch_size": 8, "verifier": {"kind": "regex", "pattern": "^[!-~]"}}
    setup = configuration(parts, tmp_path, "verify", task=own, tournament={"rounds": 1})
    learner, examples = shared_learner(learner_spec(setup)), load_choices(setup).texts.in_turn()[:8]
    drawn, usual = [], learner._drawer

    def drawer(job):
        draw = usual(job)

        def kept(*arguments):
            drawn.append(draw(*arguments))
            return drawn[-1]

        return kept

    monkeypatch.setattr(learner, "_drawer", drawer)
    start, key, training = learner.initial(setup.seed, 0), Key(setup.seed, 0, 1, 0), training_of(setup)
    (tuned,) = learner.tune([TuneJob(start, examples, key, training)])
    ((outputs, gains),) = drawn
    assert len(outputs) == 32
    assert tuned.n_tokens == sum(
        o.n_trained for o, gain in zip(outputs, gains, strict=True) if gain or objective != "raft"
    )
    given = PackedTuneJob(start, tuple(outputs), key, objective=objective, gains=tuple(gains))
    (same,) = tune(learner.base, learner.stack, [given], replace(training, batch_size=32, drawing=None))
    assert tuned.losses == pytest.approx(same.losses, abs=1e-5)
    moved = [(tuned.adapter[name] - start[name], same.adapter[name] - start[name]) for name in start]
    assert sum(np.abs(a).sum() for a, _ in moved) > 0
    # of all but a few weights whose gradients are rounding errors
    assert sum(np.abs(a - b).sum() for a, b in moved) < 0.01 * sum(np.abs(a).sum() for a, _ in moved)


def test_kto_learns_from_both_sides_and_spin_from_the_models_own(parts, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(
        "crowd_sim.models.lora.tune",
        lambda base, stack, jobs, ways: given.extend(jobs) or tune(base, stack, jobs, ways),
    )
    pairs_of = configuration(parts, tmp_path, "prefer", task={"objective": "kto"})
    learner, pairs = shared_learner(learner_spec(pairs_of)), load_choices(pairs_of).texts.in_turn()[:4]
    start, key = learner.initial(4, 0), Key(4, 0, 1, 0)
    (kto,) = learner.tune([TuneJob(start, pairs, key, training_of(pairs_of))])
    assert given[-1].gains == (1.0,) * 4 + (0.0,) * 4
    assert kto.n_tokens == sum(len(e.response) + len(e.rival) + 2 for e in pairs)
    own = {"objective": "spin", "generation": {"max_new_tokens": 5}}
    spin = of_texts(parts, task=own)
    (tuned,) = learner.tune([TuneJob(start, pairs, key, training_of(spin))])
    assert [e.prompt for e in given[-1].rivals] == [e.prompt for e in given[-1].examples]
    assert all(e.response[-1] == 0 or len(e.response) == 5 for e in given[-1].rivals)
    assert tuned.losses[0] == pytest.approx(np.log(2))  # the model is the reference
    with pytest.raises(InputError, match=r"^task\.beta = 0\.5: must be left out without task\.objective=spin"):
        of_texts(parts, task={"beta": 0.5})


def test_passes_of_sft_come_first_and_count(parts, tmp_path):
    setup = configuration(parts, tmp_path, "prefer", task={"sft_epochs": 1, "label_smoothing": 0.1})
    learner, pairs = shared_learner(learner_spec(setup)), load_choices(setup).texts.in_turn()[:4]
    start, key, training = learner.initial(4, 0), Key(4, 0, 1, 0), training_of(setup)
    (both,) = learner.tune([TuneJob(start, pairs, key, training)])
    (sft,) = learner.tune([TuneJob(start, pairs, key, replace(training, objective="sft", sft_epochs=0))])
    (dpo,) = learner.tune([TuneJob(sft.adapter, pairs, key, replace(training, sft_epochs=0))])
    assert both.losses.tolist() == [*sft.losses, *dpo.losses]
    assert both.n_tokens == sft.n_tokens + dpo.n_tokens
    assert all((both.adapter[name] == dpo.adapter[name]).all() for name in start)
    (few,) = learner.tune([TuneJob(start, pairs, key, training, sft.n_tokens - 1)])
    assert few.n_tokens == sft.n_tokens - 1
    assert len(few.losses) == 1
    (mixed,) = learner.tune([TuneJob(start, pairs, key, training, sft.n_tokens + 1)])
    assert len(mixed.losses) == 2


def test_accuracy_and_calibration_halve_ties():
    items = [Item("p", ("a", "b"), right) for right in (0, 1, 1, 0)]
    told = np.array([[0.5, 0.5], [0.2, 0.8], [0.8, 0.2], [0.8, 0.2]])
    assert accuracy(told, items) == (0.5 + 1 + 0 + 1) / 4
    assert calibration_error(told, items) == pytest.approx((abs(0.5 - 0.5) + abs(2.4 - 2)) / 4)


def test_what_is_wrong_with_the_expert_s_file_is_said_of_its_field(parts, tmp_path):
    def trusting(path):
        setup = configuration(parts, tmp_path, "classify", alternating(40))
        return setup.model_copy(update={"task": setup.task.model_copy(update={"expert": str(path)})})

    with pytest.raises(InputError, match=r"^task\.expert = .*nofile.*: must be a file that exists"):
        load_choices(trusting(tmp_path / "nofile.jsonl"))
    with pytest.raises(
        InputError, match=r"^task\.expert = .*: must hold texts of its own: all of the crowd's are among"
    ):
        load_choices(trusting(tmp_path / "classify.jsonl"))
