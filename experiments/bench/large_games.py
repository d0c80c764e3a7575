"""Games of 30 to 100 players whose values are known: `auto` against shapiq's estimators, at equal evaluations.

    python -m experiments.bench.large_games [--games 2] [--shapiq PYTHON]

Explanations of boosted trees and forests that scikit-learn fits to its own data (interventional values, exact by `shap`; both
in the extra `dev`), and games with values in closed form. Prints the tables of `real_games`, a kind of game being a family;
`results/large_rivals.csv` holds the rivals' errors at the same games, which ``--shapiq PYTHON``, an interpreter that has
`shapiq` 1.8 or later with `lightgbm` and `xgboost`, makes anew for the kinds and budgets that are asked for, on one thread:
it asks this process for every utility (`experiments/bench/large_rivals.py`). PolySHAP has terms of up to three players
where these are at most 5,000, else of up to two, and is not run where these are more than 5,000 with as many evaluations.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from math import comb
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from crowd_sim.valuation import AveragingGame, Game, shapley
from experiments.bench import many_players, named_games
from experiments.bench.real_games import PER_PLAYER, Case, against_rivals, by_family, read_rivals, table, valued

RIVALS = Path(__file__).parent / "results" / "large_rivals.csv"

Known = Callable[[int], Iterator[tuple[Game, NDArray[np.float64]]]]
"""So many games, with their values."""

_METHODS = (
    "LeverageSHAP",
    "permutation",
    "PolySHAP",
    "KernelSHAP, paired",
    "OddSHAP",
    "SVARM",
    "RegressionMSR",
    "ProxySHAP, XGBoost",
    "ProxySHAP, LightGBM",
)
_COLUMNS = ("method", "version", "family", "name", "per_player", "seed", "error", "seconds")
_SCRIPT = Path(__file__).with_name("large_rivals.py")


def _closed(kind: str, n: int) -> Known:
    """Games of `many_players`."""

    def found(games: int) -> Iterator[tuple[Game, NDArray[np.float64]]]:
        for seed in range(1, games + 1):
            game, truth, _ = many_players.games(n, seed, kind)[kind]
            yield game, truth

    return found


def _unanimity(n: int) -> Known:
    """The sum of n / 2 unanimity games of one to five members, with normal weights."""

    def found(games: int) -> Iterator[tuple[Game, NDArray[np.float64]]]:
        for seed in range(games):
            rng = np.random.default_rng([n, seed])
            members = [rng.choice(n, size, replace=False) for size in rng.integers(1, 6, n // 2)]
            game = many_players.Terms(n, members, rng.normal(size=len(members)), every=True)
            yield game, game.values()

    return found


def _averaging(n: int) -> Known:
    """Minus the squared distance of a mean of vectors from a target; the estimators are not told that it is one."""

    def found(games: int) -> Iterator[tuple[Game, NDArray[np.float64]]]:
        for seed in range(games):
            rng = np.random.default_rng([n, seed])
            game = AveragingGame(rng.gamma(2.0, 1.0, (n, 20)), rng.random(20) * 3, "squared_l2")
            yield many_players.Unknown(game), shapley(game).values

    return found


KINDS: dict[str, Known] = {
    "breast cancer, boosted trees, n = 30": named_games.breast_cancer,
    "breast cancer, forest, n = 30": named_games.breast_cancer_forest,
    "digits, boosted trees, n = 54": named_games.digits_boosted,
    "digits, few trees, n = 54": named_games.few_trees,
    "digits, forest, n = 54": named_games.digits,
    "airport, n = 50": named_games.airport,
    "airport, heavy tail, n = 100": _closed("airport, heavy tail", 100),
    "averaging, squared l2, n = 40": _averaging(40),
    "averaging, squared l2, n = 100": _averaging(100),
    "best at ten tasks, n = 50": _closed("best at ten tasks", 50),
    "coverage, n = 50": _closed("coverage", 50),
    "coverage, n = 100": named_games.coverage,
    "saturating, n = 50": _closed("saturating", 50),
    "unanimity, n = 30": _unanimity(30),
    "unanimity, n = 50": _unanimity(50),
    "unanimity, n = 100": _unanimity(100),
    "voting, n = 50": _closed("voting", 50),
}


def method_of(name: str, n: int, budget: int) -> str | None:
    """The method of `real_rivals.py` that ``name`` is for a game of ``n`` players; None: not run."""
    if name != "PolySHAP":
        return name
    if n + comb(n, 2) + comb(n, 3) <= 5_000:
        return "PolySHAP, 3"
    return None if n + comb(n, 2) > 5_000 < budget else "PolySHAP, 2"


@contextmanager
def rivals(python: Path) -> Iterator[tuple[str, Callable[[str, Game, int, int], NDArray[np.float64] | None]]]:
    """The version of shapiq that a process of ``python`` has, and what asks it to value a game.

    Called with method, game, evaluations and seed it gives values float64[n], None where the method takes no such budget.

    Raises:
        SystemExit: an interpreter that does not run or lacks a package.
    """
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    command, pipe = [str(python), "-P", str(_SCRIPT)], subprocess.PIPE
    try:
        child = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=os.environ | one)  # noqa: S603
    except OSError as error:
        raise SystemExit(f"--shapiq {python}: {error.strerror}") from None
    with child:
        to, of = cast("IO[bytes]", child.stdin), cast("IO[bytes]", child.stdout)
        version = _line(of, python)

        def value(method: str, game: Game, budget: int, seed: int) -> NDArray[np.float64] | None:
            to.write(f"{method}\t{game.n_players}\t{budget}\t{seed}\n".encode())
            to.flush()
            while (line := _line(of, python)).startswith("ask"):
                m = int(line.split()[1])
                coalitions = np.frombuffer(of.read(m * game.n_players), dtype=np.bool_).reshape(m, -1)
                to.write(np.asarray(game(coalitions), dtype=np.float64).tobytes())
                to.flush()
            return None if line == "failed" else np.frombuffer(of.read(8 * game.n_players), dtype=np.float64)

        yield version, value
        to.close()


def _line(of: IO[bytes], python: Path) -> str:
    line = of.readline().decode().strip()
    if not line:
        raise SystemExit(f"--shapiq {python}: ended before its time")
    return line


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=2, help="of each kind (default: 2)")
    parser.add_argument("--only", default="", help="kinds whose names contain this")
    budgets = [per_player for per_player in PER_PLAYER if per_player <= 100]
    parser.add_argument(
        "--per-player", type=int, nargs="+", choices=budgets, default=budgets, help="only these budgets"
    )
    parser.add_argument(
        "--shapiq", type=Path, metavar="PYTHON", help="an interpreter with shapiq, lightgbm and xgboost"
    )
    parser.add_argument(
        "--rivals", type=Path, default=RIVALS, help="the file of their errors (default: that of the project)"
    )
    arguments = parser.parse_args()
    kinds = {name: make for name, make in KINDS.items() if arguments.only in name}
    with threadpool_limits(1):
        if arguments.shapiq:
            make_rivals(arguments.shapiq, kinds, arguments.games, arguments.per_player, arguments.rivals)
        list(measure({"": _unanimity(30)}, 1, (5, 20)))  # compilation is nobody's seconds
        cases = list(measure(kinds, arguments.games, arguments.per_player))
    print(table(cases, {}))
    if arguments.rivals.exists():
        known = read_rivals(arguments.rivals)
        print("\n" + against_rivals(cases, known))
        print("\n" + by_family(cases, known))


def measure(kinds: dict[str, Known], games: int, budgets: Sequence[int]) -> Iterator[Case]:
    """Value so many games of each kind by `auto`."""
    for kind, make in kinds.items():
        for number, (game, truth) in enumerate(islice(make(games), games)):
            print(f"{kind} {number}", file=sys.stderr, flush=True)
            for per_player in budgets:
                yield valued(game, truth, kind, str(number), per_player, 0)


def make_rivals(python: Path, kinds: dict[str, Known], games: int, budgets: Sequence[int], into: Path) -> None:
    """Write the rivals' errors at these games into a file, which keeps its rows of other kinds and budgets."""
    with rivals(python) as (version, value):
        for kind, make in kinds.items():
            rows: list[tuple[str, ...]] = []
            for number, (game, truth) in enumerate(islice(make(games), games)):
                spread = float(np.sqrt(np.mean((truth - truth.mean()) ** 2)))
                for per_player in budgets:
                    for name in _METHODS:
                        method = method_of(name, game.n_players, per_player * game.n_players)
                        found = value(method, game, per_player * game.n_players, 0) if method else None
                        error = (
                            float("inf") if found is None else float(np.sqrt(np.mean((found - truth) ** 2))) / spread
                        )
                        print(f"{kind} {number} {per_player}n {name}: {error:.3g}", file=sys.stderr, flush=True)
                        rows.append((name, version, kind, str(number), str(per_player), "0", f"{error:.6g}", "nan"))
            _replace(rows, into)


def _replace(rows: list[tuple[str, ...]], into: Path) -> None:
    made = {(row[2], row[4]) for row in rows}
    kept = []
    if into.exists():
        with into.open(newline="") as lines:
            kept = [tuple(row) for row in list(csv.reader(lines))[1:] if (row[2], row[4]) not in made]
    with into.open("w", newline="") as lines:
        csv.writer(lines, lineterminator="\n").writerows([_COLUMNS, *sorted([*kept, *rows], key=lambda row: row[2:6])])


if __name__ == "__main__":
    main()
