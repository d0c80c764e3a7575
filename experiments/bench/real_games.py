"""Precomputed games of real machine-learning tasks: the error of ``auto``, and how often its intervals cover.

    python -m experiments.bench.real_games --path FOLDER --json new.json --against old.json

FOLDER has a folder for each family, with one game in each of its files `*.npz`: ``coalitions`` bool[2^n, n], ``values``
float64[2^n] and ``n_players``, as the games of the package shapiq are published (they are not part of this project). Without
``--path`` it is ``games`` in the folder that the variable CROWD_SIM_DATA names.

Prints, as Markdown, for every family and 5n, 20n, 100n and 500n evaluations the geometric mean of the errors, the share of
the nominal 95 % intervals that cover, and the processor's seconds per game; with ``--against`` also the geometric mean of the
errors over those of an earlier run at the same games and seeds. A second table sets the errors against those of nine
estimators of shapiq at the same games, budgets and seeds, which `results/real_rivals.csv` (or ``--rivals``) holds, a third
does so family by family, and a fourth sets the seconds against those of both kinds of ProxySHAP; ``--shapiq PYTHON``, an
interpreter that has `shapiq` 1.8 or later with `lightgbm` and `xgboost`, makes that file's rows of the budgets of
``--per-player`` anew, on one thread (`experiments/bench/real_rivals.py`). An error is the root mean square of the values'
errors over that of the centred exact values; one below 1e-12 counts as that. Cells in which the budget covers all coalitions
are left out.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from crowd_sim.errors import InputError
from crowd_sim.valuation import Game, shapley

PER_PLAYER = (5, 20, 100, 500)
"""Budgets, in evaluations per player."""

RIVALS = Path(__file__).parent / "results" / "real_rivals.csv"

_EXACT = 1e-12
_SCRIPT = Path(__file__).with_name("real_rivals.py")

Key = tuple[str, str, int, int]
"""Family, name, evaluations per player and seed of a valuation."""


@dataclass(frozen=True, eq=False)
class Table:
    """A game known in full.

    Attributes:
        family: the folder it was in.
        name: the file's.
        n_players: of the game.
        utilities: float64[2^n], by the sum of 2^i over the members i.
    """

    family: str
    name: str
    n_players: int
    utilities: NDArray[np.float64]

    def __call__(self, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Utilities float64[m] of ``coalitions`` [m, n]."""
        return self.utilities[np.asarray(coalitions, dtype=np.int64) @ (1 << np.arange(self.n_players))]


@dataclass(frozen=True)
class Case:
    """One valuation of one game."""

    family: str
    name: str
    per_player: int
    seed: int
    error: float
    covered: float
    seconds: float

    @property
    def key(self) -> Key:
        """What it shares with the same valuation of another run."""
        return self.family, self.name, self.per_player, self.seed


def read_games(folder: Path, most: int) -> list[Table]:
    """The games of every family in ``folder``, ``most`` of each, evenly chosen.

    Raises:
        InputError: a folder without games.
    """
    games = []
    for family in sorted(path for path in folder.glob("*") if path.is_dir()):
        files = sorted(family.glob("*.npz"))
        chosen = np.unique(np.linspace(0, len(files) - 1, min(most, len(files))).astype(int)).tolist()
        games += [_read(files[place]) for place in chosen]
    if not games:
        raise InputError("path", str(folder), "must be a folder of families of games, *.npz")
    return games


def _read(path: Path) -> Table:
    with np.load(path, allow_pickle=False) as arrays:
        n = int(arrays["n_players"])
        utilities = np.full(2**n, np.nan)
        utilities[arrays["coalitions"].astype(np.int64) @ (1 << np.arange(n))] = arrays["values"]
    return Table(path.parent.name, path.stem, n, utilities)


def exact_values(game: Table) -> NDArray[np.float64]:
    """The game's Shapley values float64[n]."""
    return shapley(game, method="exact").values


def measure(
    games: list[Table], seeds: int, report: Callable[[str], None], budgets: Sequence[int] = PER_PLAYER
) -> list[Case]:
    """Value every game at every one of ``budgets``, in evaluations per player, ``seeds`` times."""
    cases = []
    for number, game in enumerate(games):
        report(f"{number + 1} of {len(games)}: {game.family} {game.name}")
        truth = exact_values(game)
        for per_player in budgets:
            if per_player * game.n_players < 2**game.n_players:
                cases += [valued(game, truth, game.family, game.name, per_player, seed) for seed in range(seeds)]
    return cases


def valued(game: Game, truth: NDArray[np.float64], family: str, name: str, per_player: int, seed: int) -> Case:
    """Value ``game``, whose values are ``truth`` float64[n], by `auto` once."""
    start = time.process_time()
    result = shapley(game, budget=per_player * game.n_players, seed=seed)
    seconds = time.process_time() - start
    error = float(np.sqrt(np.mean((result.values - truth) ** 2)) / np.sqrt(np.mean((truth - truth.mean()) ** 2)))
    slack = _EXACT * np.abs(truth).max()  # the rounding of exact values is no miss
    inside = (result.lower - slack <= truth) & (truth <= result.upper + slack)
    return Case(family, name, per_player, seed, error, float(inside.mean()), seconds)


def table(cases: list[Case], earlier: dict[Key, float]) -> str:
    """The cases as a table in Markdown: a row for each family and for all, three or four numbers for each budget."""
    columns = "error, ratio, coverage, seconds" if earlier else "error, coverage, seconds"
    lines = [f"Each cell: {columns}.\n", "| Family | " + " | ".join(f"{p}n" for p in PER_PLAYER) + " |"]
    lines.append("|--|" + "--:|" * len(PER_PLAYER))
    rows: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        rows[case.family].append(case)
    cells: dict[int, list[list[float]]] = defaultdict(list)
    for family in sorted(rows):
        shown = []
        for per_player in PER_PLAYER:
            part = [case for case in rows[family] if case.per_player == per_player]
            numbers = _numbers(part, earlier) if part else []
            if numbers:
                cells[per_player].append(numbers)
            shown.append(_shown(numbers))
        lines.append(f"| {family} | " + " | ".join(shown) + " |")
    together = []
    for per_player in PER_PLAYER:
        over = np.array(cells[per_player])
        if over.size:  # errors and ratios by their geometric means over the families, the others by plain ones
            means = np.exp(np.log(over[:, :-2]).mean(axis=0)).tolist()
            together.append(_shown([*means, *over[:, -2:].mean(axis=0).tolist()]))
        else:
            together.append("")
    lines.append("| all families | " + " | ".join(together) + " |")
    return "\n".join(lines)


def _numbers(cases: list[Case], earlier: dict[Key, float]) -> list[float]:
    logs = [float(np.log(max(case.error, _EXACT))) for case in cases]
    found = [float(np.exp(np.mean(logs)))]
    if earlier:
        ratios = [log - np.log(max(earlier[case.key], _EXACT)) for log, case in zip(logs, cases, strict=True)]
        found.append(float(np.exp(np.mean(ratios))))
    return [*found, float(np.mean([c.covered for c in cases])), float(np.mean([c.seconds for c in cases]))]


def _shown(numbers: list[float]) -> str:
    if not numbers:
        return ""
    error, *ratio, covered, seconds = numbers
    return ", ".join([f"{error:.2g}", *(f"{r:.2f}" for r in ratio), f"{covered:.2f}", f"{seconds:.2f}"])


def make_rivals(python: Path, folder: Path, most: int, seeds: int, budgets: Sequence[int], into: Path = RIVALS) -> None:
    """Have shapiq's estimators value the games, and write ``into``; of other budgets it keeps what it has.

    Raises:
        SystemExit: an interpreter that does not run or lacks a package; with what it said last.
    """
    command = [str(python), "-P", str(_SCRIPT), str(folder.resolve()), str(most), str(seeds)]
    command += [str(per_player) for per_player in budgets]
    try:
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | one)  # noqa: S603
    except OSError as error:
        raise SystemExit(f"--shapiq {python}: {error.strerror}") from None
    if done.returncode:
        raise SystemExit(f"--shapiq {python}: {done.stderr.strip().splitlines()[-1]}")
    head, *rows = done.stdout.splitlines()
    if into.exists():
        earlier = into.read_text().splitlines()[1:]
        rows += [row for row, cells in zip(earlier, csv.reader(earlier), strict=True) if int(cells[4]) not in budgets]
    into.parent.mkdir(exist_ok=True)
    into.write_text("\n".join([head, *rows]) + "\n")


def read_rivals(path: Path, column: str = "error") -> dict[Key, dict[str, float]]:
    """The errors, or the ``seconds``, of the methods in a file of `real_rivals.py`, by case and method."""
    found: dict[Key, dict[str, float]] = defaultdict(dict)
    with path.open(newline="") as lines:
        for row in csv.DictReader(lines):
            key = row["family"], row["name"], int(row["per_player"]), int(row["seed"])
            found[key][row["method"]] = float(row[column])
    return found


def _over(cases: list[Case], rivals: dict[Key, dict[str, float]], per_player: int) -> dict[str, dict[str, float]]:
    """By family and rival the mean log of the rival's errors over ours, at the same games and seeds."""
    ratios: dict[str, list[dict[str, float]]] = defaultdict(list)
    for case in cases:
        if case.per_player == per_player and case.key in rivals:
            own = np.log(max(case.error, _EXACT))
            ratio = {name: float(np.log(max(other, _EXACT)) - own) for name, other in rivals[case.key].items()}
            ratios[case.family].append(ratio)
    return {
        family: {name: float(np.mean([r[name] for r in rows])) for name in rows[0]} for family, rows in ratios.items()
    }


def against_rivals(cases: list[Case], rivals: dict[Key, dict[str, float]]) -> str:
    """For every budget, over families: the best single rival, and how often we are within 1.05 of the best of each family."""
    lines = [
        "| Evaluations | best single rival, its error over `auto`'s | within 1.05 of the best of a family | worst family |"
    ]
    lines.append("|--:|--|--:|--|")
    for per_player in PER_PLAYER:
        over = _over(cases, rivals, per_player)
        if not over:
            continue
        means = {name: float(np.mean([row[name] for row in over.values()])) for name in next(iter(over.values()))}
        best = min(means, key=means.__getitem__)
        nearest = {family: min(row.values()) for family, row in over.items()}
        share = np.mean([near >= -np.log(1.05) for near in nearest.values()])
        worst = min(nearest, key=nearest.__getitem__)
        lines.append(
            f"| {per_player}n | {best}: {np.exp(means[best]):.2f} | {share:.0%} of {len(over)} "
            f"| {np.exp(-nearest[worst]):.2f}, {worst} |"
        )
    return "\n".join(lines)


def by_family(cases: list[Case], rivals: dict[Key, dict[str, float]]) -> str:
    """For every family and budget: our error over that of the family's best rival, and which rival that is."""
    lines = ["| `auto` over the best rival of | " + " | ".join(f"{p}n" for p in PER_PLAYER) + " |"]
    lines.append("|--|" + "--:|" * len(PER_PLAYER))
    over = [_over(cases, rivals, per_player) for per_player in PER_PLAYER]
    for family in sorted(set().union(*over)):
        best = [min(part[family].items(), key=lambda one: one[1]) if family in part else None for part in over]
        cells = [f"{_ratio(one[1])} ({one[0]})" if one else "" for one in best]
        lines.append(f"| {family} | " + " | ".join(cells) + " |")
    for name, middle in (("geometric mean", np.mean), ("median", np.median)):
        logs = [float(middle([min(row.values()) for row in part.values()])) if part else None for part in over]
        lines.append(f"| {name} | " + " | ".join(_ratio(log) if log is not None else "" for log in logs) + " |")
    return "\n".join(lines)


def _ratio(log: float) -> str:
    """Ours over the rival's, of the log of the rival's over ours."""
    return f"{np.exp(-log):.2f}" if log < np.log(100) else f"{np.exp(-log):.0e}"


def times(cases: list[Case], rivals: dict[Key, dict[str, float]]) -> str:
    """For every budget the processor's mean seconds per game, and those over both kinds of ProxySHAP's."""
    proxies = "ProxySHAP, XGBoost", "ProxySHAP, LightGBM"
    lines = [f"| Evaluations | `auto` | {' | '.join(proxies)} | ratios |", "|--:|--:|--:|--:|--:|"]
    for per_player in PER_PLAYER:
        both = [c for c in cases if c.per_player == per_player and set(proxies) <= set(rivals.get(c.key, ()))]
        if not both:
            continue
        own = float(np.mean([case.seconds for case in both]))
        others = [float(np.mean([rivals[case.key][name] for case in both])) for name in proxies]
        shown = " | ".join(f"{seconds:.2f}" for seconds in (own, *others))
        lines.append(f"| {per_player}n | {shown} | {', '.join(f'{own / seconds:.1f}' for seconds in others)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", type=Path, help="the folder of the families (default: $CROWD_SIM_DATA/games)")
    parser.add_argument("--games", type=int, default=2, help="of each family at most (default: 2)")
    parser.add_argument("--seeds", type=int, default=2, help="valuations of each game and budget (default: 2)")
    parser.add_argument(
        "--per-player", type=int, nargs="+", choices=PER_PLAYER, default=list(PER_PLAYER), help="only these budgets"
    )
    parser.add_argument("--json", type=Path, help="write the cases to this file")
    parser.add_argument(
        "--shapiq", type=Path, metavar="PYTHON", help="an interpreter with shapiq, lightgbm and xgboost"
    )
    parser.add_argument(
        "--rivals", type=Path, default=RIVALS, help="the file of their errors (default: that of the project)"
    )
    parser.add_argument("--against", type=Path, help="cases of an earlier run, of the same games and seeds")
    arguments = parser.parse_args()
    path = arguments.path or Path(os.environ.get("CROWD_SIM_DATA", ".")) / "games"
    try:
        games = read_games(path, arguments.games)
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    if arguments.shapiq:
        make_rivals(arguments.shapiq, path, arguments.games, arguments.seeds, arguments.per_player, arguments.rivals)
    earlier = {}
    if arguments.against:
        cases = [Case(**case) for case in json.loads(arguments.against.read_text())]
        earlier = {case.key: case.error for case in cases}
    shapley(games[0], budget=20 * games[0].n_players)  # imports and compilation are nobody's seconds
    with threadpool_limits(1):
        found = measure(
            games, arguments.seeds, lambda line: print(line, file=sys.stderr, flush=True), arguments.per_player
        )
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(case) for case in found], indent=0) + "\n")
    print(table(found, earlier))
    if arguments.rivals.exists():
        rivals = read_rivals(arguments.rivals)
        print("\n" + against_rivals(found, rivals))
        print("\n" + by_family(found, rivals))
        print("\n" + times(found, read_rivals(arguments.rivals, "seconds")))


if __name__ == "__main__":
    main()
