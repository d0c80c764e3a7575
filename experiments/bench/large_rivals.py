"""shapiq's estimators on games that another process plays: the arm of `large_games` that is not ours.

    shapiq/bin/python -P experiments/bench/large_rivals.py

runs where `real_rivals.py` does, whose methods these are, and PolySHAP of order 2. Reads lines
``METHOD<tab>PLAYERS<tab>EVALUATIONS<tab>SEED`` from the standard input. To each it answers with lines ``ask M``, followed by M
coalitions of a byte for each player, and reads M utilities, float64, until ``values`` with float64[players] ends it, or
``failed`` without anything.
"""

from __future__ import annotations

import os
import runpy
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def main() -> None:
    """Answer until there are no more lines."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    told = runpy.run_path(str(Path(__file__).with_name("real_rivals.py")))
    poly = {"PolySHAP, 2": lambda n, seed: told["ap"].PolySHAP(n, max_order=2, pairing_trick=True, random_state=seed)}
    methods = told["METHODS"] | poly
    warnings.simplefilter("ignore")

    def said(line: str, content: bytes = b"") -> None:
        out.write(line.encode() + b"\n" + content)
        out.flush()

    def game(coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        asked = np.atleast_2d(coalitions).astype(np.uint8)
        said(f"ask {len(asked)}", asked.tobytes())
        return np.frombuffer(sys.stdin.buffer.read(8 * len(asked)), dtype=np.float64).copy()

    said(version("shapiq"))
    for line in iter(sys.stdin.buffer.readline, b""):
        method, n, budget, seed = line.decode().rstrip("\n").split("\t")
        try:
            found = methods[method](int(n), int(seed)).approximate(int(budget), game).get_n_order_values(1)
        except (ValueError, np.linalg.LinAlgError) as error:  # a budget that the method is not made for
            print(f"{method}: {error}", file=sys.stderr)
            said("failed")
        else:
            said("values", np.asarray(found, dtype=np.float64).tobytes())


if __name__ == "__main__":
    main()
