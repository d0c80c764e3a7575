"""Runs for the tests of invariance and faults: three kinds of vectors, three of texts, and their tables as bytes."""

import hashlib
from pathlib import Path

import pandas as pd

from crowd_sim.config import RunConfig
from crowd_sim.engine import simulate
from crowd_sim.host import InProcess
from crowd_sim.store.run_folder import open_run, write_run
from crowd_sim.tasks.load import load_task
from tests.llm.small import content as content_of_texts

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

_TEXTS = {
    "best": {
        "crowd": {"n_workers": 4, "selection": "first"},
        "tournament": {"score": "tests.faults.trouble:score"},
        "valuation": {"method": "exact"},
    },
    "merge": {"tournament": {"search": "merge"}, "task": {"equal_tokens": True}},
    "halving": {"tournament": {"search": "halving", "n_groups": 3, "drop_used": False}},
}
TEXTS = list(_TEXTS)


def config(kind, n_actors=1, parts=None, **changes):
    """Two runs of 60 workers in 8 chunks, 12 rounds; or one of texts, with the models of `tests.llm.small` in `parts`.

    `changes` by dotted names with __ for the dot.
    """
    pools = dict.fromkeys(("crowd", "trainers", "evaluators"), n_actors)
    actors = {pool: {"number": number, "cpus": 0.1} for pool, number in pools.items()}
    content = _of_texts(kind, parts) if kind in TEXTS else _of_vectors(kind)
    content["actors"] = actors
    for name, value in changes.items():
        *parents, leaf = name.split("__")
        node = content
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return RunConfig.parse(content)


def _of_texts(kind, parts):
    return {"seed": 4, **content_of_texts(parts, **_TEXTS[kind])}


def _of_vectors(kind):
    return {
        "seed": 3,
        "runs": 2,
        "crowd": {"n_workers": 60, "chunk_size": 8, **_KINDS[kind].get("crowd", {})},
        "tournament": {"rounds": 12, "n_groups": 3, **_KINDS[kind].get("tournament", {})},
        "valuation": dict(_KINDS[kind]["valuation"]),
    }


def written(outcome, folder: Path):
    """The run folder's tables and summary."""
    with open_run(folder, outcome.config, load_task(outcome.config)) as fingerprint:
        write_run(folder, outcome, fingerprint)
    return tables(folder)


def tables(folder: Path):
    """Tables, summary and adapters; of `models` all but the seconds."""
    paths = [folder / "summary.json", *folder.glob("*.parquet"), *folder.glob("adapter/*/*")]
    found = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
    if "models.parquet" in found:
        found["models.parquet"] = pd.read_parquet(folder / "models.parquet").drop(columns="seconds").to_csv().encode()
    return found


def digest(found):
    """One line for all of it."""
    return hashlib.sha256(b"".join(found[name] for name in sorted(found))).hexdigest()


def simulated(setup, host=None, saving=None):
    (outcome,) = simulate([setup], load_task(setup), host or InProcess(), saving=saving)
    return outcome
