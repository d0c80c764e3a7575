"""A crowd drawn from a generator whose people resemble MovieLens's: nothing to download.

For a person with activity z₀ and focus z₁, tastes f₁..f₄, and noise e_g and u_g per genre, all standard normal:

- genre g is unrated, 0, where ``a_g z₀ + b_g z₁ + √(1 − a_g² − b_g²) u_g < Φ⁻¹(unrated_g)``: the active leave less
  unrated, and the focus tells family films from crime and film noir;
- else it is ``mean_g + spread_g (Σ_k L_gk f_k + √(1 − Σ_k L_gk²) s e_g)``, clipped to [0.5, 5] stars, where f₁ is how
  generous the person is (its loadings are all positive) and ``s = exp(−c z₀ − c²)`` makes the means of people who
  rated little noisier (E s² = 1).

The parameters were fitted once to ml-latest-small: loadings by least squares on the pairwise correlations of rated
genres and, for (a, b), on the tetrachoric correlations of the unrated ones; means and spreads so that they match after
clipping. They are rounded moments, from which no rating can be had back. A test compares the two crowds where the data
are at hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from crowd_sim.crowd.population import Population
from crowd_sim.elementary import exp
from crowd_sim.errors import InputError
from crowd_sim.random import Purpose, generator

LOWEST, HIGHEST = 0.5, 5.0
"""Stars between which a rated genre lies."""

CHUNK_SIZE = 4096
"""People per random stream. Part of every result: never change it."""

_TELLING = 64
"""People whose vectors stand for all in a fingerprint."""

NOISE_DECAY = 0.45
"""c: how fast the noise of a person's means falls with its activity."""


@dataclass(frozen=True)
class Genre:
    """How people rate one genre.

    Attributes:
        name: as MovieLens spells it.
        mean: stars, before clipping.
        spread: standard deviation between people in stars, before clipping.
        unrated: share of the people who rated no movie of it.
        tastes: loadings on generosity and on three more tastes; the sum of their squares is at most 1.
        unrated_loadings: (a, b), on activity and on focus.
    """

    name: str
    mean: float
    spread: float
    unrated: float
    tastes: tuple[float, float, float, float]
    unrated_loadings: tuple[float, float]


GENRES = (
    Genre("(no genres listed)", 3.66, 1.60, 0.957, (0.42, 0.00, 0.00, 0.00), (0.58, 0.00)),
    Genre("Action", 3.56, 0.61, 0.003, (0.82, 0.19, -0.32, -0.03), (0.58, 0.00)),
    Genre("Adventure", 3.62, 0.60, 0.007, (0.83, -0.13, -0.36, -0.09), (0.58, 0.00)),
    Genre("Animation", 3.65, 0.84, 0.136, (0.71, -0.56, 0.04, 0.25), (0.70, -0.64)),
    Genre("Children", 3.50, 0.85, 0.084, (0.73, -0.56, 0.01, 0.13), (0.58, -0.65)),
    Genre("Comedy", 3.57, 0.55, 0.002, (0.84, -0.12, 0.14, -0.19), (0.58, 0.00)),
    Genre("Crime", 3.77, 0.65, 0.011, (0.74, 0.26, 0.15, 0.04), (0.57, 0.59)),
    Genre("Documentary", 3.83, 1.13, 0.634, (0.61, 0.06, 0.14, -0.06), (0.62, 0.32)),
    Genre("Drama", 3.76, 0.54, 0.001, (0.85, 0.16, 0.25, -0.20), (0.58, 0.00)),
    Genre("Fantasy", 3.58, 0.73, 0.044, (0.71, -0.24, -0.01, -0.03), (0.60, -0.30)),
    Genre("Film-Noir", 3.89, 1.06, 0.608, (0.39, 0.23, 0.32, 0.09), (0.64, 0.55)),
    Genre("Horror", 3.47, 0.92, 0.123, (0.60, 0.23, -0.05, 0.21), (0.48, 0.29)),
    Genre("IMAX", 3.83, 0.87, 0.249, (0.58, -0.05, -0.34, -0.09), (0.56, -0.23)),
    Genre("Musical", 3.60, 0.88, 0.230, (0.61, -0.44, 0.17, 0.11), (0.61, -0.17)),
    Genre("Mystery", 3.77, 0.75, 0.049, (0.65, 0.33, 0.18, 0.15), (0.58, 0.07)),
    Genre("Romance", 3.64, 0.64, 0.007, (0.78, -0.10, 0.16, -0.28), (0.58, 0.00)),
    Genre("Sci-Fi", 3.54, 0.70, 0.008, (0.70, 0.16, -0.41, -0.03), (0.45, 0.04)),
    Genre("Thriller", 3.63, 0.62, 0.002, (0.83, 0.42, -0.07, 0.27), (0.58, 0.00)),
    Genre("War", 3.90, 0.81, 0.097, (0.58, 0.10, 0.15, -0.10), (0.59, 0.32)),
    Genre("Western", 3.67, 0.94, 0.311, (0.59, 0.11, -0.01, -0.08), (0.54, 0.22)),
)


def draw_population(n_workers: int, seed: int) -> Population:
    """Draw people, each a function of ``seed`` and its own row alone: a larger crowd begins with the smaller one.

    Args:
        n_workers: N, at least 1.
        seed: keys the streams (seed, 0, ``Purpose.CROWD``, chunk).

    Returns:
        A `Population` of N × 20, in stars; ids are row numbers, from 0.

    Raises:
        InputError: if nobody is asked for.
    """
    if n_workers < 1:
        raise InputError("crowd.n_workers", n_workers, "must be at least 1")
    return Population(Synthetic(n_workers, seed), None, tuple(genre.name for genre in GENRES))


@dataclass(frozen=True)
class Synthetic:
    """A `crowd_sim.crowd.population.Drawing`: its key is all there is of it.

    Attributes:
        n_people: N, at least 1.
        seed: keys the streams (seed, 0, ``Purpose.CROWD``, chunk).
    """

    n_people: int
    seed: int

    def rows(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The people at these rows, int64[m] in any order: float64[m, 20]; draws the chunks they are in, no others."""
        vectors = np.empty((len(rows), len(GENRES)))
        ascending = bool((rows[1:] >= rows[:-1]).all())
        order = slice(None) if ascending else np.argsort(rows, kind="stable")
        chunks = rows[order] // CHUNK_SIZE
        cuts = np.flatnonzero(np.diff(chunks)) + 1
        drawn = np.empty((CHUNK_SIZE, len(GENRES)))
        for place in np.split(np.arange(len(rows))[order], cuts):
            chunk = int(rows[place[0]]) // CHUNK_SIZE
            inside = rows[place] - chunk * CHUNK_SIZE
            people = drawn[: inside[-1] + 1]
            _draw_chunk(self.seed, chunk, people)
            vectors[place] = people[inside]
        return vectors

    def identity(self) -> bytes:
        """The key, and the first people, who tell this generator from another."""
        first = self.rows(np.arange(min(self.n_people, _TELLING)))
        return f"synthetic {self.n_people} {self.seed} ".encode() + first.tobytes()


def _draw_chunk(seed: int, chunk: int, out: NDArray[np.float64]) -> None:
    """Fills ``out`` float64[m, 20] with the first m people of a chunk."""
    d = len(GENRES)
    tastes = np.array([genre.tastes for genre in GENRES])
    loadings = np.array([genre.unrated_loadings for genre in GENRES])
    n_tastes, n_habits = tastes.shape[1], loadings.shape[1]
    # numbers come person by person, so the first m people do not depend on m
    draws = generator(seed, 0, Purpose.CROWD, chunk=chunk).standard_normal((len(out), n_habits + n_tastes + 2 * d))
    habits, likings, noise, doubt = np.split(draws, np.cumsum([n_habits, n_tastes, d]), axis=1)
    noise_scale = exp(-NOISE_DECAY * habits[:, :1] - NOISE_DECAY**2)
    liked = _mixed(likings, tastes) + np.sqrt(1 - (tastes**2).sum(axis=1)) * noise_scale * noise
    means, spreads = np.array([(genre.mean, genre.spread) for genre in GENRES]).T
    np.clip(means + spreads * liked, LOWEST, HIGHEST, out=out)
    rated = _mixed(habits, loadings) + np.sqrt(1 - (loadings**2).sum(axis=1)) * doubt
    out[rated < scipy.special.ndtri(np.array([genre.unrated for genre in GENRES]))] = 0.0


def _mixed(factors: NDArray[np.float64], loadings: NDArray[np.float64]) -> NDArray[np.float64]:
    """``factors @ loadings.T``, term by term: BLAS's last bits depend on the number of rows and on the machine."""
    total = np.zeros((len(factors), len(loadings)))
    for k in range(factors.shape[1]):
        total += factors[:, k, None] * loadings[:, k]
    return total
