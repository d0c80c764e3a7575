"""Exact tables of games of real tasks that no setting of the project was chosen on.

    python -m experiments.bench.held_out_games --path FOLDER

writes, for every family of `FAMILIES`, a folder in FOLDER with a file `*.npz` for each game, as `real_games` reads them:
``coalitions`` bool[2^n, n], ``values`` float64[2^n] and ``n_players``. The rows are scikit-learn's own, the sentences are
judged by VADER (both in the extra `dev`); nothing is downloaded, every model and every choice of rows has a seed. A family
whose folder is there is left as it is. Then

    python -m experiments.bench.real_games --path FOLDER --games 4 --rivals experiments/bench/results/held_out_rivals.csv

sets `auto` against shapiq's estimators on them.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from threadpoolctl import threadpool_limits

from experiments.bench.held_out_games import data, explaining, selecting, structure
from experiments.bench.held_out_games.made import Coalitions, Family, Made, Vector

FAMILIES: dict[str, Family] = {
    "BreastCancer_DatasetValuation_n12": data.breast_cancer_sets,
    "BreastCancer_EnsembleSelection_n12": selecting.breast_cancer_ensembles,
    "BreastCancer_LocalExplanation_n15": explaining.breast_cancer_local,
    "BreastCancer_UncertaintyExplanation_n12": explaining.breast_cancer_uncertainty,
    "BreastCancer_UnsupervisedData_n15": structure.breast_cancer_unsupervised,
    "Diabetes_DatasetValuation_n11": data.diabetes_sets,
    "Diabetes_FeatureSelection_n10": selecting.diabetes_features,
    "Diabetes_GlobalExplanation_n10": explaining.diabetes_global,
    "Diabetes_LocalExplanation_n10": explaining.diabetes_local,
    "Digits_DataValuation_n12": data.digits_points,
    "Digits_EnsembleSelection_n14": selecting.digits_ensembles,
    "Digits_ImagePatches_n15": explaining.digits_patches,
    "Iris_DataValuation_n14": data.iris_points,
    "Linnerud_DataValuation_n15": data.linnerud_points,
    "Sentiment_n13": structure.sentiment,
    "Wine_ClusterExplanation_n12": structure.wine_clusters,
    "Wine_ConditionalExplanation_n13": explaining.wine_conditional,
    "Wine_FeatureSelection_n13": selecting.wine_features,
    "Wine_GlobalExplanation_n13": explaining.wine_global,
    "Wine_LocalExplanation_n13": explaining.wine_local,
}
"""What makes the games of a family, by its name."""

_CHUNK = 1024


def values_of(game: Made) -> Vector:
    """float64[2^n]: the utilities, in the order of Σ 2^i over the members i.

    Raises:
        ValueError: utilities that are not finite, or all the same.
    """
    n = game.n_players
    members = _coalitions(n)
    parts = [game.utility(members[start : start + _CHUNK]) for start in range(0, 2**n, _CHUNK)]
    values = np.concatenate(parts).astype(np.float64)
    if not np.isfinite(values).all() or np.ptp(values) == 0:
        raise ValueError(f"{game.name}: utilities must be finite, and not all the same")
    return values


def _coalitions(n: int) -> Coalitions:
    return (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(np.bool_)


def write(folder: Path, family: str) -> None:
    """Write the games of ``family``, all or none, into a folder of its name in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as part:
        own = Path(part) / family
        own.mkdir()
        for game in FAMILIES[family]():
            start = time.process_time()
            values, members = values_of(game), _coalitions(game.n_players)
            np.savez_compressed(own / f"{game.name}.npz", coalitions=members, values=values, n_players=game.n_players)
            print(f"{family} {game.name}: {time.process_time() - start:.1f} s", file=sys.stderr, flush=True)
        own.rename(folder / family)


def main() -> None:
    """Write the tables that are not there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", type=Path, required=True, help="the folder of the families")
    parser.add_argument("--only", default="", help="families whose names contain this")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", ".*hasn't converged", UserWarning)  # a network stopped early can be explained too
    try:
        with threadpool_limits(1):
            for family in FAMILIES:
                if arguments.only in family and not (arguments.path / family).is_dir():
                    write(arguments.path, family)
    except ModuleNotFoundError as missing:
        print(
            f"{(missing.name or '').partition('.')[0]} is not installed: it comes with the extra dev", file=sys.stderr
        )
        sys.exit(2)


if __name__ == "__main__":
    main()
