"""Whether results depend on the kind of processor, on how many evaluators there are, or on one that dies.

    python -m experiments.bench.core_types [--only surrogate]

plays every kind of run of vectors and values games by every method under the kernels of several processors, as far as this
machine can: those of OpenBLAS, numpy's, the C library's and the compiler's; and lets 1, 2 and 4 evaluators value the games, and
2 of which the first is killed as soon as every method's evaluations begin. It prints, as Markdown, what has other bytes than
with this machine's own choice in one process, and ends with status 1 where anything has.

Language models are not among them: their sums are torch's, whose folder records what computed it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, is_dataclass
from functools import partial
from itertools import product
from pathlib import Path
from subprocess import run as run_process
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.bench.textbook import KINDS

_CORE_TYPES = {"Nehalem": "sse4_2", "Haswell": "avx2", "Zen": "avx2", "SkylakeX": "avx512f"}
"""OpenBLAS's kernels, with what the processor needs to run them."""

_EVALUATORS = {"1 evaluator": (1, False), "2 evaluators": (2, False), "4 evaluators": (4, False)} | {
    "2 evaluators, one killed": (2, True)
}
"""How many, and whether the first is killed."""

_ROBUST = ("median", "trimmed_mean", "geometric_median", "centered_clipping", "multi_krum")
_BEHAVIOURS = (
    "alie", "away", "camouflage", "collusion", "corner", "drift", "echo", "gauss", "invert", "ipm", "late", "lazy", "mimic",
    "min_max", "noise", "on_off", "sign_flip", "sleeper", "spam",
)  # fmt: skip
_PAID = ("points", "shapley", "banzhaf", "beta_shapley", "leave_one_out", "least_core", "gold", "equal")

_Evaluate = Callable[[Iterable[Any]], Iterator[NDArray[np.float64]]]
_Evaluators = Callable[[Any], AbstractContextManager[_Evaluate | None]]
"""What evaluates the coalitions of a game; ``None``: this process."""


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


@dataclass(frozen=True)
class Chance:
    """A game that answers differently each time, by the number of the draw alone."""

    n_players: int
    noise: str = "keyed"

    def __call__(self, coalitions: NDArray[np.bool_], draws: NDArray[np.int64]) -> NDArray[np.float64]:
        """Utilities float64[m] of ``coalitions`` bool[m, n] at ``draws`` int64[m]."""
        sure = np.sqrt(coalitions.sum(axis=1))
        keys = zip(draws.tolist(), coalitions.astype(int).tolist(), strict=True)
        return sure + np.array([np.random.default_rng([draw, *row]).random() for draw, row in keys])


def _digest(*arrays: NDArray[Any] | None) -> str:
    content = b"|".join(b"" if array is None else np.ascontiguousarray(array).tobytes() for array in arrays)
    return hashlib.sha256(content).hexdigest()[:16]


def _arrays(content: Any) -> Iterator[NDArray[Any]]:
    if isinstance(content, np.ndarray):
        yield content
    elif isinstance(content, Mapping):
        for name in sorted(content):
            yield from _arrays(content[name])
    elif isinstance(content, tuple):
        for part in content:
            yield from _arrays(part)
    elif is_dataclass(content):
        yield from _arrays(vars(content))


def _quartic(points: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    difference = (points - target) ** 2
    return -(difference * difference).sum(axis=1)


def _runs() -> Iterator[tuple[str, Callable[[], str]]]:
    from crowd_sim import run

    of_tournament: list[dict[str, Any]] = [
        {"grouping": grouping, "score": score}
        for grouping, score in product(("random", "epsilon_greedy", "interleaved"), ("l2", "l1", "dot", "squared_l2"))
    ]
    of_tournament += [
        {"reward": reward, "score": score}
        for reward, score in product(("marginal", "calibrated", "exponentiated"), ("l2", "dot"))
    ]
    of_tournament += [{"search": name} for name in ("merge", "soup", "greedy_soup")]
    of_tournament += [{"incumbent": False}, {"drop_used": True, "rounds": 5}, {"mistake_probability": 0.5}]
    of_tournament += [{"aggregation": name} for name in _ROBUST]
    of_tournament += [{"exploit_every": 3}, {"measure_every": 3}, {"observe": ["marginal", "calibrated"]}]
    of_tournament += [{"search": "soup", "outer_momentum": 0.5}, {"bounds": [1.0, 4.5], "weight_power": 20}]
    calibration = {"window": 40, "half_life": 4.0, "errors": True}
    of_tournament += [{"reward": "calibrated", "audits": 3, "calibration": calibration}]
    kinds: list[dict[str, Any]] = [{"tournament": kind} for kind in of_tournament]
    kinds += [{"crowd": {"bad": {"behaviour": name, "share": 0.25}}} for name in _BEHAVIOURS]
    kinds += [{"screens": {"action": action}} for action in ("report", "merge", "exclude")]
    kinds += [{"payment": {"rule": rule}} for rule in _PAID]
    for kind in kinds:
        content = {
            "seed": 5,
            "runs": 2,
            **kind,
            "crowd": {"n_workers": 20, "chunk_size": 8, **kind.get("crowd", {})},
            "tournament": {"rounds": 20, "n_groups": 3, **kind.get("tournament", {})},
            # the game is the same, whoever is bad
            "valuation": {
                "method": "auto" if "tournament" in kind else "none",
                "budget": 400,
                "kernel_shap_budget": 300,
            },
        }
        if "payment" in kind:
            content["valuation"] = {"method": "permutation", "budget": 400}

        def played(content: dict[str, Any] = content) -> str:
            outcome = run(content)
            kept = (outcome.values, outcome.stderr, outcome.kernel_shap, outcome.pay, outcome.metrics)
            return _digest(*_arrays((*kept, outcome.history, outcome.screened)))

        ((section, fields),) = kind.items()
        yield f"run: {section} {json.dumps(fields)}", played


def _values(evaluators: _Evaluators) -> Iterator[tuple[str, Callable[[], str]]]:
    from crowd_sim import valuation
    from crowd_sim.crowd.sources.by_name import read_source

    for n in (12, 40):
        vectors = read_source("synthetic", None, n + 1, 0).vectors[: n + 1]
        for name in ("l2", "l1", "dot", "quartic"):
            game = valuation.AveragingGame(vectors[1:], vectors[0], _quartic if name == "quartic" else name)
            yield from _valued(f"{name}, n = {n}", game, 600, evaluators)
            if n == 12:
                yield f"other values: {name}", partial(_of_all, game)
    for name in ("glove", "airport", "voting"):
        for budget in (60, 240, 3400):  # the last are more pairs than the surrogate solves the equations of
            textbook = KINDS[name](12, np.random.default_rng(budget))
            yield from _valued(f"{name}, {budget} evaluations", textbook, budget, evaluators)
    yield from _valued("noise", Chance(10), 400, evaluators)
    vectors = read_source("synthetic", None, 601, 0).vectors[:601]
    many = valuation.AveragingGame(vectors[1:], vectors[0], _quartic)
    yield from _valued("n = 600", many, 7000, evaluators)
    yield from _valued("n = 600, features", many, 3000, evaluators, features=many.vectors)


def _valued(
    name: str, game: Any, budget: int, evaluators: _Evaluators, **options: Any
) -> Iterator[tuple[str, Callable[[], str]]]:
    """The game's values by every method that takes it."""
    from crowd_sim import valuation
    from crowd_sim.errors import InputError

    def asked(value: Callable[[_Evaluate | None], tuple[NDArray[np.float64], ...]]) -> Callable[[], str]:
        def digest() -> str:
            with evaluators(game) as evaluate:
                try:
                    return _digest(*value(evaluate))
                except InputError:
                    return "refused"

        return digest

    def by(method: str, stop: Any, evaluate: _Evaluate | None) -> tuple[NDArray[np.float64], ...]:
        found = valuation.shapley(game, method, budget, evaluate=evaluate, stop=stop, **options)
        return found.values, found.stderr

    def of_banzhaf(evaluate: _Evaluate | None) -> tuple[NDArray[np.float64], ...]:
        found = valuation.banzhaf(game, budget, evaluate=evaluate)
        return found.values, found.stderr

    def of_owen(evaluate: _Evaluate | None) -> tuple[NDArray[np.float64], ...]:
        found = valuation.sampled_owen(game, np.arange(game.n_players) // 4, budget, evaluate=evaluate)
        return found.values, found.stderr

    def from_some(evaluate: _Evaluate | None) -> tuple[NDArray[np.float64], ...]:
        stop = valuation.MaxEvaluations(budget)
        known = valuation.shapley(game, "permutation", budget, evaluate=evaluate, stop=stop)
        some = valuation.SampledUtilities.of(known)
        core = some.least_core()
        found = some.interactions(), some.banzhaf(), some.beta_shapley(4.0, 1.0)
        parts = [part for each in found for part in (each.values, each.stderr)]
        return *parts, core.values, np.array([core.deficit])

    for method in valuation.METHODS:
        yield f"{method}: {name}", asked(partial(by, method, None))
    stop = valuation.TargetError(0.2) | valuation.RankStability()
    yield f"auto, a rule: {name}", asked(partial(by, "auto", stop))
    if not options:
        yield f"banzhaf: {name}", asked(of_banzhaf)
        yield (
            f"leave one out: {name}",
            asked(lambda evaluate: (valuation.leave_one_out(game, evaluate=evaluate).values,)),
        )
    if not options and not hasattr(game, "noise"):
        yield f"Owen: {name}", asked(of_owen)
        if game.n_players <= 40:
            yield f"other values of some: {name}", asked(from_some)


def _of_all(game: Any) -> str:
    from crowd_sim import valuation

    known = valuation.AllUtilities.of(game)
    core = valuation.least_core(known)
    groups = np.arange(game.n_players) // 4
    return _digest(
        valuation.beta_shapley(known, 4.0, 1.0),
        valuation.interactions(known),
        valuation.owen(known, groups),
        core.values,
        valuation.banzhaf(known).values,
    )


@contextmanager
def _pools(number: int, killed: bool) -> Iterator[_Evaluators]:
    """Evaluators on Ray, ``number`` for each game; the first one dies at each method's first call where ``killed``."""
    import ray

    from crowd_sim.actors.evaluator import RayEvaluators
    from crowd_sim.actors.run_metrics import RunMetrics
    from crowd_sim.config import ActorsConfig

    actors = ActorsConfig.model_validate({"evaluators": {"number": number, "cpus": 0.1}, "failures": {"deaths": 1000}})
    with ExitStack() as stack:
        known: list[tuple[Any, RayEvaluators]] = []

        @contextmanager
        def evaluators(game: Any) -> Iterator[_Evaluate]:
            if not known or known[-1][0] is not game:
                stack.close()  # a game's methods come one after the other
                pool = stack.enter_context(closing(RayEvaluators([game], actors, RunMetrics("core types"))))
                known[:] = [(game, pool)]
            pool = known[-1][1]
            left = [killed]

            def evaluate(chunks: Iterable[Any]) -> Iterator[NDArray[np.float64]]:
                if left and left.pop():
                    ray.kill(pool.pool.actors[0])
                return pool.utilities([0], chunks)

            yield evaluate

        yield evaluators


def _in_process(_: Any) -> AbstractContextManager[None]:
    return nullcontext()


def _here(only: str) -> dict[str, str]:
    asked = [*_runs(), *_values(_in_process)]
    return {name: digest() for name, digest in asked if name.startswith(only)}


def _on_evaluators(number: int, killed: bool, only: str) -> dict[str, str]:
    with _pools(number, killed) as evaluators:
        return {name: digest() for name, digest in _values(evaluators) if name.startswith(only)}


def main() -> None:
    """Print the table; status 1 where something differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="what begins like this")
    parser.add_argument("--here", action="store_true", help="print this process's digests only")
    parser.add_argument("--evaluators", choices=_EVALUATORS, help="with --here: those of games on so many evaluators")
    arguments = parser.parse_args()
    if arguments.here:
        pool = arguments.evaluators
        found = _on_evaluators(*_EVALUATORS[pool], arguments.only) if pool else _here(arguments.only)
        sys.stdout.write("\n" + json.dumps(found))
        return
    command = [sys.executable, "-m", "experiments.bench.core_types", "--here", "--only", arguments.only]
    arms = [(name, command, changes) for name, changes in environments().items()]
    arms += [(name, [*command, "--evaluators", name], {}) for name in _EVALUATORS]
    expected: dict[str, str] = {}
    differs = False
    sys.stdout.write("| Kernels, or evaluators | Results | refused | with other bytes |\n| --- | --- | --- | --- |\n")
    for name, asked, changes in arms:
        done = run_process(asked, env={**os.environ, **changes}, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            sys.exit(f"{name}: {done.stderr}")
        found = json.loads(done.stdout.splitlines()[-1])
        expected = expected or found
        others = [key for key, digest in found.items() if digest != expected[key]]
        refused = sum(digest == "refused" for digest in found.values())
        differs = differs or bool(others)
        sys.stdout.write(f"| {name} | {len(found) - refused} | {refused} | {'; '.join(others) or 'none'} |\n")
        sys.stdout.flush()
    sys.exit(int(differs))


if __name__ == "__main__":
    main()
