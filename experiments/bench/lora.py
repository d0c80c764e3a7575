"""One round of LoRA candidates: crowd-sim against the plain ways, one candidate after another.

`python -m experiments.bench.lora` tunes K candidates on 33 comments each for three epochs and draws 50 outputs of up to 32
tokens from each, all ways on the same cores, and prints seconds, tokens per second and peak memory. Texts: the paper's
neighbourhoods (environment's CROWD_SIM_DATA). The plain ways: batches of eight, each example with its prompt, padded; then
`generate` with sampling. `peft` is a lean loop around peft; `trl` (`pip install trl`) is TRL's SFTTrainer with its own
defaults, which recompute activations (gradient checkpointing), in the same number format as the others and its setting up
not counted. Each way is measured in a process of its own, after a few steps that do not count; with one thread of a CPU in
seconds that the process had of its core, which do not grow with what else wants it. Neither Ray nor, without `--plain trl`,
TRL need be there.

On a GPU: `--device cuda --model smollm2-135m random-llama-1b --candidates 3 8 16 --peak-tflops P --out FILE.csv`, P being the
peak of the card in dense bfloat16. Then the share of it that tuning came to is shown, too: over the peak, the operations
4 (adapted weights · tokens seen + output layer's weights · tokens predicted) per second. These are 2 per weight and token
forward and 2 backward, none for gradients of frozen weights. Seen are a packed row's tokens, or in the plain ways the examples
with their prompts, without padding. `experiments.bench.lora_task.tuning_flops` has the sources.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from crowd_sim.crowd.sources.goemotions import read_neighbours
from crowd_sim.errors import InputError, StorageError
from crowd_sim.files import write_text
from crowd_sim.models.adapters import AdapterStack
from crowd_sim.models.generation import GenerateJob, generate
from crowd_sim.models.language_model import PACKAGED
from crowd_sim.models.model_hub import require
from crowd_sim.models.packing import pack
from crowd_sim.models.steps import batches, parts
from crowd_sim.models.training import Key, PackedTuneJob, TunedAdapter
from crowd_sim.models.tuning import tune
from crowd_sim.random import Purpose
from experiments.bench.lora_task import (
    EXAMPLES,
    OUTPUTS,
    RANDOM,
    SAMPLING,
    SPEC,
    TRAINING,
    Measured,
    Task,
    apart,
    loadable,
    prepare,
)
from experiments.bench.plain_lora import PLAIN, plain

OURS = "crowd-sim"

WANTED = {("cpu", 3): 4, ("cuda", 8): 3}
"""How many times faster than a plain way is wanted, by device and K."""

_VERSIONS = ("torch", "transformers", "peft")


@dataclass(frozen=True)
class Comparison:
    """All ways of one task.

    Attributes:
        model: its name, as it was asked for.
        task: what was done.
        ways: figures by name, crowd-sim's last.
    """

    model: str
    task: Task
    ways: dict[str, Measured]

    def times_faster(self, way: str) -> float:
        """How many times as long as crowd-sim a way took, tuning and generating."""
        return self.ways[way].seconds / self.ways[OURS].seconds

    @property
    def wanted(self) -> int | None:
        """What that should come to for each plain way; None where nothing is wanted."""
        return WANTED.get((self.task.device, self.task.candidates))


def ours(task: Task) -> Measured:
    """All candidates together."""
    prepared = prepare(task)
    base, examples = prepared.base, prepared.jobs
    stack = AdapterStack(base, SPEC)
    start = stack.initial(0, 0)
    jobs = [PackedTuneJob(start, own, Key(0, 0, 1, k)) for k, own in enumerate(examples)]
    prompts = (examples[0][0].prompt,) * OUTPUTS
    warm = tune(base, stack, [PackedTuneJob(start, prepared.few, Key(0, 0, 0, 0))], TRAINING)
    generate(base, stack, [_wanted(warm[0], prompts[:1], Key(0, 0, 0, 0))], SAMPLING)
    began = prepared.clock()
    tuned = tune(base, stack, jobs, TRAINING)
    between = prepared.clock()
    outputs = generate(
        base, stack, [_wanted(t, prompts, job.key) for t, job in zip(tuned, jobs, strict=True)], SAMPLING
    )
    ended = prepared.clock()
    rows = [part for job in jobs for batch in batches(job, TRAINING) for part in parts(batch, TRAINING.row_tokens)]
    seen = sum(len(pack(row).ids) for row in rows)
    trained, generated = sum(t.n_tokens for t in tuned), sum(o.n_tokens for o in outputs)
    return prepared.measured(between - began, ended - between, seen, trained, generated)


def compare(model: str, task: Task, plain_ways: Sequence[str]) -> Comparison:
    """Do a task in all ways, each in a process of its own.

    Raises:
        InputError: a model or device that cannot be used.
    """
    ways = {f"plain {name}": apart(plain, task, PLAIN[name]) for name in plain_ways}
    return Comparison(model, task, {**ways, OURS: apart(ours, task)})


def rows(comparison: Comparison, peak_tflops: float | None) -> Iterator[dict[str, Any]]:
    """The result file's rows, one per way; without a peak, without its share."""
    task, wanted = comparison.task, comparison.wanted
    for way, measured in comparison.ways.items():
        figures = asdict(measured)
        yield {
            "model": comparison.model,
            "parameters": figures["parameters"],
            "device": task.device,
            "hardware": figures["hardware"],
            "dtype": figures["dtype"],
            "threads": task.threads,
            "candidates": task.candidates,
            "way": way,
            "tuning_seconds": measured.tuning,
            "trained_tokens": measured.trained,
            "trained_tokens_per_second": measured.trained / measured.tuning,
            "generating_seconds": measured.generating,
            "generated_tokens": measured.generated,
            "generated_tokens_per_second": measured.generated / measured.generating,
            "total_seconds": measured.seconds,
            "crowd_sim_times_faster": comparison.times_faster(way),
            "wanted": "" if way == OURS or wanted is None else wanted,
            "peak_memory_bytes": measured.memory,
            "tuning_flops": measured.flops,
            **({"peak_tflops": peak_tflops, "peak_share": measured.peak_share(peak_tflops)} if peak_tflops else {}),
            **{name: version(name) for name in _VERSIONS},
        }


def table(comparison: Comparison, peak_tflops: float | None) -> Table:
    """The ways side by side; without a peak, without its share."""
    task = comparison.task
    heads = ["", "tuning s", "tokens/s", "generating s", "tokens/s", "total s", "peak GiB"]
    shown = Table(
        title=f"{comparison.model} ({comparison.ways[OURS].parameters:,} parameters): {task.candidates} candidates × "
        f"{EXAMPLES} examples × {TRAINING.epochs} epochs, {OUTPUTS} outputs each"
    )
    for head in [*heads, "tuning % of peak"] if peak_tflops else heads:
        shown.add_column(head, justify="right")
    for way, m in comparison.ways.items():
        figures = [
            f"{m.tuning:.1f}",
            f"{m.trained / m.tuning:.0f}",
            f"{m.generating:.1f}",
            f"{m.generated / m.generating:.0f}",
            f"{m.seconds:.1f}",
            f"{m.memory / 2**30:.2f}",
        ]
        shown.add_row(way, *figures, *([f"{100 * m.peak_share(peak_tflops):.2f}"] if peak_tflops else []))
    return shown


def verdicts(comparison: Comparison) -> Iterator[str]:
    """A line per plain way: how much faster crowd-sim is, and whether that is what is wanted."""
    for way in comparison.ways:
        if way == OURS:
            continue
        times, wanted = comparison.times_faster(way), comparison.wanted
        bar = "" if wanted is None else f", wanted {wanted} ({'met' if times >= wanted else 'MISSED'})"
        yield f"{comparison.task.candidates} candidates: {times:.2f} times faster than {way}{bar}"


def benchmark(arguments: argparse.Namespace, texts: tuple[str, ...], console: Console) -> None:
    """Compare, print, and write what there is by now after each comparison.

    Args:
        arguments: of `options`.
        texts: that the candidates learn from.
        console: where it is printed.

    Raises:
        InputError: an option that cannot be used.
        StorageError: the result file cannot be written.
    """
    _check(arguments)
    written: list[dict[str, Any]] = []
    for model in arguments.model:
        with loadable(model) as loaded:
            for candidates in arguments.candidates:
                task = Task(loaded, arguments.device, arguments.dtype, arguments.threads, candidates, texts)
                comparison = compare(model, task, arguments.plain)
                console.print(table(comparison, arguments.peak_tflops))
                for line in verdicts(comparison):
                    console.print(line)
                if arguments.out:
                    written.extend(rows(comparison, arguments.peak_tflops))
                    write_text(arguments.out, pd.DataFrame(written).to_csv(index=False, float_format="%.6g"))


def options() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", nargs="+", default=[PACKAGED], help=f"{PACKAGED}, {RANDOM}, a folder, or an id of the hub"
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--candidates", type=int, nargs="+", default=[3])
    parser.add_argument("--plain", choices=list(PLAIN), nargs="+", default=["peft"])
    parser.add_argument("--peak-tflops", type=float, help="the hardware's peak, in 10¹² operations per second")
    parser.add_argument("--out", type=Path, help="a CSV file: a row per model, K and way")
    return parser


def _wanted(tuned: TunedAdapter, prompts: tuple[tuple[int, ...], ...], key: Key) -> GenerateJob:
    return GenerateJob(tuned.adapter, prompts, key, Purpose.SELECTION_OUTPUTS)


def _check(arguments: argparse.Namespace) -> None:
    if min(arguments.candidates) < 1:
        raise InputError("--candidates", min(arguments.candidates), "must be at least 1")
    if arguments.peak_tflops is not None and not arguments.peak_tflops > 0:
        raise InputError("--peak-tflops", arguments.peak_tflops, "must be above 0")
    if "trl" in arguments.plain:
        require("trl", "--plain", "trl", "pip install trl")
    if arguments.out:  # a long measurement should not be lost to a name
        try:
            arguments.out.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=arguments.out.parent):
                pass
        except OSError as error:
            raise InputError("--out", arguments.out, f"must be a file that can be written ({error.strerror})") from None
        if arguments.out.is_dir():
            raise InputError("--out", arguments.out, "must be a file, not a folder")


def main() -> None:
    """Print all ways side by side."""
    arguments = options().parse_args()
    try:
        texts = tuple(example.response for example in read_neighbours(None, "admiration", 1).in_turn())
        benchmark(arguments, texts, Console(width=128))
    except (InputError, StorageError) as error:
        print(f"lora: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
