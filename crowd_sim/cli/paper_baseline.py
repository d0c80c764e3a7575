"""The yardstick: one run of the paper's vector simulation with its Kernel SHAP, written the plain way.

One worker, group and coalition at a time, with the public `shap` package. Nothing here is used by the simulator.
"""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError

Vector = NDArray[np.float64]


def score(name: str, x: Vector, target: Vector) -> float:
    """The score of one point."""
    if name == "l2":
        return -float(np.linalg.norm(x - target))
    if name == "l1":
        return -float(np.abs(x - target).sum())
    return float(x @ target)


def groups_of(grouping: str, points: Vector, n_groups: int, progress: float, rng: np.random.Generator) -> list[Vector]:
    """The members of every group."""
    n = len(points)
    by_points = sorted(range(n), key=lambda worker: points[worker])
    if grouping == "interleaved":
        halves = [rng.permutation(by_points[: n // 2]), rng.permutation(by_points[n // 2 :])]
        return [np.concatenate([half[k::n_groups] for half in halves]) for k in range(n_groups)]
    explore = grouping == "random" or rng.random() < max(0.4, 1 - progress)
    return np.array_split(rng.permutation(n) if explore else np.array(by_points), n_groups)


def tournament(
    vectors: Vector, target: Vector, grouping: str, score_name: str, n_groups: int, rng: np.random.Generator
) -> tuple[Vector, Vector]:
    """100 rounds; the points and the final model."""
    model: Vector = rng.uniform(0, 5, size=(vectors.shape[1],))
    points = np.ones(len(vectors))
    for t in range(100):
        groups = groups_of(grouping, points, n_groups, t / 100, rng)
        candidates = []
        for members in groups:
            weights = points[members] ** 2
            centroid = np.sum([w * vectors[i] for w, i in zip(weights, members, strict=True)], axis=0) / weights.sum()
            candidates.append(model + 0.1 * (centroid - model))
        scores = [score(score_name, candidate, target) for candidate in candidates]
        ranking = sorted(range(n_groups), key=lambda k: -scores[k])
        if scores[ranking[0]] > score(score_name, model, target):
            if rng.random() < 0.05:
                other = rng.integers(1, n_groups)
                ranking[0], ranking[other] = ranking[other], ranking[0]
            for place, k in enumerate(ranking):
                for worker in groups[k]:
                    points[worker] += n_groups - place
            model = candidates[ranking[0]]
    return points, model


def kernel_shap(vectors: Vector, target: Vector, score_name: str, evaluations: int) -> Vector:
    """Kernel SHAP by the public package, the coalitions valued one by one."""
    try:
        import shap
    except ImportError as error:
        allowed = f"needs the packages shap and scikit-learn: pip install 'crowd-sim[dev]' ({error})"
        raise InputError("bench", None, allowed) from None

    logging.getLogger("shap").setLevel(logging.ERROR)

    def utilities(coalitions: Vector) -> Vector:
        values = []
        for members in coalitions:
            chosen = vectors[members.astype(bool)]
            mean = chosen.mean(axis=0) if len(chosen) else np.zeros(vectors.shape[1])
            values.append(score(score_name, mean, target))
        return np.array(values)

    explainer = shap.KernelExplainer(utilities, np.zeros((1, len(vectors))))
    return explainer.shap_values(np.ones((1, len(vectors))), nsamples=evaluations, l1_reg=False, silent=True)[0]


def run(people: Vector, n_workers: int, grouping: str, score_name: str, n_groups: int, seed: int) -> float:
    """One run on the first people: the correlation of points with Kernel SHAP."""
    rng = np.random.default_rng(seed)
    expert = int(rng.integers(n_workers + 1))
    vectors = np.delete(people[: n_workers + 1], expert, axis=0)
    points, _ = tournament(vectors, people[expert], grouping, score_name, n_groups, rng)
    values = kernel_shap(vectors, people[expert], score_name, 10_000)
    return float(np.corrcoef(points, values)[0, 1])
