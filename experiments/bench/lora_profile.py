"""Where the time of tuning goes: shares of a step of `experiments.bench.lora`, and what the core does in matrix products.

`python -m experiments.bench.lora_profile` makes steps of one candidate on the benchmark's texts, prints the fastest by the time
that the process had of the core, and what kinds of operations torch's profiler finds in others. The profiler makes short
operations longer, so their shares are upper bounds. The rates are of products in the model's type: of two square matrices, and
of a step's rows with the weights of a layer, forward and backward.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from crowd_sim.crowd.sources.goemotions import read_neighbours
from crowd_sim.errors import InputError
from crowd_sim.models import fused_layer, fused_ops, row_kernels
from crowd_sim.models.adapters import AdapterStack
from crowd_sim.models.language_model import PACKAGED
from crowd_sim.models.packing import pack
from crowd_sim.models.training import Key, PackedTuneJob
from crowd_sim.models.tuning import tune
from experiments.bench.lora_task import SPEC, TRAINING, Prepared, Task, prepare, tuning_flops

KINDS = {
    "products with frozen weights": ("aten::mm", "aten::addmm", "mkldnn::_linear_pointwise"),
    "products of adapters": ("aten::bmm", "aten::baddbmm_"),
    "attention": ("attend", "attend_backward", "aten::_softmax", "aten::_softmax_backward_data"),
    "norms, rotations and activations": (
        *("norm", "add_norm", "norm_backward", "rotate", "rotate_backward", "gated", "gated_backward"),
    ),
    "softmax of the output": ("softmax", "scale_rows"),
    "copies and conversions": ("aten::copy_", "aten::cat", "aten::fill_"),
    "sums and products by element": ("aten::mul", "aten::mul_", "aten::add", "aten::add_", "aten::sum"),
    "the optimiser": ("aten::_fused_adamw_", "aten::linalg_vector_norm"),
}
"""Operations by what they are for, compiled steps by their names; what is in none is the cost of calls."""

_SQUARE = 1024


def fastest(work: Callable[[], object], repeats: int) -> float:
    """Seconds of the core, at the least."""
    found = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


def products(prepared: Prepared, n_tokens: int) -> dict[str, float]:
    """GFLOP/s of products in the model's type; forward and backward in equal parts where they are a layer's."""
    import torch

    kind = prepared.base.dtype
    weights = [own for own in prepared.base.model.get_submodule("model.layers.0").parameters() if own.dim() > 1]
    inputs = [[torch.randn(n_tokens, size, dtype=kind) for size in own.shape] for own in weights]
    square = torch.randn(_SQUARE, _SQUARE, dtype=kind)

    def layer() -> None:
        for own, (grad, x) in zip(weights, inputs, strict=True):
            torch.nn.functional.linear(x, own)
            torch.mm(grad, own)

    flops = 4 * n_tokens * sum(own.numel() for own in weights)
    with torch.no_grad():
        return {
            f"two square matrices of {_SQUARE}": 2 * _SQUARE**3 / fastest(lambda: square @ square, 20) / 1e9,
            f"{n_tokens} rows with a layer's weights": flops / fastest(layer, 40) / 1e9,
        }


def shares(work: Callable[[], object]) -> dict[str, float]:
    """Of the operations' own time, by kind."""
    from torch.profiler import ProfilerActivity, profile

    with _named(), profile(activities=[ProfilerActivity.CPU]) as watched:
        work()
    kinds = {name: kind for kind, names in KINDS.items() for name in names}
    spent: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
    for event in watched.key_averages():
        spent[kinds.get(event.key, "calls, and all else")] += event.self_cpu_time_total
    total = sum(spent.values())
    return {kind: own / total for kind, own in spent.items()}


@contextmanager
def _named() -> Iterator[None]:
    """While this lasts the profiler sees compiled steps by their names."""
    from torch.profiler import record_function

    def watched(name: str, step: Callable[..., None]) -> Callable[..., None]:
        def named(*arguments: Any) -> None:
            with record_function(name):
                step(*arguments)

        return named

    places = [
        (module, name) for module in (fused_layer, fused_ops) for name in vars(row_kernels) if name in vars(module)
    ]
    steps = {place: getattr(*place) for place in places if hasattr(getattr(*place), "py_func")}
    for (module, name), step in steps.items():
        setattr(module, name, watched(name, step))
    try:
        yield
    finally:
        for (module, name), step in steps.items():
            setattr(module, name, step)


def profiled(prepared: Prepared) -> list[str]:
    """The report's lines."""
    stack = AdapterStack(prepared.base, SPEC)
    once = replace(TRAINING, epochs=1)
    job = PackedTuneJob(stack.initial(0, 0), prepared.few, Key(0, 0, 1, 0))
    row = pack(prepared.few)
    n_tokens, n_predicted = len(row.ids), len(row.targets)

    def step() -> Any:
        return tune(prepared.base, stack, [job], once)

    step()
    seconds = fastest(step, 10)
    rate = tuning_flops(prepared.adapted, prepared.output, n_tokens, n_predicted) / seconds / 1e9
    lines = [f"a step of {n_tokens} tokens, {n_predicted} of them predicted: {seconds:.3f} s, {rate:.0f} GFLOP/s"]
    for name, own in products(prepared, n_tokens).items():
        lines.append(f"products of {name}: {own:.0f} GFLOP/s, of which a step is {rate / own:.0%}")
    return lines + [f"{share:6.1%}  {kind}" for kind, share in shares(step).items()]


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=PACKAGED)
    parser.add_argument("--dtype", choices=["auto", "float32", "bfloat16"], default="auto")
    arguments = parser.parse_args()
    try:
        texts = tuple(example.response for example in read_neighbours(None, "admiration", 1).in_turn())
        for line in profiled(prepare(Task(arguments.model, "cpu", arguments.dtype, 1, 1, texts))):
            print(line)
    except InputError as error:
        print(f"lora_profile: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
