"""Whether results depend on the kind of processor.

    python -m experiments.bench.core_types [--only surrogate]

plays every kind of run of vectors and values games by every method under the kernels of several processors, as far as this
machine can: those of OpenBLAS, numpy's, the C library's and the compiler's. It prints, as Markdown, what has other bytes than
with this machine's own choice, and ends with status 1 where anything has.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from subprocess import run as run_process
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CORE_TYPES = {"Nehalem": "sse4_2", "Haswell": "avx2", "Zen": "avx2", "SkylakeX": "avx512f"}
"""OpenBLAS's kernels, with what the processor needs to run them."""


def environments() -> dict[str, dict[str, str]]:
    """What is set besides this process's environment, by name; the first is nothing."""
    with Path("/proc/cpuinfo").open(encoding="ascii") as file:
        flags = set(next((line for line in file if line.startswith("flags")), "").split())
    found: dict[str, dict[str, str]] = {"default": {}}
    for core, needed in _CORE_TYPES.items():
        if needed in flags:
            found[f"OpenBLAS {core}"] = {"OPENBLAS_CORETYPE": core}
    dispatched = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    found["numpy's baseline"] = {"NPY_DISABLE_CPU_FEATURES": " ".join(dispatched)}
    found["C library without FMA"] = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX512F"}
    found["compiled for Nehalem"] = {"NUMBA_CPU_NAME": "nehalem", "NUMBA_DISABLE_INTEL_SVML": "1"}
    found["two threads"] = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "2")
    return found


def _digest(*arrays: NDArray[Any] | None) -> str:
    content = b"|".join(b"" if array is None else np.ascontiguousarray(array).tobytes() for array in arrays)
    return hashlib.sha256(content).hexdigest()[:16]


def _quartic(points: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    difference = (points - target) ** 2
    return -(difference * difference).sum(axis=1)


def _runs() -> Iterator[tuple[str, Callable[[], str]]]:
    from crowd_sim import run

    base = {"seed": 5, "runs": 2, "crowd": {"n_workers": 20, "chunk_size": 8}}
    kinds: list[dict[str, Any]] = [
        {"grouping": grouping, "score": score}
        for grouping, score in product(("random", "epsilon_greedy", "interleaved"), ("l2", "l1", "dot", "squared_l2"))
    ]
    kinds += [
        {"reward": reward, "score": score} for reward, score in product(("marginal", "calibrated"), ("l2", "dot"))
    ]
    kinds += [{"search": "merge"}, {"incumbent": False}, {"drop_used": True, "rounds": 5}, {"mistake_probability": 0.5}]
    for kind in kinds:
        content = {
            **base,
            "tournament": {"rounds": 20, "n_groups": 3, **kind},
            "valuation": {"budget": 400, "kernel_shap_budget": 300},
        }

        def played(content: dict[str, Any] = content) -> str:
            outcome = run(content)
            metrics = [outcome.metrics[name] for name in sorted(outcome.metrics)]
            history = [value for value in vars(outcome.history).values() if isinstance(value, np.ndarray)]
            return _digest(outcome.values, outcome.stderr, outcome.kernel_shap, *metrics, *history)

        yield "run: " + ", ".join(f"{name} {value}" for name, value in kind.items()), played


def _values() -> Iterator[tuple[str, Callable[[], str]]]:
    from crowd_sim import valuation
    from crowd_sim.crowd.sources.by_name import read_source
    from crowd_sim.errors import InputError

    for n in (12, 40):
        vectors = read_source("synthetic", None, n + 1, 0).vectors[: n + 1]
        for name in ("l2", "l1", "dot", "quartic"):
            game = valuation.AveragingGame(vectors[1:], vectors[0], _quartic if name == "quartic" else name)
            for method in valuation.METHODS:

                def valued(game: Any = game, method: str = method) -> str:
                    try:
                        result = valuation.shapley(game, method, 600, stop=valuation.MaxEvaluations(600))
                    except InputError:
                        return "refused"
                    return _digest(result.values, result.stderr)

                yield f"{method}: {name}, n = {n}", valued
            yield f"banzhaf: {name}, n = {n}", partial(_of_banzhaf, game)

            def others(game: Any = game) -> str:
                some = valuation.SampledUtilities.of(
                    valuation.shapley(game, "permutation", 600, stop=valuation.MaxEvaluations(600))
                )
                found = some.interactions(), some.banzhaf(), some.beta_shapley(4.0, 1.0)
                return _digest(*(part for each in found for part in (each.values, each.stderr)))

            yield f"other values: {name}, n = {n}", others


def _of_banzhaf(game: Any) -> str:
    from crowd_sim.valuation import banzhaf

    result = banzhaf(game, 600)
    return _digest(result.values, result.stderr)


def _here(only: str) -> dict[str, str]:
    return {name: digest() for name, digest in [*_runs(), *_values()] if name.startswith(only)}


def main() -> None:
    """Print the table; status 1 where something differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="what begins like this")
    parser.add_argument("--here", action="store_true", help="print this process's digests only")
    arguments = parser.parse_args()
    if arguments.here:
        sys.stdout.write(json.dumps(_here(arguments.only)))
        return
    command = [sys.executable, "-m", "experiments.bench.core_types", "--here", "--only", arguments.only]
    expected: dict[str, str] = {}
    differs = False
    sys.stdout.write("| Kernels | Results | with other bytes |\n| --- | --- | --- |\n")
    for name, changes in environments().items():
        done = run_process(command, env={**os.environ, **changes}, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            sys.exit(f"{name}: {done.stderr}")
        found = json.loads(done.stdout)
        expected = expected or found
        others = [key for key, digest in found.items() if digest != expected[key]]
        differs = differs or bool(others)
        sys.stdout.write(f"| {name} | {len(found)} | {'; '.join(others) or 'none'} |\n")
        sys.stdout.flush()
    sys.exit(int(differs))


if __name__ == "__main__":
    main()
