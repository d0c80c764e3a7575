import numpy as np
import pytest

from crowd_sim.crowd.population import Population
from crowd_sim.errors import InputError

VECTORS = np.arange(6.0).reshape(3, 2)
IDS = ("a", "b", "c")
FEATURES = ("x", "y")


def test_it_holds_contiguous_read_only_float64():
    population = Population(np.asfortranarray(VECTORS.astype(np.float32)), IDS, FEATURES)
    assert population.vectors.dtype == np.float64
    assert population.vectors.flags.c_contiguous
    assert (population.n_workers, population.n_features) == (3, 2)
    with pytest.raises(ValueError, match="read-only"):
        population.vectors[0, 0] = 1.0


def test_the_callers_array_stays_writeable():
    vectors = VECTORS.copy()
    Population(vectors, IDS, FEATURES)
    vectors[0, 0] = 7.0


@pytest.mark.parametrize(
    ("vectors", "ids", "features", "field", "says"),
    [
        (np.empty((0, 2)), (), FEATURES, "vectors", "not empty"),
        (np.empty((3, 0)), IDS, (), "vectors", "not empty"),
        (np.arange(3.0), IDS, FEATURES, "vectors", "2-D"),
        (np.zeros((1, 3, 2)), IDS, FEATURES, "vectors", "2-D"),
        (VECTORS, ("a", "b"), FEATURES, "ids", "3 names"),
        (VECTORS, ("a", "b", "a"), FEATURES, "ids[2]", "only once"),
        (VECTORS, IDS, ("x",), "features", "2 names"),
        (VECTORS, IDS, ("x", "x"), "features[1]", "only once"),
        (np.where(VECTORS == 3, np.nan, VECTORS), IDS, FEATURES, "vectors[1, 1] (worker 'b', feature 'y')", "finite"),
        (np.where(VECTORS == 4, -np.inf, VECTORS), IDS, FEATURES, "vectors[2, 0] (worker 'c', feature 'x')", "finite"),
    ],
)
def test_it_refuses_and_names_the_place(vectors, ids, features, field, says):
    with pytest.raises(InputError) as caught:
        Population(vectors, ids, features)
    assert caught.value.field == field
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
