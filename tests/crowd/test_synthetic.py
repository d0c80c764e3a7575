import pickle

import numpy as np
import pytest

from crowd_sim.crowd.sources.movielens import load_movielens
from crowd_sim.crowd.sources.synthetic import CHUNK_SIZE, GENRES, draw_population
from crowd_sim.errors import InputError


@pytest.fixture(scope="module")
def crowd():
    return draw_population(20_000, 3)


@pytest.mark.parametrize("n", [1, 26, CHUNK_SIZE, CHUNK_SIZE + 1])
def test_a_larger_crowd_begins_with_the_smaller_one(crowd, n):
    small = draw_population(n, 3)
    assert small.vectors.tobytes() == crowd.vectors[:n].tobytes()
    assert small.ids == crowd.ids[:n]


def test_seeds_and_chunks_differ(crowd):
    assert not np.array_equal(draw_population(5, 4).vectors, crowd.vectors[:5])
    assert not np.array_equal(crowd.vectors[:5], crowd.vectors[CHUNK_SIZE : CHUNK_SIZE + 5])


def test_ratings_lie_between_half_a_star_and_five(crowd):
    rated = crowd.vectors[crowd.vectors != 0]
    assert rated.min() == 0.5
    assert rated.max() == 5.0


def test_parameters_are_possible_and_met(crowd):
    for genre in GENRES:
        assert sum(a * a for a in genre.tastes) <= 1
        assert sum(a * a for a in genre.unrated_loadings) <= 1
        assert genre.tastes[0] > 0
    shares = (crowd.vectors == 0).mean(axis=0)
    np.testing.assert_allclose(shares, [genre.unrated for genre in GENRES], atol=0.015)


def test_the_active_leave_less_unrated(crowd):
    number = (crowd.vectors == 0).sum(axis=1)
    share = (crowd.vectors == 0).mean(axis=0)
    assert number.var() > 1.5 * (share * (1 - share)).sum()  # twice what independent genres would give


def test_nobody_is_refused():
    with pytest.raises(InputError) as caught:
        draw_population(0, 1)
    assert caught.value.field == "crowd.n_workers"


def test_it_resembles_movielens(crowd, data_folder):
    real = load_movielens(data_folder)
    assert crowd.features == real.features
    assert crowd.vectors.mean() == pytest.approx(real.vectors.mean(), abs=0.05)
    assert crowd.vectors.std() == pytest.approx(real.vectors.std(), abs=0.05)
    for g, name in enumerate(real.features):
        drawn, rated = (p.vectors[:, g][p.vectors[:, g] != 0] for p in (crowd, real))
        # four standard errors of the real mean and (normal theory, doubled for heavy tails) spread
        error = 4 * rated.std() / np.sqrt(len(rated))
        assert drawn.mean() == pytest.approx(rated.mean(), abs=error), name
        assert drawn.std() == pytest.approx(rated.std(), abs=error * np.sqrt(2)), name
        share = (real.vectors[:, g] == 0).mean()
        assert (crowd.vectors[:, g] == 0).mean() == pytest.approx(share, abs=0.03), name
    pairs = np.triu_indices(20, 1)
    correlations = [np.corrcoef(p.vectors.T)[pairs] for p in (crowd, real)]
    assert correlations[0].mean() == pytest.approx(correlations[1].mean(), abs=0.06)
    assert np.abs(correlations[0] - correlations[1]).mean() < 0.08
    spread = [np.linalg.norm(p.vectors[:300] - p.vectors[300:600], axis=1).mean() for p in (crowd, real)]
    assert spread[0] == pytest.approx(spread[1], rel=0.08)


def test_any_rows_can_be_drawn_by_themselves_and_travel_as_a_key():
    rows = np.array([CHUNK_SIZE + 7, 3, 3, 2 * CHUNK_SIZE, 0])
    crowd = draw_population(2 * CHUNK_SIZE + 9, 3)
    portion = pickle.dumps(crowd.portion(rows))
    assert len(portion) < 500
    assert pickle.loads(portion)().tobytes() == crowd.vectors[rows].tobytes()
    assert crowd.rows(rows).tobytes() == draw_population(crowd.n_workers, 3).rows(rows).tobytes()
    travelled = pickle.dumps(crowd)  # though its vectors have been drawn by now
    assert len(travelled) < 1000
    assert pickle.loads(travelled).vectors.tobytes() == crowd.vectors.tobytes()
