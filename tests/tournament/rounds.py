"""A round as a reward mechanism sees it, made of what a test cares about."""

import numpy as np

from crowd_sim.tournament.state import Round, Scores


def a_round(number, rounds, step, assignment, weights, selection):
    """Exact scores, nothing counted, nothing merged."""
    shape = selection.candidate_scores.shape
    exact = Scores(
        selection.model_scores,
        np.zeros(shape[0]),
        selection.candidate_scores,
        np.zeros(shape),
        np.zeros(shape[0], dtype=np.int64),
    )
    return Round(
        number,
        rounds,
        step,
        assignment,
        weights,
        selection,
        exact,
        np.zeros(shape, dtype=np.int64),
        np.full(shape[0], np.nan),
        np.full(shape, np.nan),
        np.empty((shape[0], 0), dtype=np.int64),
        np.empty((shape[0], 0)),
    )
