"""Who contributes: `Population` and where it comes from."""

from crowd_sim.crowd.download import fetch_movielens
from crowd_sim.crowd.loaders import SOURCES, load_population
from crowd_sim.crowd.movielens import load_movielens
from crowd_sim.crowd.population import Population
from crowd_sim.crowd.selection import select_people
from crowd_sim.crowd.synthetic import draw_population
from crowd_sim.crowd.vectors import load_vectors

__all__ = [
    "SOURCES",
    "Population",
    "draw_population",
    "fetch_movielens",
    "load_movielens",
    "load_population",
    "load_vectors",
    "select_people",
]
