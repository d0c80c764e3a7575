"""What defences of the tournament are worth: `python -m experiments.crowds.defences`.

Prints Markdown tables, and what is wanted with what was reached:

    attacks      mean final distance by setting, attack and share of bad workers
    values       nobody bad: final distance, Spearman correlation of points with accurate values, effective number of workers
    detection    AUC of the bad by points, documented setting
    large        n = 1,000, K = 20 (synthetic)
    cost         milliseconds of a round in this process, by aggregation (synthetic)

MovieLens (CROWD_SIM_DATA), 75 of 610 drawn anew per run, K = 4, R = 100, random grouping, l2, 5 % mistakes. Exit status 1 if a
bar is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.crowd.aggregation import aggregations
from crowd_sim.crowd.behaviours import BAD_BEHAVIOURS
from crowd_sim.engine import simulate
from crowd_sim.host import InProcess
from crowd_sim.outcome import Outcome
from crowd_sim.participants import roles
from crowd_sim.tasks.load import load_task
from experiments.crowds.refusing import in_one_line

BOUNDS = {"bounds": [0, 5]}
STEERED = BOUNDS | {"reward": "calibrated", "weight_power": 30}
DEFENDED = STEERED | {"audits": 4}
"""The documented setting, crowd_sim/configs/defended.yaml."""

SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "bounds": BOUNDS,
    "median": {"aggregation": "median"},
    "trimmed_mean": {"aggregation": "trimmed_mean"},
    "geometric_median": {"aggregation": "geometric_median"},
    "geometric_median, bounds": BOUNDS | {"aggregation": "geometric_median"},
    "plain, ^4": {"weight_power": 4},
    "geometric_median, ^4": {"aggregation": "geometric_median", "weight_power": 4},
    "centered_clipping": {"aggregation": "centered_clipping"},
    "multi_krum": {"aggregation": "multi_krum"},
    "steered": STEERED,
    "steered, measuring": STEERED | {"measure_every": 2},
    "defended": DEFENDED,
    "defended, ^40": DEFENDED | {"weight_power": 40},
    "defended, 2 audits": DEFENDED | {"audits": 2},
    "defended, half-life": DEFENDED | {"calibration": {"half_life": 30.0}},
    "defended, window": DEFENDED | {"calibration": {"window": 400}},
}
"""Fields of the tournament."""

ATTACKS = tuple(name for name in BAD_BEHAVIOURS if name != "honest")

DETECTED = dict.fromkeys(("alie", "min_max", "away", "corner"), 0.93) | dict.fromkeys(
    ("mimic", "drift", "sleeper"), 0.88
)
"""AUC that is wanted of the documented setting."""


class Study:
    """Runs of the common setting, each made once.

    Attributes:
        runs, seeds: as many runs for each seed.
        source: of the crowd.
    """

    def __init__(self, runs: int, seeds: Sequence[int], source: str = "movielens") -> None:
        self.runs, self.seeds, self.source = runs, seeds, source
        self.outcomes = cache(self._outcomes)

    def distance(self, setting: str, attack: str = "honest", share: float = 0.0) -> float:
        """Mean final distance."""
        return float(
            np.mean(np.concatenate([o.metrics["final_distance"] for o in self.outcomes(setting, attack, share)]))
        )

    def auc(self, setting: str, attack: str, share: float) -> float:
        """Mean chance that a bad worker has fewer points than an honest one; half where they are equal."""
        found = []
        for outcome in self.outcomes(setting, attack, share):
            known = roles([outcome.config])
            if known is not None:
                found += [auc(points, bad) for points, bad in zip(outcome.history.points, known.bad, strict=True)]
        return float(np.mean(found))

    def valued(self, settings: Sequence[str]) -> dict[str, list[Outcome]]:
        """Honest runs with accurate values, which are the same in all settings and made once."""
        configs = [self._config(setting, seed, values=True) for setting in settings for seed in self.seeds]
        found = iter(simulate(configs, load_task(configs[0]), InProcess()))
        return {setting: [next(found) for _ in self.seeds] for setting in settings}

    def _outcomes(self, setting: str, attack: str, share: float, large: bool = False) -> list[Outcome]:
        configs = [self._config(setting, seed, attack, share, large) for seed in self.seeds]
        return simulate(configs, load_task(configs[0]), InProcess())

    def _config(
        self,
        setting: str,
        seed: int,
        attack: str = "honest",
        share: float = 0.0,
        large: bool = False,
        values: bool = False,
    ) -> RunConfig:
        crowd: dict[str, Any] = {"source": self.source, "n_workers": 75}
        if large:
            crowd = {"source": "synthetic", "n_workers": 1000}
        if share:
            crowd["bad"] = {"behaviour": attack, "share": share}
        return RunConfig.parse(
            {
                "seed": seed,
                "runs": self.runs,
                "crowd": crowd,
                "tournament": {"rounds": 100, "n_groups": 20 if large else 4} | SETTINGS[setting],
                "valuation": {"method": "auto" if values else "none", "budget": 10_000, "kernel_shap_budget": 0},
            }
        )


def auc(points: NDArray[np.float64], bad: NDArray[np.bool_]) -> float:
    """Of one run."""
    above = points[~bad][:, None] - points[bad]
    return float((above > 0).mean() + 0.5 * (above == 0).mean())


Bars = dict[str, bool]


def attacks(
    study: Study, settings: Sequence[str], names: Sequence[str], shares: Sequence[float], bars: Bars
) -> Iterator[str]:
    """A table a share."""
    plain = study.distance("plain")
    for share in shares:
        yield f"{share:.0%} bad, mean final distance (plain tournament with nobody bad: {plain:.2f})"
        yield ""
        yield f"| setting | nobody |{''.join(f' {name} |' for name in names)} mean | worst |"
        yield "| --- | ---: |" + " ---: |" * (len(names) + 2)
        for setting in settings:
            nobody = study.distance(setting)
            found = {name: study.distance(setting, name, share) for name in names}
            figures = [nobody, *found.values(), float(np.mean(list(found.values()))), max(found.values())]
            yield f"| {setting} |{''.join(f' {figure:.2f} |' for figure in figures)}"
            _attack_bars(setting, share, nobody, found, plain, bars)
        yield ""


def _attack_bars(
    setting: str, share: float, nobody: float, found: Mapping[str, float], plain: float, bars: Bars
) -> None:
    def bar(what: str, figure: float, limit: float) -> None:
        bars[f"{setting}, {what}: {figure:.2f}, wanted ≤ {limit:.2f}"] = figure <= limit

    worst = max(found, key=lambda name: found[name])
    if setting == "defended":
        bar("nobody bad", nobody, 2.6)
        for name in ("corner", "alie", "away", "noise"):
            if name in found and share in (0.3, 0.5):
                bar(f"{share:.0%} {name}", found[name], 3.1 if share == 0.3 else 3.5)
        if share in (0.5, 0.8):
            bar(f"{share:.0%}, worst ({worst})", found[worst], (0.9 if share == 0.5 else 1.05) * plain)
    if setting == "geometric_median, ^4" and share == 0.2:
        bar("20 %, mean over attacks", float(np.mean(list(found.values()))), 4.0)
    if setting == "bounds" and share == 0.3 and "away" in found:
        bar("30 % away", found["away"], 5.7)


def values(study: Study, settings: Sequence[str], bars: Bars) -> Iterator[str]:
    """What steering costs: who is paid, and who takes part."""
    yield "| nobody bad | distance | Spearman with values | effective number of workers |"
    yield "| --- | ---: | ---: | ---: |"
    for setting, outcomes in study.valued(settings).items():
        distance = np.mean([o.metrics["final_distance"].mean() for o in outcomes])
        correlation = np.mean([o.metrics["spearman_accurate"].mean() for o in outcomes])
        power = SETTINGS[setting].get("weight_power", 2)
        number = np.mean([effective_number(o.history.points, power).mean() for o in outcomes])
        yield f"| {setting} | {distance:.2f} | {correlation:.3f} | {number:.1f} |"
        if setting == "defended":
            bars[f"{setting}, Spearman {correlation:.3f}, wanted ≥ 0.80 at a distance {distance:.2f} ≤ 2.5"] = bool(
                correlation >= 0.8 and distance <= 2.5
            )


def effective_number(points: NDArray[np.float64], power: int) -> NDArray[np.float64]:
    """(Σ w)² / Σ w² of the weights in the end: float64[B], of points float64[B, n]."""
    weights = (points / points.max(axis=1, keepdims=True)) ** power
    return np.asarray(weights.sum(axis=1) ** 2 / (weights**2).sum(axis=1))


def detection(study: Study, settings: Sequence[str], names: Sequence[str], bars: Bars) -> Iterator[str]:
    """AUC by attack and share."""
    yield f"| AUC of the bad by points |{''.join(f' {name} |' for name in names)}"
    yield "| --- |" + " ---: |" * len(names)
    for setting in settings:
        for share in (0.1, 0.3):
            found = {name: study.auc(setting, name, share) for name in names}
            yield f"| {setting}, {share:.0%} |{''.join(f' {figure:.2f} |' for figure in found.values())}"
            for name in DETECTED.keys() & found.keys() if setting == "defended" else ():
                wanted = DETECTED[name]
                bars[f"{setting}, {share:.0%} {name}: AUC {found[name]:.3f}, wanted ≥ {wanted}"] = found[name] >= wanted


def large(study: Study, names: Sequence[str], bars: Bars) -> Iterator[str]:
    """A thousand workers, 40 % of them bad."""

    def distance(setting: str, attack: str, share: float) -> float:
        outcomes = study.outcomes(setting, attack, share, large=True)
        return float(np.mean([o.metrics["final_distance"].mean() for o in outcomes]))

    plain = distance("plain", "honest", 0.0)
    yield f"n = 1,000, K = 20, 40 % bad (plain with nobody bad: {plain:.2f})"
    yield ""
    yield "| attack | defended |"
    yield "| --- | ---: |"
    for name in names:
        found = distance("defended", name, 0.4)
        yield f"| {name} | {found:.2f} |"
        bars[f"n = 1,000, 40 % {name}: {found:.2f}, wanted ≤ {0.8 * plain:.2f}"] = found <= 0.8 * plain


def cost(bars: Bars) -> Iterator[str]:
    """Least of three, after a first round that compiles."""
    yield "| ms a round | n = 75 | times the mean | n = 100,000 | times the mean |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    mean: dict[int, float] = {}
    for name in aggregations(0.25, 2.0):
        cells = ""
        for n_workers, rounds, chunk_size in ((75, 50, 16), (100_000, 3, 4096)):
            if name == "multi_krum" and n_workers > 75:
                cells += "  |  |"
                continue
            took = round_time(name, n_workers, rounds, chunk_size)
            times = took / mean.setdefault(n_workers, took)
            cells += f" {1000 * took:.1f} | {times:.1f} |"
            if name == "geometric_median":
                bars[f"geometric median, n = {n_workers:,}: {times:.1f} times the mean, wanted ≤ 12"] = times <= 12
        yield f"| {name} |{cells}"


def round_time(aggregation: str, n_workers: int, rounds: int, chunk_size: int) -> float:
    """Seconds of a round of one run."""

    def seconds(number: int) -> float:
        config = RunConfig.parse(
            {
                "crowd": {"n_workers": n_workers, "chunk_size": chunk_size},
                "tournament": {"rounds": number, "aggregation": aggregation},
                "valuation": {"method": "none"},
            }
        )
        task, start = load_task(config), time.perf_counter()
        simulate([config], task, InProcess())
        return time.perf_counter() - start

    seconds(1)
    return (min(seconds(1 + rounds) for _ in range(3)) - min(seconds(1) for _ in range(3))) / rounds


@in_one_line
def main(arguments: Sequence[str] | None = None) -> None:
    """Print tables and bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", help="attacks, values, detection, large, cost; absent: all")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--source", default="movielens")
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=SETTINGS, metavar="SETTING")
    parser.add_argument("--attacks", nargs="+", default=list(ATTACKS), choices=ATTACKS, metavar="ATTACK")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.2, 0.3, 0.5, 0.8])
    given = parser.parse_args(arguments)
    study, bars = Study(given.runs, given.seeds, given.source), Bars()
    tables = {
        "attacks": lambda: attacks(study, given.settings, given.attacks, given.shares, bars),
        "values": lambda: values(study, given.settings, bars),
        "detection": lambda: detection(
            study, [s for s in given.settings if "reward" in SETTINGS[s]], given.attacks, bars
        ),
        "cost": lambda: cost(bars),
        "large": lambda: large(study, given.attacks, bars),
    }
    for name in given.tables or tables:
        for line in tables[name]():
            print(line, flush=True)
        print()
    for text, met in bars.items():
        print(f"{text}{'' if met else ' (MISSED)'}")
    sys.exit(0 if all(bars.values()) else 1)


if __name__ == "__main__":
    main()
