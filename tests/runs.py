"""Runs for the tests of invariance and faults: three kinds, and their tables as bytes."""

import hashlib
from pathlib import Path

from crowd_sim.config import RunConfig
from crowd_sim.engine import simulate
from crowd_sim.host import InProcess
from crowd_sim.store.run_folder import open_run, write_run
from crowd_sim.tasks.load import load_task

FILES = ("rounds.parquet", "workers.parquet", "runs.parquet", "summary.json")

_KINDS = {
    "vector": {"tournament": {"grouping": "interleaved", "reward": "marginal"}, "valuation": {"method": "none"}},
    "valued": {
        "tournament": {"grouping": "epsilon_greedy", "reward": "calibrated"},
        "valuation": {"budget": 1_200, "kernel_shap_budget": 400},
    },
    "behaviour": {
        "crowd": {"behaviour": "tests.faults.trouble:one_by_one"},
        "valuation": {"budget": 400, "kernel_shap_budget": 0},
    },
}
KINDS = list(_KINDS)


def config(kind, n_actors=1, **changes):
    """Two runs of 60 workers in 8 chunks, 12 rounds; `changes` by dotted names with __ for the dot."""
    pools = dict.fromkeys(("crowd", "trainers", "evaluators"), n_actors)
    content = {
        "seed": 3,
        "runs": 2,
        "crowd": {"n_workers": 60, "chunk_size": 8, **_KINDS[kind].get("crowd", {})},
        "tournament": {"rounds": 12, "n_groups": 3, **_KINDS[kind].get("tournament", {})},
        "valuation": dict(_KINDS[kind]["valuation"]),
        "actors": {pool: {"number": number, "cpus": 0.1} for pool, number in pools.items()},
    }
    for name, value in changes.items():
        *parents, leaf = name.split("__")
        node = content
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return RunConfig.parse(content)


def written(outcome, folder: Path):
    """The run folder's tables and summary."""
    with open_run(folder, outcome.config, load_task(outcome.config)) as print_of:
        write_run(folder, outcome, print_of)
    return tables(folder)


def tables(folder: Path):
    return {name: (folder / name).read_bytes() for name in FILES}


def digest(found):
    """One line for all of it."""
    return hashlib.sha256(b"".join(found[name] for name in FILES)).hexdigest()


def simulated(setup, host=None, saving=None):
    (outcome,) = simulate([setup], load_task(setup), host or InProcess(), saving=saving)
    return outcome
