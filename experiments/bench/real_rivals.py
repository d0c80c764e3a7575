"""Errors of the package shapiq's estimators on precomputed games: the arm of `real_games` that is not ours.

    shapiq/bin/python -P experiments/bench/real_rivals.py FOLDER GAMES SEEDS EVALUATIONS_PER_PLAYER...

runs where `shapiq` (1.8 or later, which asks for Python 3.12), `lightgbm` and `xgboost` are installed and needs nothing of
crowd-sim. Prints CSV, a row for each method, game, budget and seed; an error is `real_games`'s, seconds are of the
processor.
"""

from __future__ import annotations

import csv
import importlib
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_COLUMNS = ("method", "version", "family", "name", "per_player", "seed", "error", "seconds")

ap: Any = importlib.import_module("shapiq.approximator")  # another version than this project's checks see

METHODS: dict[str, Callable[[int, int], Any]] = {
    "LeverageSHAP": lambda n, seed: ap.LeverageSHAP(n, random_state=seed),
    "permutation": lambda n, seed: ap.PermutationSamplingSV(n, random_state=seed),
    "PolySHAP, 3": lambda n, seed: ap.PolySHAP(n, max_order=3, pairing_trick=True, random_state=seed),
    "KernelSHAP, paired": lambda n, seed: ap.KernelSHAP(n, pairing_trick=True, random_state=seed),
    "OddSHAP": lambda n, seed: ap.OddSHAP(n, random_state=seed, tree_params={"n_jobs": 1}),
    "SVARM": lambda n, seed: ap.SVARM(n, random_state=seed),
    "RegressionMSR": lambda n, seed: ap.RegressionMSR(n, "SV", random_state=seed),
    "ProxySHAP, XGBoost": lambda n, seed: ap.ProxySHAP(
        n, max_order=1, index="SV", proxy_model="xgboost", adjustment=True, random_state=seed
    ),
    "ProxySHAP, LightGBM": lambda n, seed: ap.ProxySHAP(
        n, max_order=1, index="SV", proxy_model="lightgbm", adjustment=True, random_state=seed
    ),
}


def main() -> None:
    """Print the lines."""
    folder, most, seeds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    budgets = [int(per_player) for per_player in sys.argv[4:]]
    warnings.simplefilter("ignore")
    print(",".join(_COLUMNS), flush=True)
    for family in sorted(path for path in folder.glob("*") if path.is_dir()):
        files = sorted(family.glob("*.npz"))
        for place in np.unique(np.linspace(0, len(files) - 1, min(most, len(files))).astype(int)).tolist():
            _value(family.name, files[place], seeds, budgets)


def _value(family: str, file: Path, seeds: int, budgets: list[int]) -> None:
    with np.load(file, allow_pickle=False) as arrays:
        n = int(arrays["n_players"])
        utilities = np.full(2**n, np.nan)
        utilities[arrays["coalitions"].astype(np.int64) @ (1 << np.arange(n))] = arrays["values"]
    truth = _exact(utilities, n)
    spread = float(np.sqrt(np.mean((truth - truth.mean()) ** 2)))

    def game(coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        return utilities[np.atleast_2d(coalitions).astype(np.int64) @ (1 << np.arange(n))]

    for per_player in budgets:
        if per_player * n >= 2**n:
            continue
        for method, make in METHODS.items():
            for seed in range(seeds):
                start = time.process_time()
                try:
                    found = make(n, seed).approximate(per_player * n, game).get_n_order_values(1)
                    error = float(np.sqrt(np.mean((found - truth) ** 2))) / spread
                except (ValueError, np.linalg.LinAlgError):  # a budget that the method is not made for
                    error = float("inf")
                seconds = time.process_time() - start
                row = (method, version("shapiq"), family, file.stem, per_player, seed, f"{error:.6g}", f"{seconds:.3f}")
                csv.writer(sys.stdout, lineterminator="\n").writerow(row)


def _exact(utilities: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """The Shapley values float64[n] of a table float64[2^n]."""
    codes = np.arange(2**n)
    size = np.bitwise_count(codes).astype(np.int64)
    weight = np.ones(n)  # of a size of the others
    for k in range(1, n):
        weight[k] = weight[k - 1] * k / (n - k)
    values = np.empty(n)
    for i in range(n):
        out = codes[codes >> i & 1 == 0]
        values[i] = weight[size[out]] @ (utilities[out | 1 << i] - utilities[out]) / n
    return values


if __name__ == "__main__":
    main()
