"""The benchmark of LoRA candidates, all of it on a model of a few thousand weights: only its figures are small."""

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

pytest.importorskip("torch", reason="needs the extra llm")
pytest.importorskip("peft", reason="needs the extra llm")

from crowd_sim.crowd.texts import Example, TextCrowd
from crowd_sim.models.language_model import load_base
from experiments.bench import lora, lora_profile, lora_task
from experiments.bench.lora import Comparison, rows, table, verdicts
from experiments.bench.lora_task import EXAMPLES, TRAINING, Measured, Task, apart, prepare, tuning_flops, write_llama
from tests.learners.tiny_llm import make_tiny_llm

TEXTS = ("sun", "rain on tin", "a mild day", "no", "snow, again")
MEASURED = Measured(4.0, 1.0, 200, 100, 6 * 10**12, 2**30, 1000, "bfloat16", "a card")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make_tiny_llm(tmp_path_factory.mktemp("tiny"))


def comparison(device="cpu", candidates=3, plain=15.0):
    task = Task("here", device, "auto", 1, candidates, TEXTS)
    return Comparison("tiny", task, {"plain peft": replace(MEASURED, tuning=plain), "crowd-sim": MEASURED})


def refused(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["lora", *arguments])
    example = Example("write", "sun")
    monkeypatch.setattr(lora, "read_neighbours", lambda *_: TextCrowd(("0",), ((example,),), ("sun",)))
    with pytest.raises(SystemExit) as ended:
        lora.main()
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_all_ways_do_the_same_and_the_file_says_so(tiny, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(lora, "apart", lambda work, *arguments: work(*arguments))  # processes take long to start
    ways = ["peft", "trl"] if importlib.util.find_spec("trl") else ["peft"]
    out = tmp_path / "new" / "lora.csv"
    given = [
        "--model",
        str(tiny),
        "--candidates",
        "2",
        "--peak-tflops",
        "0.5",
        "--out",
        str(out),
        "--plain",
        *ways,
    ]
    lora.benchmark(lora.options().parse_args(given), TEXTS, Console(width=160))
    written = pd.read_csv(out)
    names = [*(f"plain {way}" for way in ways), "crowd-sim"]
    assert list(zip(written["candidates"], written["way"], strict=True)) == [(2, name) for name in names]
    lengths = [len(TEXTS[i % len(TEXTS)]) + 1 for i in range(2 * EXAMPLES)]
    for k, group in written.groupby("candidates"):
        assert set(group["trained_tokens"]) == {TRAINING.epochs * sum(lengths[: k * EXAMPLES])}
        seconds = group.set_index("way")["total_seconds"]
        assert list(group["crowd_sim_times_faster"]) == pytest.approx(list(seconds / seconds["crowd-sim"]), rel=1e-4)
        flops = group.set_index("way")["tuning_flops"]
        assert flops["crowd-sim"] < flops["plain peft"]  # a prompt counts once where it is computed once
    assert set(written["parameters"]) == {sum(w.numel() for w in load_base(str(tiny), "cpu").model.parameters())}
    assert set(written["dtype"]) <= {"float32", "bfloat16"}
    shares = written["tuning_flops"] / (written["tuning_seconds"] * 0.5e12)
    assert list(written["peak_share"]) == pytest.approx(list(shares), rel=1e-4)
    for column in ("hardware", "torch", "transformers", "peft"):
        assert written[column].notna().all()
    assert [path.name for path in out.parent.iterdir()] == ["lora.csv"]
    printed = capsys.readouterr().out
    assert printed.count("parameters): ") == 1
    assert printed.count("times faster than") == len(ways)
    assert "tuning % of peak" in printed


def test_a_way_can_be_measured_in_a_process_of_its_own(tiny):
    measured = apart(lora.ours, Task(str(tiny), "cpu", "float32", 1, 1, ("sun",)))
    assert measured.trained == TRAINING.epochs * EXAMPLES * len("sun.")
    assert measured.dtype == "float32"
    assert 2**20 < measured.memory < 2**36


def test_operations_of_tuning_and_their_share_of_the_peak(tiny):
    assert tuning_flops(adapted=100, output=10, seen=7, predicted=3) == 4 * (700 + 30)
    # 6 · 10¹² in 4 s on hardware that does 15 · 10¹² in one
    assert MEASURED.peak_share(15.0) == pytest.approx(0.1)
    prepared = lora_task.prepare(Task(str(tiny), "cpu", "float32", 1, 1, TEXTS))
    attention, gated = 2 * 32 * 32 + 2 * 32 * 16, 3 * 32 * 48
    assert prepared.adapted == 2 * (attention + gated)
    assert prepared.output == len(prepared.base.tokenizer) * 32


def test_without_a_peak_there_is_no_share_of_it():
    heads = [str(column.header) for column in table(comparison(), None).columns]
    assert "tuning % of peak" not in heads
    assert "peak_share" not in next(rows(comparison(), None))
    assert [row["peak_share"] for row in rows(comparison(), 15.0)] == pytest.approx([6 / (15 * 15), 0.1])


def test_the_bars_are_those_of_three_candidates_on_a_cpu_and_eight_on_a_gpu():
    assert list(verdicts(comparison())) == ["3 candidates: 3.20 times faster than plain peft, wanted 4 (MISSED)"]
    (met,) = verdicts(comparison("cuda", 8))
    assert met == "8 candidates: 3.20 times faster than plain peft, wanted 3 (met)"
    assert list(verdicts(comparison("cuda", 16))) == ["16 candidates: 3.20 times faster than plain peft"]
    assert [row["wanted"] for row in rows(comparison("cuda", 8), None)] == [3, ""]


def test_a_random_llama_is_always_the_same_and_ties_its_output_layer(tiny, tmp_path):
    sizes = {**lora_task._SIZES, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1}
    for name in ("one", "two"):
        write_llama(tmp_path / name, str(tiny), sizes)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1]
    base = load_base(str(tmp_path / "one"), "cpu", "bfloat16")
    assert base.model.get_output_embeddings().weight is base.model.get_input_embeddings().weight
    assert base.model.get_output_embeddings().weight.shape == (len(base.tokenizer), 64)
    assert base.model.generation_config.eos_token_id == base.tokenizer.eos_token_id


def test_a_random_llama_is_there_while_it_is_measured_and_then_gone(monkeypatch, tmp_path):
    def write(_, folder, *__):
        (folder / "config.json").touch()

    monkeypatch.setattr(lora_task, "apart", write)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with lora_task.loadable("random-llama-1b") as folder:
        assert (Path(folder) / "config.json").exists()
    assert not list(tmp_path.iterdir())


def test_neither_ray_nor_trl_is_needed():
    code = "import sys; sys.modules.update(dict.fromkeys(('ray', 'trl', 'datasets', 'accelerate')))\n"
    code += "import experiments.bench.lora; print('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.strip() == "False", done.stderr


def test_trl_that_is_not_there_is_one_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "trl", None)
    error = refused(monkeypatch, capsys, "--plain", "peft", "trl")
    assert error == "lora: --plain = 'trl': needs trl, which is not installed: pip install trl\n"


def test_bad_options_are_one_line(monkeypatch, capsys, tmp_path):
    (tmp_path / "file").touch()
    cases = {
        "--candidates": ("3", "0"),
        "--peak-tflops": ("nan",),
        "--out": (str(tmp_path / "file" / "lora.csv"),),
        "task.model": (),
    }
    for field, values in cases.items():
        given = (field, *values) if values else ("--model", "./nowhere")
        error = refused(monkeypatch, capsys, *given)
        assert error.startswith(f"lora: {field} = ")
        assert error.count("\n") == 1
    assert refused(monkeypatch, capsys, "--out", str(tmp_path)).startswith("lora: --out = ")


def test_the_shares_of_a_step_are_told_beside_its_rates(tiny):
    step, square, layer, *shares = lora_profile.profiled(prepare(Task(str(tiny), "cpu", "float32", 1, 1, TEXTS)))
    assert step.startswith("a step of ")
    assert all(line.startswith("products of ") and "GFLOP/s, of which a step is" in line for line in (square, layer))
    told = {line.partition("%")[2].strip(): float(line.partition("%")[0]) for line in shares}
    assert set(told) == {*lora_profile.KINDS, "calls, and all else"}
    assert sum(told.values()) == pytest.approx(100, abs=0.5)
    assert told["products with frozen weights"] > 0
    assert told["norms, rotations and activations"] > 0
