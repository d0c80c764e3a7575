"""A whole run: stopped and gone on with, damaged and repaired, and what its baselines cost."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from safetensors.numpy import load_file, save_file

import crowd_sim.engine
from crowd_sim.characters import visible
from crowd_sim.cli.run import outcome_table
from crowd_sim.cli.run import run as run_command
from crowd_sim.cli.status import status_lines
from crowd_sim.errors import InputError
from crowd_sim.models.diversity import copied, distinct
from crowd_sim.models.lora import LoraLearner, shared_learner
from crowd_sim.store.checkpointer import Checkpointer
from crowd_sim.store.run_log import read_status
from crowd_sim.tasks.imitate.learner import ImitateLearner
from tests.bad_input.command import IN_PROCESS
from tests.llm.small import config

EVERYTHING = {"single_sizes": [2, 5], "equal_tokens": True}
MERGE = {"search": "merge"}


def run(setup, out: Path):
    return run_command(setup, "small", out, IN_PROCESS[1], Console(quiet=True))


TIMED = ("models.parquet", "timing.json", "report.html", "report.sha256", "status.json", "log.jsonl")


def tables(folder: Path) -> dict[str, bytes]:
    """All that a run leaves but for what shows times (the report does); of `models` its other columns."""
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in TIMED and "checkpoints" not in path.parts
    }
    models = pd.read_parquet(folder / "models.parquet").drop(columns="seconds")
    return {**files, "models": models.to_csv().encode()}


@pytest.fixture(scope="module")
def whole(parts, tmp_path_factory):
    setup = config(parts, runs=2, task=EVERYTHING, tournament=MERGE)
    finished = run(setup, tmp_path_factory.mktemp("whole") / "run")
    return setup, finished


class Stopped(Exception):
    """The process ended here."""


STAGES = 2 * (1 + 2 + 2 + 1) + 2
"""Reports of two runs, and rounds of both together."""


@pytest.fixture
def stages(monkeypatch):
    """The stages as they are made; `stop_at` raises in place of that one, if it is not absent."""
    made: list[tuple] = []
    usual_report, usual_play = ImitateLearner._report, crowd_sim.engine.play

    class Stages:
        stop_at: int | None = None

        @staticmethod
        def begin(stage):
            if len(made) == Stages.stop_at:
                raise Stopped
            made.append(stage)

    def report(self, name, run, state, notes):
        Stages.begin((name, run))
        return usual_report(self, name, run, state, notes)

    def play(rules, state, learner):
        Stages.begin(("play", state.round))
        return usual_play(rules, state, learner)

    monkeypatch.setattr(ImitateLearner, "_report", report)
    monkeypatch.setattr(crowd_sim.engine, "play", play)
    Stages.made = made
    return Stages


@pytest.mark.parametrize(("after", "killed"), [(4, True), (7, False), (10, True)])
def test_a_run_stopped_after_a_stage_makes_none_twice(whole, tmp_path, monkeypatch, stages, after, killed):
    setup, finished = whole
    if killed:  # as by a signal that leaves no time for a last word: what was kept as it went on is there
        monkeypatch.setattr(Checkpointer, "stopped", lambda *_: None)
        setup = setup.model_copy(update={"actors": every_round(setup)})
    stages.stop_at = after
    with pytest.raises(Stopped):
        run(setup, tmp_path / "run")
    assert not (tmp_path / "run" / "summary.json").exists()
    stages.stop_at = None
    run(setup, tmp_path / "run")
    assert len(stages.made) == len(set(stages.made)) == STAGES  # no stage was made twice
    found, wanted = tables(tmp_path / "run"), tables(finished.folder)
    found.pop("config.yaml")
    wanted.pop("config.yaml")  # it says how often checkpoints are made
    assert found == wanted


@pytest.mark.parametrize(("which", "resumed"), [([-1], 1), ([-1, -2], None)], ids=["last", "both"])
def test_damaged_checkpoints_are_set_aside_and_what_they_held_is_made_again(whole, tmp_path, stages, which, resumed):
    setup, finished = whole
    folder = tmp_path / "run"
    run(setup.model_copy(update={"actors": every_round(setup)}), folder)
    checkpoints = sorted((folder / "checkpoints").iterdir())
    assert [path.name for path in checkpoints] == ["round-00000001.checkpoint", "round-00000002.checkpoint"]
    for i in which:
        content = bytearray(checkpoints[i].read_bytes())
        content[len(content) // 2] ^= 4
        checkpoints[i].write_bytes(content[: -40 * (i == -1) or None])
    for name in ("rounds.parquet", "adapter/run-1/adapter_model.safetensors"):
        (folder / name).write_bytes(b"")
    stages.made.clear()
    run(setup, folder)
    assert read_status(folder).resumed_from == resumed
    again = {"play", "round_2", "single_equal_tokens"}
    assert len(stages.made) == (STAGES if resumed is None else 1 + 2 * 2)
    assert resumed is None or {name for name, _ in stages.made} == again
    assert tables(folder) == tables(finished.folder)
    assert len(list((folder / "checkpoints").glob("*.damaged"))) == len(which)


def every_round(setup):
    checkpoints = setup.actors.checkpoints.model_copy(update={"rounds": 1})
    return setup.actors.model_copy(update={"checkpoints": checkpoints})


def test_a_changed_configuration_is_refused(whole, parts, tmp_path):
    setup, finished = whole
    before = tables(finished.folder)
    for changed in (
        config(parts, runs=2, task={**EVERYTHING, "rank": 3}, tournament=MERGE),
        config(parts, runs=3, task=EVERYTHING, tournament=MERGE),
    ):
        with pytest.raises(InputError, match="this one holds results of another configuration"):
            run(changed, finished.folder)
    texts = parts.parent / "changed.jsonl"
    texts.write_text((parts / "feedback.jsonl").read_text().replace("mild day", "wild day"))
    other = setup.model_copy(update={"crowd": setup.crowd.model_copy(update={"path": str(texts)})})
    with pytest.raises(InputError, match="this one holds results of another configuration"):
        run(other, finished.folder)
    assert tables(finished.folder) == before


def test_the_baselines_cost_what_they_say(whole):
    _, finished = whole
    outcome = finished.outcome
    names = ["base", "single_2", "single_5", "round_1", "round_2", "single_equal_tokens"]
    assert [report.name for report in outcome.details.reports] == names * 2
    for number in range(2):
        own = {report.name: report for report in outcome.details.reports if report.run == number}
        rounds = [record for record in outcome.details.rounds if record.run == number]
        spent = sum(sum(record.candidate_tokens) for record in rounds)
        assert own["single_equal_tokens"].tokens_trained == own["round_2"].tokens_trained == spent
        assert own["round_1"].tokens_trained == sum(rounds[0].candidate_tokens)
        assert own["base"].tokens_trained == 0
        # a byte is a token, and every response ends with one more
        examples = outcome.details.crowd.in_turn()
        for m in (2, 5):
            assert own[f"single_{m}"].tokens_trained == sum(len(e.response) + 1 for e in examples[:m])
        assert own["round_2"].tokens_generated == sum(record.tokens_generated for record in rounds)


def test_it_is_told_how_many_outputs_are_distinct_and_how_many_copied(whole):
    _, finished = whole
    outputs, models = (pd.read_parquet(finished.folder / f"{name}.parquet") for name in ("outputs", "models"))
    examples = [example.response for own in finished.outcome.details.crowd.examples for example in own]
    for row in models.to_dict("records"):
        texts = outputs.loc[(outputs["run"] == row["run"]) & (outputs["model"] == row["model"]), "text"].to_list()
        assert row["distinct"] == distinct(texts)
        assert row["copied"] == copied(texts, examples)


def test_the_runs_of_a_configuration_differ(whole):
    _, finished = whole
    first, second = ([r.texts for r in finished.outcome.details.reports if r.run == number] for number in range(2))
    assert first != second


def test_reports_are_of_outputs_that_selection_has_not_seen(parts, tmp_path):
    setup = config(parts, task={"generation": {"selection_outputs": 4, "report_outputs": 4, "max_new_tokens": 9}})
    outcome = run(setup, tmp_path / "run").outcome
    for record in outcome.details.rounds:
        report = next(r for r in outcome.details.reports if r.name == f"round_{record.round}")
        score = record.candidate_scores[record.winner] if record.accepted else record.model_score
        assert np.mean(report.scores) != score


def test_the_final_adapter_generates_with_plain_peft_what_was_reported(parts, tmp_path):
    import peft
    import torch
    import transformers

    from tests.learners.tiny_llm import TEMPLATE

    generation = {"selection_outputs": 4, "report_outputs": 3, "max_new_tokens": 8, "temperature": 0.0}
    setup = config(parts, task={"generation": generation, "merged_model": True}, tournament={"incumbent": False})
    finished = run(setup, tmp_path / "run")
    (report,) = [report for report in finished.outcome.details.reports if report.name == "round_2"]
    base = transformers.AutoModelForCausalLM.from_pretrained(parts / "model", dtype="float32")
    models = [
        peft.PeftModel.from_pretrained(base, finished.folder / "adapter" / "run-0").eval(),
        transformers.AutoModelForCausalLM.from_pretrained(finished.folder / "merged" / "run-0", dtype="float32"),
    ]
    tokenizer = transformers.AutoTokenizer.from_pretrained(finished.folder / "merged" / "run-0")
    for model in models:
        for prompt, text in zip(report.prompts, report.texts, strict=True):
            ids = torch.tensor([tokenizer(TEMPLATE.replace("{prompt}", prompt))["input_ids"]])
            out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=8)
            assert tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True) == text


def test_a_finished_run_writes_its_merged_model_when_asked_later(whole, tmp_path, monkeypatch, capfd):
    setup, finished = whole
    folder = tmp_path / "run"
    shutil.copytree(finished.folder, folder)
    monkeypatch.setattr(LoraLearner, "tune", lambda *_: pytest.fail("nothing is to be tuned again"))
    run(setup.model_copy(update={"task": setup.task.model_copy(update={"merged_model": True})}), folder)
    merged = {f"merged/run-{number}/model.safetensors" for number in range(2)}
    after = tables(folder)
    assert merged <= after.keys()
    kept = {name for name in tables(finished.folder) if name != "config.yaml"}
    assert all(after[name] == tables(finished.folder)[name] for name in kept)
    assert capfd.readouterr().err == ""


def test_its_table_fits_80_columns(whole):
    _, finished = whole
    reports = [
        replace(r, tokens_trained=1_234_567, tokens_generated=123_456, seconds=1234.5)
        for r in finished.outcome.details.reports
    ]
    console = Console(width=80, file=io.StringIO())
    outcome = finished.outcome
    outcome = replace(outcome, details=replace(outcome.details, reports=tuple(reports)))
    console.print(outcome_table(replace(finished, outcome=outcome)))
    text = console.file.getvalue()
    assert "…" not in text
    title = next(line for line in text.splitlines() if line.strip())
    assert title.strip() == "distance to target.txt, Φ = embedding:phi"
    assert "1,234,567" in text
    said = {r.name: r.texts[0] for r in finished.outcome.details.reports if r.run == 0}
    samples = "".join(text.partition("What the model says")[2].split())
    for output in (said["base"], said[f"round_{finished.outcome.config.tournament.rounds}"]):
        assert "".join(visible(" ".join(output.split())).split())[:8] in samples
    for head in ("energy ± s.e.", "distance", "distinct", "5-grams", "trained"):
        assert head in text


@pytest.mark.parametrize("search", ["best", "merge", "halving"])
def test_a_run_survives_candidates_that_diverge_and_counts_them(parts, tmp_path, monkeypatch, capsys, search):
    usual = LoraLearner.tune

    def diverging(self, jobs):
        tuned = usual(self, jobs)
        for job, one in zip(jobs, tuned, strict=True):
            if job.key.round == 0 or (job.key.round == 1 and job.key.number == 0):
                next(iter(one.adapter.values())).flat[0] = float("nan")
        return tuned

    monkeypatch.setattr(LoraLearner, "tune", diverging)
    crowd = {"n_workers": 6}
    setup = config(
        parts,
        crowd=crowd,
        tournament={"n_groups": 3, "rounds": 1, "search": search, "drop_used": False},
        task={"single_sizes": [2]},
    )
    finished = run_command(setup, "small", tmp_path / "run", IN_PROCESS[1], Console())
    printed = " ".join(capsys.readouterr().out.split())
    assert "1 of 3 candidates diverged in tuning and could not win: try a lower task.learning_rate" in printed
    summary = json.loads((finished.folder / "summary.json").read_text())
    assert summary["diverged"] == 1
    assert summary["distance"]["single_2"] == {"mean": None, "se": None}
    assert summary["distance"]["round_1"]["mean"] is not None
    candidates = pd.read_parquet(finished.folder / "candidates.parquet")
    assert np.isnan(candidates["score"]).tolist() == [True, False, False]
    assert (finished.folder / "report.html").is_file()
    # stages are read back with what was not a number
    again = run_command(setup, "small", tmp_path / "run", IN_PROCESS[1], Console(quiet=True))
    assert again.outcome.history.points.tobytes() == finished.outcome.history.points.tobytes()


@pytest.mark.parametrize("which", ["model", "phi"])
def test_a_folder_is_not_gone_on_with_under_other_weights(parts, tmp_path, which):
    """A folder model that was tuned on has its name still; what it would add is refused, and nothing is lost."""
    mine = tmp_path / "parts"
    shutil.copytree(parts, mine)
    setup = config(mine, tournament={"rounds": 1})
    run(setup, tmp_path / "run")
    before = tables(tmp_path / "run")
    path = mine / which / "model.safetensors"
    weights = load_file(path)
    name = sorted(name for name, weight in weights.items() if weight.ndim == 2)[-1]
    weights[name][-1, -1] += 1
    save_file(weights, path, {"format": "pt"})
    shared_learner.cache_clear()  # as in another process
    with pytest.raises(InputError, match=r"files of task.model, task.phi.model or task.adapter have changed since"):
        run(setup, tmp_path / "run")
    assert tables(tmp_path / "run") == before
    shutil.rmtree(mine)
    shutil.copytree(parts, mine)
    shared_learner.cache_clear()
    run(setup, tmp_path / "run")  # the same files at another time are the same weights
    shared_learner.cache_clear()
    assert tables(tmp_path / "run") == before


def events(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_status_and_log_tell_of_rounds_and_reports(whole, tmp_path, monkeypatch, stages):
    setup, _ = whole
    setup = setup.model_copy(update={"actors": every_round(setup)})
    folder = tmp_path / "run"
    stages.stop_at = 3 * 2 + 1 + 2  # base and two baselines, the first round, its two reports; then the second round
    usual = stages.begin

    def while_at_work(stage):
        if len(stages.made) == stages.stop_at:
            before = (folder / "config.yaml").read_bytes()
            other = setup.model_copy(update={"actors": setup.actors.model_copy(update={"wait": 1.0})})
            with pytest.raises(InputError, match="must be a folder in which nobody is at work"):
                run(other, folder)
            assert (folder / "config.yaml").read_bytes() == before
        usual(stage)

    monkeypatch.setattr(stages, "begin", while_at_work)
    with pytest.raises(Stopped):
        run(setup, folder)
    state, stage, *rest = status_lines(folder)
    assert state == f"{folder}: failed"
    assert stage.startswith("rounds: 1 of 2, ")
    assert rest[-3:] == [
        "last checkpoint: round 1",
        "Stopped:",
        f"`crowd-sim run --resume {folder}` goes on from round 1",
    ]
    stages.stop_at = None
    run(setup, folder)
    assert next(iter(status_lines(folder))) == f"{folder}: finished"
    told = events(folder)
    assert [event["event"] for event in told if event["event"] != "checkpoint"] == [
        "started",
        "first round",
        "failed",
        "started",
        "resumed",
        "first round",
        "finished",
    ]
    assert {event["round"] for event in told if event["event"] == "checkpoint"} == {0, 1, 2}
