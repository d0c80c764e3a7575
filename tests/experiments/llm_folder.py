"""Folders of finished LLM runs, made up: the tables that a run leaves, without one."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

CONFIG = """seed: 3
runs: {n_runs}
crowd: {{source: feedback, target: my_words.txt, n_workers: {n_workers}}}
tournament: {{n_groups: 3, rounds: {n_rounds}, score: l2, search: merge, incumbent: true}}
task:
  kind: imitate
  model: some/base_model
  generation: {{report_outputs: 20}}
"""
BASELINES = ("base", "single_33", "single_66", "single_100", "single_equal_tokens")


def models(n_rounds=3):
    """Names in the order of the tables, in which the model of equal tokens comes last."""
    return [*BASELINES[:-1], *(f"round_{r + 1}" for r in range(n_rounds)), BASELINES[-1]]


def outputs_table(n_runs=1, n_rounds=3, n_outputs=20, shift=0.0):
    draw = np.random.default_rng(7)
    rows = [
        {
            "run": run,
            "model": model,
            "output": i,
            "prompt": f"prompt {i % 5}",
            "text": f"{model} says\nnumber {i}",
            "distance": 0.3 + shift + 0.5 / (1 + place) + 0.05 * run + 0.1 * draw.random(),
        }
        for run in range(n_runs)
        for place, model in enumerate([*BASELINES, *(f"round_{r + 1}" for r in range(n_rounds))])
        for i in range(n_outputs)
    ]
    return pd.DataFrame(rows).assign(score=lambda table: -table["distance"])


def models_table(outputs, n_rounds=3):
    """Rows as in models.parquet, with tokens and seconds that tell the models apart."""
    rows = []
    for run, own in outputs.groupby("run"):
        for place, model in enumerate(models(n_rounds)):
            distance = own.loc[own["model"] == model, "distance"]
            rows.append(
                {
                    "run": run,
                    "model": model,
                    "distance": distance.mean(),
                    "distance_se": distance.sem(),
                    "distinct": 0.9,
                    "copied": 0.02 * place,
                    "energy": 0.3 / (1 + place),
                    "energy_se": 0.01,
                    "copied_5grams": 0.03 * place,
                    "repetition": 0.05,
                    "held_out_loss": 3.5,
                    "concentrated": model == "round_3",
                    "tokens_trained": 1000 * place,
                    "tokens_generated": 100 * place,
                    "seconds": 10.0 * place,
                }
            )
    return pd.DataFrame(rows)


def round_tables(outputs, n_rounds=3, winners=(1, 3, -1)):
    """rounds.parquet and candidates.parquet of three candidates a round; winner 3 is the merged one, −1 none."""
    distances = outputs.groupby(["run", "model"])["distance"].mean()
    rounds, candidates = [], []
    for run in outputs["run"].unique():
        for number in range(1, n_rounds + 1):
            winner = winners[(number - 1) % len(winners)]
            scores = [-0.9 + 0.1 * number + 0.05 * (k == winner) - 0.03 * k for k in range(3)]
            rounds.append(
                {
                    "run": run,
                    "round": number,
                    "distance": distances[run, f"round_{number}"],
                    "distance_se": 0.01,
                    "model_score": -0.95 + 0.1 * number + 0.2 * (winner < 0),
                    "model_score_se": 0.02,
                    "best_score": max(scores),
                    "merged_score": max(scores) + 0.03 if winner == 3 else np.nan,
                    "accepted": winner >= 0,
                    "winner": winner,
                    "mistake": False,
                    "workers": 6,
                    "tokens_trained": 700,
                    "tokens_generated": 1234,
                }
            )
            candidates += [
                {"run": run, "round": number, "candidate": k, "score": scores[k], "score_se": 0.02, "rank": k}
                for k in range(3)
            ]
    return pd.DataFrame(rounds), pd.DataFrame(candidates)


def workers_table(n_runs=1, n_workers=6, valued=True):
    draw = np.random.default_rng(11)
    worth = np.tile(np.linspace(0.3, -0.1, n_workers), n_runs)
    n = n_runs * n_workers
    table = pd.DataFrame(
        {
            "run": np.repeat(np.arange(n_runs), n_workers),
            "worker": [f"worker {i}" for i in range(n_workers)] * n_runs,
            "examples": 5,
            "points": np.round(5 + 10 * worth + draw.normal(size=n)),
        }
    )
    if not valued:
        return table
    return table.assign(
        shapley=worth + 0.02 * draw.normal(size=n),
        shapley_stderr=0.01,
        first_order=5 * worth + 0.3 * draw.normal(size=n),
    )


def write_llm_run(folder: Path, n_runs=1, n_rounds=3, valued=True, outputs=None, workers=None):
    """A run folder of the given size; tables given stand in for those made up."""
    folder.mkdir(parents=True)
    outputs = outputs_table(n_runs, n_rounds) if outputs is None else outputs
    workers = workers_table(n_runs, valued=valued) if workers is None else workers
    rounds, candidates = round_tables(outputs, n_rounds)
    for name, table in (
        ("outputs", outputs),
        ("models", models_table(outputs, n_rounds)),
        ("rounds", rounds),
        ("candidates", candidates),
        ("workers", workers),
    ):
        table.to_parquet(folder / f"{name}.parquet")
    summary = {
        "fingerprint": "abc123",
        "runs": n_runs,
        "learner": {"dtype": "float32", "device": "cpu", "phi": "embedding:<mini>", "n_dimensions": 384, "n_cut": 0}
        | {"n_parameters": 2442240},
        "distance": {"base": {"mean": 0.8, "se": None}},
        "floor": {"distance": 0.31, "held_out": True},
        "compared_with": "single_equal_tokens",
        "ranking": ["round_2", "base"],
        "reduction_pct": {"base": {"mean": 50.0, "se": None}},
    }
    if valued:
        names = ("pearson_points", "spearman_points", "pearson_first_order", "spearman_first_order")
        summary["valuation"] = {"method": "exact", "n_evaluations": 64} | {
            n: {"mean": 0.8125, "se": None} for n in names
        }
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "config.yaml").write_text(
        CONFIG.format(n_runs=n_runs, n_rounds=n_rounds, n_workers=workers["worker"].nunique())
    )
    return folder
